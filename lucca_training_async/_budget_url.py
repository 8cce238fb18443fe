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
    r"(nfs|cifs|smb|9p|afs|ceph|gluster|lustre|gpfs|beegfs|ocfs|gfs2|fuse\.(sshfs|s3|gcs|rclone|ceph|gluster|juicefs|mfs|moosefs|blobfuse|goofys))"
)
_MOUNTS = Path("/proc/self/mountinfo")
_NOT_IN_A_URL = re.compile(r"^\s|\s$|[\x00-\x1f\x7f]")


def check_shared_budget(_: object, attribute: Attribute[Any], value: object) -> None:
    """Raise ConfigurationError if this names no budget that could be shared."""
    is_ledger = isinstance(value, (Ledger, SharedBudget))
    if is_ledger and isinstance(value, type):  # a class has the methods as well
        raise ConfigurationError(
            f"{attribute.name} must be a ledger, not its class: {value.__name__}()"
        )
    if value is None or is_ledger:
        return
    if not isinstance(value, str):
        raise ConfigurationError(
            f"{attribute.name} must be a URL such as 'sqlite:///var/lib/app/lucca.db' or "
            f"'redis://127.0.0.1:6379/0', or a ledger, not a {type(value).__name__}"
        )
    if _NOT_IN_A_URL.search(value):
        raise ConfigurationError(
            f"{attribute.name} holds a control character, or white space at one of its ends "
            "(a newline, perhaps): take it out"
        )
    if value.startswith(SQLITE):
        _check_sqlite(value)
    elif value.startswith(REDIS):
        _check_redis(value)
    else:
        raise ConfigurationError(
            f"{attribute.name} must begin with sqlite://, redis://, rediss:// or unix://; that of "
            "a file is sqlite:// and its path, such as 'sqlite:///var/lib/app/lucca.db'"
        )


def shown(value: object) -> str:
    """A URL without user, password, query and fragment; anything else as it is."""
    if not isinstance(value, str):
        return repr(value)
    if not value.startswith(REDIS):
        return value if value.startswith(SQLITE) else "a URL"
    try:
        return str(URL(value).with_user(None).with_query(None).with_fragment(None))
    except ValueError:
        # Without a host there is nobody to be named.
        return re.split("[?#]", value)[0] if "@" not in value else "a URL"


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


def _check_sqlite(url: str) -> None:
    if "?" in url:
        raise ConfigurationError(
            "shared_budget: a sqlite:// URL has no options: end it before the question mark"
        )
    try:
        _check_file(sqlite_path(url), is_relative=not url.startswith(f"{SQLITE}/"))
    except OSError as error:
        why = error.strerror or type(error).__name__
    else:
        return
    raise ConfigurationError(
        f"shared_budget: {url} can't be looked for ({why}): let this process enter all the folders "
        "above it"
    )


def _check_file(path: Path, *, is_relative: bool) -> None:
    """Raise ConfigurationError if processes can't share this file, OSError if nobody can tell."""
    folder = path.parent
    if not folder.is_dir():
        to_do = _to_do(folder, is_relative=is_relative)
        raise ConfigurationError(f"shared_budget: there is no folder {folder}; {to_do}")
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


def _to_do(missing: Path, *, is_relative: bool) -> str:
    """What whoever wrote the path may have meant."""
    if re.search(r"[~$%]", str(missing)):
        return "~, variables and %20 stand for themselves: write the path as it is"
    if is_relative:
        return "make it, or begin an absolute path with a third slash: sqlite:///"
    return "make it"


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
        path = parsed.path.strip("/")
        is_unix = parsed.scheme == "unix"
        is_whole = bool(path if is_unix else parsed.raw_host) and "#" not in url
    except ValueError:
        path, is_unix, is_whole = "", False, False
    if not is_whole:
        raise ConfigurationError(
            "shared_budget is no URL of a Redis server, such as 'redis://127.0.0.1:6379/0', "
            "'rediss://user:password@host:6379/0' or 'unix:///run/redis.sock'; in a password, "
            "write / as %2F, # as %23, ? as %3F, @ as %40 and % as %25"
        )
    if not is_unix and not re.fullmatch("[0-9]*", path):
        raise ConfigurationError(
            "shared_budget: what follows the host must be the number of a database, such as /0, "
            "since Redis has no other names for them (and in a password, write / as %2F)"
        )
