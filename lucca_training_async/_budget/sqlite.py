"""A budget that the processes of one machine share, in a file of SQLite's.

A tenant is one row, which a transaction reads, changes and writes: it is small, and the rules stay
in one place. All of it happens in a thread, since another process may hold the lock.

The clock is the machine's, from its start on, and no time of day: nobody can set it. A file that
has outlived a restart of the machine tells of times to come, which ``Tenant.come_to`` puts right.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import attrs

from ..errors import ConfigurationError
from ..ledger import Cause, Wait
from .pace import Pace
from .steps import PATIENCE, Step, UnreachableError, through, uptime
from .tenant import Member, Slot, Tenant

_VERSION = 1
_APPLICATION = int.from_bytes(b"Lucc")
"""What SQLite keeps in the header of a file, for whoever wants to know whose it is."""
_NOT_OURS = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_NOT_ALLOWED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS tenant (host TEXT PRIMARY KEY, state TEXT) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
COMMIT;
"""


class SqliteStore:
    """Keeps tenants in a file; see :class:`~lucca_training_async._budget.steps.Store`.

    Args:
        path: The file. It is made if there is none; its folder is not.
        clock: One that all who share the file have in common, in seconds.
    """

    def __init__(self, path: str, clock: Callable[[], float] = uptime) -> None:
        self.name: str = f"sqlite://{path}"
        self.clock: Callable[[], float] = clock
        self._path = Path(path)
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._files: list[tuple[int, int] | None] = []
        self._has_lost_log = False
        self._has_worked = False

    async def apply(self, host: str, steps: Sequence[Step]) -> tuple[Tenant, Wait | None]:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="lucca-budget")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._apply, host, steps)

    async def aclose(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(thread, self._disconnect)
            thread.shutdown(wait=False)

    # -- in the thread

    def _apply(self, host: str, steps: Sequence[Step]) -> tuple[Tenant, Wait | None]:
        try:
            connection = self._connected()
            with closing(connection.cursor()) as cursor:
                answer = self._transact(cursor, host, steps)
        except (sqlite3.Error, OSError, ConfigurationError) as error:
            self._disconnect()
            failure = error if isinstance(error, ConfigurationError) else self._failure(error)
        else:
            self._has_worked = True
            return answer
        raise failure

    def _transact(
        self, cursor: sqlite3.Cursor, host: str, steps: Sequence[Step]
    ) -> tuple[Tenant, Wait | None]:
        cursor.execute("BEGIN IMMEDIATE")
        try:
            row = cursor.execute("SELECT state FROM tenant WHERE host = ?", (host,)).fetchone()
            # Only now: it may have taken its time to get the lock.
            now = self.clock()
            known = None if row is None or self._has_lost_log else loads(row[0])
            tenant, answer = through(known, now, steps)
            cursor.execute("REPLACE INTO tenant VALUES (?, ?)", (host, dumps(tenant)))
            cursor.execute("COMMIT")
            self._has_lost_log = False
        except BaseException:
            with suppress(sqlite3.Error):
                cursor.execute("ROLLBACK")
            raise
        return tenant, answer

    def _connected(self) -> sqlite3.Connection:
        """The connection; a new one if the file has been put away or replaced."""
        if self._connection is not None:
            files = self._identities()
            if files == self._files:
                return self._connection
            # With its log alone, the file goes back to what it was some time ago.
            self._has_lost_log = files[0] == self._files[0]
            self._disconnect()
        ends_at = time.monotonic() + PATIENCE
        while True:
            try:
                return self._connect()
            except sqlite3.OperationalError as error:
                self._disconnect()
                # SQLite waits for a lock, but not for that which it takes to change the mode.
                if not _is_locked(error) or time.monotonic() > ends_at:
                    raise
                time.sleep(0.01)

    def _connect(self) -> sqlite3.Connection:
        connection = self._connection = sqlite3.connect(
            self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        is_new = self._is_new(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        # In WAL mode that loses no more than the last moments, and only if the power fails.
        connection.execute("PRAGMA synchronous = NORMAL")
        if is_new:
            connection.executescript(_SCHEMA)
        self._files = self._identities()
        return connection

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        """Whether there is nothing in it yet. Only reads: it may be another application's."""
        told = "application_id", "user_version"
        connection.execute("BEGIN")  # all of it as it is at one moment
        application, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in told)
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        connection.execute("COMMIT")
        is_ours = application == _APPLICATION
        if not is_ours and (application or tables):
            raise ConfigurationError(
                f"{self.name} is the database of another application: give the shared budget a "
                "file of its own"
            )
        if version not in (0, _VERSION):
            raise ConfigurationError(
                f"{self.name} was written by another version of this package (its format is "
                f"{version}, ours {_VERSION}): give it a file of its own"
            )
        return not is_ours

    def _identities(self) -> list[tuple[int, int] | None]:
        return [_identity(self._path), _identity(Path(f"{self._path}-wal"))]

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _failure(self, error: Exception) -> Exception:
        told = f"{self.name}: {error}"
        code = getattr(error, "sqlite_errorcode", None)
        reason = None if code is None else code & 0xFF
        if self._has_worked:
            return UnreachableError(told)
        if reason in _NOT_OURS:
            return ConfigurationError(f"{told}; give the shared budget a file of its own")
        if reason in _NOT_ALLOWED or isinstance(error, PermissionError):
            return ConfigurationError(
                f"{told}; let this process read and write the file, those named like it with "
                "-wal and -shm, and its folder"
            )
        return UnreachableError(told)


def _is_locked(error: sqlite3.OperationalError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def dumps(tenant: Tenant) -> str:
    """A tenant as JSON."""
    members = attrs.asdict(tenant)
    members["closed_by"] = tenant.closed_by.value
    return json.dumps(members, separators=(",", ":"))


def loads(text: str) -> Tenant | None:
    """The tenant again; None if that is none, which is as if it had been lost."""
    try:
        members: dict[str, Any] = json.loads(text)
        members["closed_by"] = Cause(members["closed_by"])
        members["pace"] = Pace(**members["pace"])
        members["slots"] = {name: Slot(**slot) for name, slot in members["slots"].items()}
        members["members"] = {name: Member(**one) for name, one in members["members"].items()}
        return Tenant(**members)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
