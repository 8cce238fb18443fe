"""A server that writes whatever bytes a test likes, and counts connections and requests.

It shares no code with the client nor with aiohttp: what it sends needs to be no HTTP at all.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import attrs

_EVENTS = (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ssl.SSLError)


@attrs.frozen
class Request:
    """A request as it came: which one over all, over which connection, when, for which id."""

    number: int
    connection: int
    at: float
    id: int
    head: str
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """End the connection with a RST in place of a FIN."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Handle = Callable[[Request], Awaitable[object]]
"""Writes an answer; a true result keeps the connection, so that writing nothing stalls."""


class RawServer:
    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.requests: list[Request] = []
        self.connections = 0
        self.given_up = 0  # connections that the client has closed
        self.url = ""
        self._connected: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def times(self) -> list[float]:
        return [request.at for request in self.requests]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(self.connections, reader, writer))
        self._connected[task] = writer
        task.add_done_callback(self._connected.pop)

    async def _serve(
        self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                found = re.search(r"trainings/(\d+)", head)
                now = asyncio.get_running_loop().time()
                id = int(found[1]) if found else 0
                request = Request(len(self.requests) + 1, connection, now, id, head, writer)
                self.requests.append(request)
                if not await self.handle(request):
                    break
        except _EVENTS:
            self.given_up += 1
        finally:
            writer.close()

    def hang_up(self, how: Callable[[asyncio.StreamWriter], object]) -> None:
        """Do something to every open connection."""
        for writer in list(self._connected.values()):
            how(writer)

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncGenerator[RawServer, None]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        try:
            yield self
        finally:
            server.close()
            left = list(self._connected)
            for task, writer in list(self._connected.items()):
                task.cancel()
                writer.transport.abort()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*left, return_exceptions=True)
