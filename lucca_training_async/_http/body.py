"""Reading a body to its end, or to the size beyond which it is nobody's record.

Memory stays flat and the loop gets its turns whatever comes: each piece is decoded as it
arrives, and never into more than is still allowed.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Protocol

from ..settings import Settings

# The body of an error only explains: what is longer explains nothing.
MOST_OF_AN_ERROR = 256 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_DEFLATE = -zlib.MAX_WBITS
_BYTES_OF_FRAME = 2
_LEAST_ON_THE_WIRE = 1024


class BodyTooLargeError(Exception):
    """There is more of it than is allowed; what has come is in ``beginning``."""

    def __init__(self, beginning: bytes, most: int) -> None:
        super().__init__(most)
        self.beginning = beginning
        self.most = most


class UndecodableError(Exception):
    """It is not encoded as its headers say, or it breaks off; the message is ours."""


class Pieces(Protocol):
    """What aiohttp's stream of a body can do, as far as it matters here."""

    async def readany(self) -> bytes: ...

    def at_eof(self) -> bool: ...


def most_of(status: int, settings: Settings) -> int:
    """How many bytes of a body are read."""
    most = settings.max_body_bytes
    return most if 200 <= status < 300 else min(most, MOST_OF_AN_ERROR)


async def read_body(pieces: Pieces, encodings: Sequence[str], most: int, into: bytearray) -> None:
    """Read and decode a body.

    Args:
        pieces: The body as it comes.
        encodings: Those of Content-Encoding, in the order in which they were applied.
        most: How many bytes are allowed, as they come and as they are decoded.
        into: Filled as they come, so that something is left of a body that breaks off.

    Raises:
        BodyTooLargeError: There are more.
        UndecodableError: It is not what its headers say.
    """
    decoders = [_decoder(encoding) for encoding in reversed(encodings)]
    # An encoding adds a little to what can't be compressed; some have no end and hold nothing.
    most_on_the_wire = 2 * most + _LEAST_ON_THE_WIRE
    wire_bytes = 0
    while not pieces.at_eof():
        piece = await pieces.readany()
        wire_bytes += len(piece)
        for decoder in decoders:
            piece = decoder.decode(piece, most + 1 - len(into))
        into += piece
        behind = any(decoder.is_behind for decoder in decoders)
        if behind or len(into) > most or wire_bytes > most_on_the_wire:
            del into[most:]
            raise BodyTooLargeError(bytes(into), most)
    if wire_bytes and not all(decoder.is_complete for decoder in decoders):
        raise UndecodableError("the compressed body breaks off")


def _decoder(encoding: str) -> _Inflater:
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _Inflater(encoding)
    raise UndecodableError("the body is encoded in a way that was not asked for")


class _Inflater:
    """gzip and both kinds of what is called deflate (RFC 9110, section 8.4.1)."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._begun = False
        self._first = b""

    @property
    def is_complete(self) -> bool:
        return self._inflate.eof

    @property
    def is_behind(self) -> bool:
        """Whether it had to stop before the end of a piece."""
        return bool(self._inflate.unconsumed_tail)

    def decode(self, piece: bytes, most: int) -> bytes:
        """The piece, decoded into ``most`` bytes at the most."""
        decoded = bytearray()
        try:
            while piece and len(decoded) < most:
                decoded += self._inflated(piece, most - len(decoded))
                # What follows the end of a gzip member is another member, or padding.
                piece = self._inflate.unused_data.lstrip(b"\0")
                if piece:
                    self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        except zlib.error:
            raise UndecodableError(f"the body is not the {self._encoding} it says it is") from None
        return bytes(decoded)

    def _inflated(self, piece: bytes, most: int) -> bytes:
        if self._begun or self._encoding != "deflate":
            return self._inflate.decompress(piece, most)
        # Many servers leave zlib's frame away, which shows with the second byte.
        self._first += piece
        if len(self._first) < _BYTES_OF_FRAME:
            return b""
        self._begun = True
        try:
            return self._inflate.decompress(self._first, most)
        except zlib.error:
            self._inflate = zlib.decompressobj(_DEFLATE)
            return self._inflate.decompress(self._first, most)
