"""The head of an answer whose body has broken aiohttp's parser.

Where both come in one piece, the parser throws the head away with the body: a 401 would look
like a broken connection. So a connection is made to remember how an answer begins.
"""

from __future__ import annotations

import asyncio
import re
import weakref
from functools import partial
from http.client import HTTPException, parse_headers
from io import BytesIO
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict

# Headers over 8 KB are refused anyway.
_MOST_REMEMBERED = 64 * 1024
_SUCCESS = b"HTTP/1.1 2"
_SUCCESS_LENGTH = len(_SUCCESS)
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?")


class Memory:
    """How the current answer over a connection begins, unless it is a success."""

    def __init__(self) -> None:
        self.beginning: bytes = b""

    def note(self, data: bytes) -> None:
        # Nobody will ask for that of a success.
        if (self.beginning or data)[:_SUCCESS_LENGTH] != _SUCCESS and (
            len(self.beginning) < _MOST_REMEMBERED
        ):
            self.beginning += data


class RememberingHandler(ResponseHandler):
    """aiohttp's protocol of a connection, with a memory."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.memory = Memory()

    def data_received(self, data: bytes) -> None:
        self.memory.note(data)
        ResponseHandler.data_received(self, data)


class RememberingConnector(aiohttp.TCPConnector):
    """aiohttp's connector, with connections of that kind."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(limit=limit)  # pyright: ignore[reportUnknownMemberType]
        # It has no public way to name the class. Without this attribute, they are wrapped.
        self._factory = cast(Any, partial(RememberingHandler, loop=asyncio.get_running_loop()))


def memory_of(protocol: Any) -> Memory:
    """The memory of a connection, which is given one if it has none, as in a given session."""
    if isinstance(protocol, RememberingHandler):
        return protocol.memory
    memory = Memory()
    receive = cast(Any, type(protocol)).data_received
    # A connection that held itself would live until the next garbage collection.
    reference = weakref.ref(protocol)

    def data_received(data: bytes) -> None:
        memory.note(data)
        receive(reference(), data)

    protocol.data_received = data_received
    return memory


def head_of(beginning: bytes) -> tuple[int, CIMultiDict[str]] | None:
    """Status and headers of an answer, if it begins with a whole head."""
    head, end, rest = beginning.partition(b"\r\n\r\n")
    line, _, fields = head.partition(b"\r\n")
    status = _STATUS_LINE.fullmatch(line)
    if not end or status is None:
        return None
    if status[1].startswith(b"1") and rest:  # an interim answer; the one that counts follows
        return head_of(rest)
    try:
        headers = parse_headers(BytesIO(fields + b"\r\n\r\n"))
    except HTTPException:  # too many of them, or a line too long
        return None
    return int(status[1]), CIMultiDict(headers.items())
