"""Cursors in the shapes that Lucca documents: opaque texts, each good for one set of filters."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

FIRST: Final = "~f"
_SHAPE = re.compile(r"([~!])([A-Za-z0-9_-]+)\|([0-9a-f]{10})\|([0-9a-f]{2})", re.ASCII)


def forward(offset: int, question: str) -> str:
    """To the page that begins with the item at this offset."""
    return _write("~", offset, question)


def backward(offset: int, question: str) -> str:
    """To the page that ends before the item at this offset."""
    return _write("!", offset, question)


def read(text: str, question: str) -> tuple[int, bool] | None:
    """The offset, and whether the page begins there (else it ends there); None if it isn't ours.

    Args:
        text: The cursor.
        question: The list and its filters: the cursor is good for no others.
    """
    if text == FIRST:
        return 0, True
    match = _SHAPE.fullmatch(text)
    if match is None:
        return None
    try:
        offset = int(base64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4)))
    except ValueError:
        return None
    # Written anew, since no part of it may have been altered.
    return (offset, match[1] == "~") if text == _write(match[1], offset, question) else None


def _write(sign: str, offset: int, question: str) -> str:
    place = base64.urlsafe_b64encode(f"{offset:04}".encode()).decode().rstrip("=")
    body = f"{sign}{place}|{_digest(question, 5)}"
    return f"{body}|{_digest(body, 1)}"


def _digest(text: str, size: int) -> str:
    return hashlib.blake2s(text.encode(), digest_size=size).hexdigest()
