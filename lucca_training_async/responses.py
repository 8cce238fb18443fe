"""What an HTTP answer means, as pure functions of its status, headers and body."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, cast

import attrs
from multidict import CIMultiDict
from yarl import URL

from ._validators import is_int
from .config import ApiKey
from .errors import ERROR_BY_STATUS, ProblemDetails, ResponseError, ServerError

_EXCERPT_CHARACTERS = 120
_MESSAGE_CHARACTERS = 500
# Lucca's documentation names no request id header: these are the customary ones.
_REQUEST_ID_HEADERS = ("X-Request-Id", "X-Correlation-Id", "Request-Id")
# RFC 9110 asks for whole seconds; a fraction is understood too.
_DELAY_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)


@attrs.define(eq=False)
class Reply:
    """A complete HTTP answer; its connection has already been given back.

    ``headers`` is looked up case-insensitively (aiohttp's multidict, or a test's). Neither
    they nor the body are in the repr, which crash reports show of a frame's variables: a
    server may have echoed the API key in them.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    url: URL

    def without(self, key: ApiKey) -> Reply:
        """The reply as it may be quoted: a server that echoes our headers echoes the key."""
        headers = CIMultiDict({name: key.redact(text) for name, text in self.headers.items()})
        return Reply(self.status, headers, key.redact_bytes(self.body), self.url)

    @property
    def request_id(self) -> str | None:
        return next(
            (self.headers[name] for name in _REQUEST_ID_HEADERS if name in self.headers), None
        )

    @property
    def excerpt(self) -> str:
        """The beginning of the body on one line, short enough for a message."""
        text = " ".join(self.body[: 4 * _EXCERPT_CHARACTERS].decode("utf-8", "replace").split())
        return shortened(text, _EXCERPT_CHARACTERS)


def shortened(text: str, most: int) -> str:
    """The text in at most so many characters, an ellipsis in place of what is left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def is_success(status: int) -> bool:
    return 200 <= status < 300


def response_error(reply: Reply, *, attempts: int, key: ApiKey) -> ResponseError:
    """The exception for an answer that is no success.

    Args:
        reply: The answer.
        attempts: How many requests were sent for this call, this one included.
        key: Never to be quoted, should the other side have echoed it.
    """
    reply = reply.without(key)
    problem = parse_problem(reply.body, key.redact)
    message = _status_line(reply.status)
    if 300 <= reply.status < 400 and "Location" in reply.headers:
        location = shortened(reply.headers["Location"], _MESSAGE_CHARACTERS)
        message += f": a redirect to {location!r}, and redirects are not followed"
    elif problem is not None and str(problem):
        message += f": {shortened(str(problem), _MESSAGE_CHARACTERS)}"
    elif reply.body:
        message += f": {reply.excerpt}"
    message += f" [{reply.url}]"
    retry_after = parse_retry_after(reply.headers)
    if retry_after is not None:
        message += f" (retry after {retry_after:g} s)"
    request_id = reply.request_id
    if request_id is not None:
        message += f" (request id {request_id})"

    default = ServerError if reply.status >= 500 else ResponseError
    return ERROR_BY_STATUS.get(reply.status, default)(
        message,
        status=reply.status,
        url=str(reply.url),
        problem=problem,
        request_id=request_id,
        retry_after=retry_after,
        attempts=attempts,
    )


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def parse_problem(body: bytes, redact: Callable[[str], str]) -> ProblemDetails | None:
    """The Problem Details (RFC 9457) in a body, or None.

    Whatever the Content-Type: gateways relabel bodies. A member of the wrong type is
    ignored, as section 3.1 asks of consumers.

    Args:
        body: The body.
        redact: Applied to every string: JSON's escapes may have hidden a secret in it.
    """
    try:
        data: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    members = cast(dict[str, Any], data)

    def text(name: str) -> str | None:
        value = members.get(name)
        return redact(value) if isinstance(value, str) else None

    status = members.get("status")
    problem = ProblemDetails(
        type=text("type"),
        title=text("title"),
        status=status if is_int(status) else None,
        detail=text("detail"),
        instance=text("instance"),
        errors=_field_errors(members.get("errors"), redact),
    )
    return None if problem == ProblemDetails() else problem


def _field_errors(value: object, redact: Callable[[str], str]) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        return {}
    errors: dict[str, tuple[str, ...]] = {}
    for field, messages in cast(dict[str, object], value).items():
        listed = cast(list[object], messages) if isinstance(messages, list) else [messages]
        texts = tuple(redact(message) for message in listed if isinstance(message, str))
        if texts:
            errors[redact(field)] = texts
    return errors


def parse_retry_after(
    headers: Mapping[str, str], wall_clock: Callable[[], float] = time.time
) -> float | None:
    """Seconds to wait that Retry-After asks for (RFC 9110, section 10.2.3), or None.

    An HTTP-date is judged against the answer's own Date header, so that a wrong clock on
    this machine doesn't shorten the wait; ``wall_clock`` serves where there is no Date.
    """
    value = headers.get("Retry-After", "").strip()
    if _DELAY_SECONDS.fullmatch(value):
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    now = _http_date(headers.get("Date", ""))
    return max(0.0, until - (wall_clock() if now is None else now))


def _http_date(value: str) -> float | None:
    """Seconds since the epoch, or None where the value is no HTTP-date."""
    try:
        moment = parsedate_to_datetime(value)
        # An HTTP-date is always GMT, and "-0000" parses as a naive datetime.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def deprecation_notice(headers: Mapping[str, str]) -> str | None:
    """What the Deprecation (RFC 9745) and Sunset (RFC 8594) headers announce, or None."""
    if "Deprecation" not in headers and "Sunset" not in headers:
        return None
    told = [f"{name}: {headers[name]}" for name in ("Deprecation", "Sunset") if name in headers]
    return "; ".join(_readable(line) for line in told)


def _readable(line: str) -> str:
    # RFC 9745 writes the moment as "@" and seconds since the epoch.
    stamp = re.fullmatch(r"(.*: )@([0-9]{1,11})", line)
    if stamp is None:
        return line
    return f"{stamp[1]}{datetime.fromtimestamp(int(stamp[2]), UTC):%Y-%m-%d %H:%M} UTC"
