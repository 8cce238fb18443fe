"""A request whose client has gone is cancelled: by itself, no server of ASGI does so."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEY = "lucca_training_async.disconnect"
# nginx' own, for logs: nobody is there to receive it.
_CLIENT_CLOSED_REQUEST = 499


class CancelOnDisconnect:
    """ASGI middleware: cancels a request, once somebody in it has asked for that.

    Not every request: who does not know of it may not be written for it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        task = asyncio.current_task()
        assert task is not None
        watch = _Watch(task, receive, send)
        before = task.cancelling()
        try:
            await self._app({**scope, _KEY: watch}, watch.receive, watch.send)
        except asyncio.CancelledError:
            is_by_somebody_else = task.cancelling() > before + watch.has_cancelled
            if not watch.has_cancelled or is_by_somebody_else:
                raise
            await watch.send_nothing()
        finally:
            if watch.has_cancelled:
                task.uncancel()
            await watch.end()


def cancel_on_disconnect(connection: HTTPConnection) -> None:
    """From now on, this request is cancelled when its client goes before its answer is sent."""
    watch: _Watch | None = connection.scope.get(_KEY)
    if watch is not None and not _is_in_a_thread(connection.scope.get("endpoint")):
        watch.begin()


def _is_in_a_thread(endpoint: Any) -> bool:
    """A thread goes on when its task is cancelled, while what it uses is cleaned up behind it."""
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    if not callable(endpoint) or inspect.isclass(endpoint):
        return False
    called = endpoint if inspect.isroutine(endpoint) else type(endpoint).__call__
    function = inspect.unwrap(called)
    return not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))


class _Watch:
    """Stands between the server and the application, and reads ahead of it by one message."""

    def __init__(self, task: asyncio.Task[Any], receive: Receive, send: Send) -> None:
        self._task = task
        self._receive = receive
        self._send = send
        self._reader: asyncio.Task[None] | None = None
        # A body that nobody wants stays where it is.
        self._unread: asyncio.Queue[Message] = asyncio.Queue(maxsize=1)
        self._gone: Message | None = None
        self._has_begun_to_answer = False
        self._has_answered = False
        self.has_cancelled = False

    def begin(self) -> None:
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())

    async def end(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                break
            await self._unread.put(message)
        self._gone = message
        # What follows an answer, such as background tasks, has no client that could wait for it.
        if not self._has_answered:
            self.has_cancelled = True
            self._task.cancel()
        if self._unread.empty():  # somebody may be waiting for it
            self._unread.put_nowait(message)

    async def receive(self) -> Message:
        if self._reader is None:
            return await self._receive()
        return self._gone or await self._unread.get()

    async def send(self, message: Message) -> None:
        self._has_begun_to_answer = True
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            # Before, since to a server this is the end of the connection's use for the request.
            self._has_answered = True
        await self._send(message)

    async def send_nothing(self) -> None:
        """To nobody; what stands between us and the server expects an answer."""
        if not self._has_begun_to_answer:
            headers: list[tuple[bytes, bytes]] = []
            head = {"type": "http.response.start", "status": _CLIENT_CLOSED_REQUEST}
            await self._send({**head, "headers": headers})
            await self._send({"type": "http.response.body", "body": b""})
