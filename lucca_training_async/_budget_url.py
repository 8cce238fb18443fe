"""What names a shared budget, checked where it is written: before anything is opened or sent.

A URL may hold a password, so that no message repeats one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import Any

from attrs import Attribute
from yarl import URL

from .errors import ConfigurationError
from .ledger import Ledger, SharedBudget

SQLITE = "sqlite://"
REDIS = ("redis://", "rediss://", "unix://")
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
            f"{attribute.name} must be a URL such as 'sqlite:///var/lib/app/lucca.db' or "
            f"'redis://127.0.0.1:6379/0', or a ledger, not a {type(value).__name__}"
        )
    if value.startswith(SQLITE):
        check_file(sqlite_path(value))
    elif value.startswith(REDIS):
        _check_redis(value)
    else:
        raise ConfigurationError(
            f"{attribute.name} must begin with sqlite://, redis://, rediss:// or unix://"
        )


def shown(value: object) -> str:
    """A URL without user, password and query; anything else as it is."""
    if not isinstance(value, str):
        return repr(value)
    if not value.startswith(REDIS):
        return value if value.startswith(SQLITE) else "a URL"
    try:
        return str(URL(value).with_user(None).with_query(None))
    except ValueError:
        # Without a host there is nobody to be named.
        return value.partition("?")[0] if "@" not in value else "a URL"


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
            "lock it: take a local file, or share the budget through redis://"
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


# -- Redis


def _check_redis(url: str) -> None:
    if importlib.util.find_spec("redis") is None:
        raise ConfigurationError(
            "shared_budget: Redis needs an extra: pip install 'lucca-training-async[redis]'"
        )
    try:
        parsed = URL(url)
        _ = parsed.explicit_port
        is_whole = bool(parsed.raw_path.strip("/") if parsed.scheme == "unix" else parsed.raw_host)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ConfigurationError(
            "shared_budget is no URL of a Redis server, such as 'redis://127.0.0.1:6379/0', "
            "'rediss://user:password@host:6379/0' or 'unix:///run/redis.sock'"
        )
