"""Hours leave as the JSON numbers that they are; pydantic can only write them as strings."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..models._pydantic import Numbers, noted


class ExactNumbers:
    """ASGI middleware: the quotes around a record's numbers are taken away.

    Only of a member that a record of ours has written with that very number in this request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with noted() as numbers:
            await self._app(scope, receive, _Answer(send, numbers))


class _Answer:
    """Where the application sends to: a head that tells the length waits for the body."""

    def __init__(self, send: Send, numbers: Numbers) -> None:
        self._send = send
        self._numbers = numbers
        self._head: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _length_at(message) is not None:
            self._head = message
            return
        if self._head is not None and message.get("more_body", False):
            # The length is told before the body is known: it has to be left as it is, a file say.
            self._numbers = set[tuple[str, str]]()
        if message["type"] == "http.response.body" and self._numbers:
            body = message.get("body", b"")
            exact = without_quotes(body, self._numbers)
            message = {**message, "body": exact}
            if self._head is not None and not message.get("more_body", False):
                self._head = _with_length(self._head, len(exact))
        if self._head is not None:
            head, self._head = self._head, None
            await self._send(head)
        await self._send(message)


def without_quotes(body: bytes, numbers: Numbers) -> bytes:
    """The JSON text with each of these members' strings as a number.

    In a string's own text no quote stands without a backslash, so none is taken for a member.
    """
    names = "|".join(sorted({re.escape(name) for name, _ in numbers}))
    pattern = rf'"({names})"(\s*:\s*)"([-+.0-9Ee]+)"'.encode()

    def number(match: re.Match[bytes]) -> bytes:
        name, text = match[1].decode(), match[3].decode()
        if (name, text) not in numbers:
            return match[0]
        return b'"%b"%b%b' % (match[1], match[2], match[3])

    return re.sub(pattern, number, body)


def _length_at(head: Message) -> int | None:
    names = [name.lower() for name, _ in head.get("headers", [])]
    return names.index(b"content-length") if b"content-length" in names else None


def _with_length(head: Message, length: int) -> Message:
    headers = list(head["headers"])
    at = _length_at(head)
    assert at is not None  # else the head had not waited
    headers[at] = (b"content-length", str(length).encode())
    return {**head, "headers": headers}
