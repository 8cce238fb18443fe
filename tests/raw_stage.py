"""A raw server, what it writes, and a client of it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from lucca_training_async import LuccaTrainingClient
from lucca_training_async.resources import RealizedTrainings
from lucca_training_async.sandbox.data import realized_training

from .raw_server import Handle, RawServer, Request
from .support import QUICK

KEY = "1f2e3d4c-0000-1111-2222-333344445555"


def answer(body: bytes = b"", status: str = "200 OK", *headers: str, length: object = "") -> bytes:
    """An answer with its Content-Length, unless another is given, or None for none."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length == '' else length}")
    return "\r\n".join([*lines, "\r\n"]).encode("latin-1") + body


def chunked(*pieces: bytes, status: str = "200 OK", headers: tuple[str, ...] = ()) -> bytes:
    parts = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece]
    head = answer(b"", status, "Transfer-Encoding: chunked", *headers, length=None)
    return head + b"".join(parts) + b"0\r\n\r\n"


def record(id: int, **changes: Any) -> bytes:
    return json.dumps(realized_training(id) | changes).encode()


def always(data: bytes, *, keep: bool = False) -> Handle:
    """The same to everybody."""

    async def handle(request: Request) -> bool:
        await request.send(data)
        return keep

    return handle


class RawStage(NamedTuple):
    server: RawServer
    client: LuccaTrainingClient

    @property
    def trainings(self) -> RealizedTrainings:
        return self.client.realized_trainings


@asynccontextmanager
async def raw_stage(
    handle: Handle, *, given: dict[str, Any] | None = None, key: str = KEY, **settings: Any
) -> AsyncGenerator[RawStage, None]:
    """The server and a client of it, with its own session or (``given``) one made so."""
    settings = {"rate_limit": None, "retry": QUICK} | settings
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(RawServer(handle).running())
        if given is not None:
            session = aiohttp.ClientSession(**given)
            settings["session"] = await stack.enter_async_context(session)
        client = LuccaTrainingClient(server.url, key, **settings)
        yield RawStage(server, await stack.enter_async_context(client))
