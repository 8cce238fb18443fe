"""What names a shared budget, checked where it is written: before anything is opened or sent."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from attrs import Attribute

from .errors import ConfigurationError
from .ledger import Ledger, SharedBudget

SQLITE = "sqlite://"
# Locks, and memory that processes share, do not reach from one machine to another.
_NETWORKS = re.compile(
    r"(nfs|cifs|smb|9p|afs|ceph|gluster|lustre|gpfs|beegfs|ocfs|gfs2|fuse\.(sshfs|s3|gcs|rclone|ceph|gluster))"
)
_MOUNTS = Path("/proc/self/mountinfo")


def check_shared_budget(_: object, attribute: Attribute[Any], value: object) -> None:
    """Raise ConfigurationError if this names no budget that could be shared."""
    if value is None or isinstance(value, (Ledger, SharedBudget)):
        return
    if not isinstance(value, str):
        raise ConfigurationError(
            f"{attribute.name} must be a URL such as 'sqlite:///var/lib/app/lucca.db', or a "
            f"ledger, not a {type(value).__name__}"
        )
    if value.startswith(SQLITE):
        check_file(sqlite_path(value))
    else:
        raise ConfigurationError(f"{attribute.name} must begin with sqlite://")


# -- SQLite


def sqlite_path(url: str) -> Path:
    """The file: three slashes begin an absolute path, as a fourth does that SQLAlchemy wants."""
    text = url.removeprefix(SQLITE)
    if text.startswith("/"):
        text = "/" + text.lstrip("/")
        if sys.platform == "win32" and re.match(r"/[A-Za-z]:", text):
            text = text[1:]
    if not text or text.strip("/") in ("", ":memory:"):
        raise ConfigurationError(
            "shared_budget: sqlite:// must be followed by the path of a file; clients of one "
            "process can share a MemoryLedger"
        )
    return Path(os.path.abspath(text))


def check_file(path: Path) -> None:
    """Raise ConfigurationError if processes can't share this file."""
    folder = path.parent
    if "\0" in str(path):
        raise ConfigurationError("shared_budget: the path holds a null character")
    if not folder.is_dir():
        raise ConfigurationError(f"shared_budget: there is no folder {folder}; make it")
    if path.exists() and not path.is_file():
        raise ConfigurationError(f"shared_budget must be a file, which {path} is not")
    # SQLite makes two more files beside it.
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"shared_budget: let this process write into {folder}")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise ConfigurationError(f"shared_budget: let this process read and write {path}")
    if (network := network_of(path)) is not None:
        raise ConfigurationError(
            f"shared_budget: {path} is on a network file system ({network}), where SQLite can't "
            "lock it: take a local file"
        )


def network_of(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """The network file system that a path is on; None if it is on none, or that is unknown."""
    if str(path).startswith("\\\\"):
        return "UNC"
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    kind, longest = "", -1
    real = path.parent.resolve()
    for line in lines:
        # proc_pid_mountinfo(5): the fifth field is where it is mounted, with spaces as \040.
        before, _, after = line.partition(" - ")
        where = Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), before.split(" ")[4]))
        if real.is_relative_to(where) and len(where.parts) >= longest:
            kind, longest = after.split(" ")[0], len(where.parts)
    return kind if _NETWORKS.match(kind) else None
