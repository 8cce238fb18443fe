"""Any other endpoint of the tenant, inside the same budget."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, cast
from urllib.parse import quote

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from .._budget import Priority
from .._http.answers import Reply
from .._http.call import Caller
from ..models import parse

Params = Mapping[str, str | int | bool | Decimal | date | None]

# RFC 3986: what may stand in a path, the percent sign of what is encoded already among it.
_PATH_CHARACTERS = "/%:@!$&'()*+,;=-._~"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


@attrs.frozen
class RawResponse:
    """A success, as it came.

    Attributes:
        status: The status code, 200 to 299.
        headers: Its headers; their names are looked up in any case.
        json: Its body, parsed: numbers are int or, with a fraction or exponent, ``Decimal``. None
            where there is no body.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    json: Any = attrs.field(repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # A proxy of a multidict has no pickle.
        return _restored, (self.status, list(self.headers.items()), self.json)


def _restored(status: int, headers: list[tuple[str, str]], json: Any) -> RawResponse:
    return RawResponse(status, CIMultiDictProxy(CIMultiDict(headers)), json)


async def raw_get(
    caller: Caller, path: str, params: Params | None, priority: Priority
) -> RawResponse:
    """See ``LuccaTrainingClient.raw_get``."""
    checked, query = path_on_host(path), query_of(params)
    owner = caller.owner(priority)
    with caller.on_behalf_of(owner):
        return await caller.get(checked, _read, owner, query)


def path_on_host(path: object) -> str:
    """The path, encoded, if it stays on its host.

    Raises:
        TypeError: It is no string.
        ValueError: It leaves the host, or is no path.
    """
    if not isinstance(path, str):
        raise TypeError(f"path must be a str, not {type(path).__name__}")
    if not path.startswith("/") or path.startswith("//") or "\\" in path:
        raise ValueError("path must begin with one '/', as in '/api/v3/users'")
    if "?" in path or "#" in path:
        raise ValueError("path must have no '?' and no '#': give the query as params")
    encoded = quote(path, safe=_PATH_CHARACTERS)
    segments = encoded.lower().replace("%2e", ".").split("/")
    if _UNPRINTABLE.search(path) or "." in segments or ".." in segments:
        raise ValueError("path must have no control characters, and no '.' or '..' segments")
    return encoded


def query_of(params: object) -> str:
    """The query string of some parameters; None leaves one out.

    Raises:
        TypeError: A value is of a type that has no one way to be written.
    """
    if params is None:
        return ""
    if not isinstance(params, Mapping):
        raise TypeError(f"params must be a mapping, not {type(params).__name__}")
    given = cast("Mapping[object, object]", params)
    return "&".join(
        f"{quote(_text(name), safe='')}={quote(_text(value), safe=',')}"
        for name, value in given.items()
        if value is not None
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (int, Decimal)):
        return str(value)
    raise TypeError(
        f"a parameter is a str, int, bool, Decimal or date, not {type(value).__name__}; "
        "join several values as the endpoint wants them"
    )


def _read(reply: Reply) -> RawResponse:
    body = parse(reply.body, strict=True) if reply.body.strip() else None
    headers = CIMultiDictProxy(CIMultiDict(reply.headers))
    return RawResponse(reply.status, headers, body)
