"""The files of an export: which there are, and how a line gets onto the disk and stays there."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

import attrs

from ..connection import WrongUseError
from .journal import VERSION, Kept, Replay, is_torn, mark, replay
from .question import Question, differences

# More often would wear out a disk; what is lost with the power is asked for again.
_SECONDS_BETWEEN_SYNCS = 1.0
_FORMATS = (".jsonl", ".csv")


class DiskError(Exception):
    """What was fetched can't be written; told in one line. What was written before is kept."""


@attrs.frozen
class Files:
    """Where an export and what belongs to it are.

    Attributes:
        target: The export itself.
    """

    target: Path

    @property
    def is_csv(self) -> bool:
        return self.target.suffix.lower() == ".csv"

    @property
    def part(self) -> Path:
        """The journal of an unfinished one."""
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def state(self) -> Path:
        """What a complete one is of."""
        return self.target.with_name(f"{self.target.name}.state.json")

    @property
    def failed(self) -> Path:
        """The failures and the missing ids."""
        return self.target.with_name(f"{self.target.stem}.failed.jsonl")

    @property
    def changes(self) -> Path:
        """What has changed since the one before."""
        return self.target.with_name(f"{self.target.stem}.changes.jsonl")


def new(path: Path) -> Path:
    """Where a file is written before it is put into its place."""
    return path.with_name(f"{path.name}.new")


def files_at(target: Path) -> Files:
    """The files of an export.

    Raises:
        WrongUseError: It can't be there.
    """
    if target.suffix.lower() not in _FORMATS:
        raise WrongUseError(f"--to must end in .jsonl or .csv, unlike {target}")
    if target.is_dir():
        raise WrongUseError(f"--to is a directory: {target}")
    if not target.parent.is_dir():
        raise WrongUseError(f"--to is in a directory that is not there: {target.parent}")
    files = Files(target)
    _check_places(files)
    return files


def _check_places(files: Files) -> None:
    """Tell what can't work in the end before a request is spent."""
    written = (files.target, files.failed, files.changes, files.state)
    for path in (files.part, *written, *map(new, written)):
        try:
            # A directory, say, or a pipe, which would be waited for.
            if not stat.S_ISREG(path.stat().st_mode):
                raise WrongUseError(f"can't write {path}: what is in its place is no file")
        except FileNotFoundError:
            continue
        except OSError as error:  # its name is too long, say
            fault = error.strerror or str(error)
            raise WrongUseError(f"can't write {path}: {fault}") from None
    for path in (files.failed, files.changes):
        if Files(path).state.exists() or Files(path).part.exists():
            raise WrongUseError(f"{path} is an export itself: choose another name for this one")


class Journal:
    """The journal of an unfinished export, on the disk, of this process alone.

    Args:
        path: Where it is.

    Attributes:
        kept: What it holds.

    Raises:
        WrongUseError: It can't be written there, or another process does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666), "r+")
        except OSError as error:
            fault = error.strerror or str(error)
            raise WrongUseError(f"can't write {path}: {fault}") from None
        if not (_lock(self._file.fileno()) and _is_at(path, self._file.fileno())):
            self._file.close()
            raise WrongUseError(f"another export to the same file is running ({path} is in use)")
        self._synced_at = monotonic()
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            first = lines.readline()
            lines.seek(0)
            self._replay: Replay = replay(lines)
        self.kept: Kept = self._replay.kept
        self._is_another_thing: bool = self.kept.header is None and not is_torn(first)

    def check(self, question: Question, *, restart: bool) -> None:
        """Refuse to go on with what is of another question.

        Raises:
            WrongUseError: It is.
        """
        if self._is_another_thing and not restart:
            raise WrongUseError(
                f"{self._path} is in the way, and no unfinished export: "
                "move it away, or lose it by --restart"
            )
        header = self.kept.header
        if header is not None and not restart:
            if header[1] != VERSION:
                self._refuse("was begun by another version of this program")
            if others := differences(header[2], question.plain()):
                self._refuse(f"was begun with another {', another '.join(others)}")

    def begin(self, question: Question, *, restart: bool) -> None:
        """Go on with it, or begin it.

        Raises:
            DiskError: As for ``append``.
        """
        if self.kept.header is None or restart:
            self.begin_anew(question)
        else:
            self._file.truncate(self.kept.length)
            self._file.seek(0, os.SEEK_END)

    def begin_anew(self, question: Question) -> None:
        """Forget all that it holds.

        Raises:
            DiskError: As for ``append``.
        """
        self._is_another_thing = False
        self._file.seek(0)
        self._file.truncate(0)
        self._replay = Replay()
        self.kept = self._replay.kept
        self.append([mark("export", VERSION, question.plain())])
        sync_folder(self._path.parent)

    def append(self, lines: Sequence[bytes]) -> None:
        """Add lines, all of them or none.

        Raises:
            DiskError: There is no room for them, or the disk fails.
        """
        data = memoryview(b"".join(lines))
        try:
            while data:
                # A full disk takes a part, and refuses the next.
                data = data[self._file.write(data) or 0 :]
            self._sync_now_and_then()
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self.kept.length)
                self._file.seek(0, os.SEEK_END)
            raise disk_error(self._path, error) from None
        for line in lines:
            self._replay.add(line)

    def _sync_now_and_then(self) -> None:
        if monotonic() >= self._synced_at + _SECONDS_BETWEEN_SYNCS:
            self.sync()

    def sync(self) -> None:
        """Have it survive a loss of power."""
        os.fsync(self._file.fileno())
        self._synced_at = monotonic()

    def close(self) -> None:
        """Let others have it; one that was never begun is removed."""
        if self._file.closed:
            return
        with suppress(OSError):
            self.sync()
        self._file.close()
        if self.kept.header is None and not self._is_another_thing:
            remove(self._path)

    def _refuse(self, why: str) -> None:
        raise WrongUseError(
            f"{self._path} is an unfinished export that {why}; "
            "finish that one by its own command, or begin anew with --restart"
        )


def write_new(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file that will stand in another's place, so that it survives a loss of power.

    Raises:
        DiskError: There is no room for it, or the disk fails.
    """
    try:
        with new(path).open("wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            new(path).unlink(missing_ok=True)  # it is of no use, and takes the room
        raise disk_error(path, error) from None


def put_into_place(path: Path) -> None:
    """Let what was written stand where it belongs; it may stand there already.

    Raises:
        DiskError: It can't.
    """
    try:
        if new(path).exists():
            new(path).replace(path)
    except OSError as error:
        raise disk_error(path, error) from None


def remove(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        DiskError: It can't be.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(path, error) from None


def sync_folder(folder: Path) -> None:
    """Have names survive a loss of power, where a folder can be told so."""
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def disk_error(path: Path, error: OSError) -> DiskError:
    """Why a file can't be written, in one line."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskError(f"no room for {path}: {error.strerror}")
    return DiskError(f"can't write {path}: {error.strerror or error}")


_BINARY = getattr(os, "O_BINARY", 0)

if sys.platform == "win32":
    import msvcrt

    # Far behind the end: who reads it by another descriptor is kept from what is locked.
    _LOCKED = 2**31 - 2

    def _lock(fd: int) -> bool:
        os.lseek(fd, _LOCKED, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        except OSError:  # a file system without locks
            return True
        finally:
            os.lseek(fd, 0, os.SEEK_SET)
        return True

    def _is_at(path: Path, fd: int) -> bool:
        return fd >= 0 and path.exists()  # nobody can remove what is open
else:
    import fcntl

    def _is_at(path: Path, fd: int) -> bool:
        """Whether nobody has removed it since it was opened, as an export that has ended does."""
        with suppress(OSError):
            return os.path.samestat(path.stat(), os.fstat(fd))
        return False

    def _lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
        return True
