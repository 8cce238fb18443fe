"""The head of an answer whose body has broken aiohttp's parser.

Where both come in one piece, the parser throws the head away with the body: a 401 would look
like a broken connection. So our own session's connections remember how an answer begins.
"""

from __future__ import annotations

import asyncio
import re
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


class RememberingHandler(ResponseHandler):
    """aiohttp's protocol of a connection, which remembers how the current answer begins."""

    beginning: bytes = b""

    def data_received(self, data: bytes) -> None:
        # Nobody will ask for that of a success.
        if (self.beginning or data)[:_SUCCESS_LENGTH] != _SUCCESS and (
            len(self.beginning) < _MOST_REMEMBERED
        ):
            self.beginning += data
        ResponseHandler.data_received(self, data)


class RememberingConnector(aiohttp.TCPConnector):
    """aiohttp's connector, with connections of that kind."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(limit=limit)  # pyright: ignore[reportUnknownMemberType]
        # It has no public way to name the class. Without this attribute, such an answer is
        # told as one that can't be parsed.
        self._factory = cast(Any, partial(RememberingHandler, loop=asyncio.get_running_loop()))


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
