"""What an HTTP answer means, as pure functions of its status, headers and body.

Whatever the other side wrote reaches an error or a log line through :func:`quoted` alone.
"""

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
from yarl import URL

from .._checks import is_int
from ..errors import ERROR_BY_STATUS, DecodeError, ProblemDetails, ResponseError, ServerError
from ..models import Fault, WireError
from ..settings import ApiKey

_EXCERPT_CHARACTERS = 120
_MESSAGE_CHARACTERS = 500
_MOST_FAULTS_TOLD = 3
# Lucca's documentation names no request id header: these are the customary ones.
_REQUEST_ID_HEADERS = ("X-Request-Id", "X-Correlation-Id", "Request-Id")
# RFC 9110 asks for whole seconds; a fraction is understood too.
_DELAY_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
# Beyond the last date that a Retry-After can name (the year 9999): no answer means infinity.
_LONGEST_RETRY_AFTER = 1e12


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


def quoted(text: str, key: ApiKey, most: int = _MESSAGE_CHARACTERS) -> str:
    """Somebody else's text as it may be quoted: one printable line, short, without the key."""
    # More than is kept, but not megabytes; the key may begin near the end of what is.
    line = " ".join(key.redact(text[: 8 * most]).split())
    return shortened("".join(c if c.isprintable() else "\ufffd" for c in line), most)


def shortened(text: str, most: int) -> str:
    """The text in at most so many characters, an ellipsis in place of what is left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def request_id(reply: Reply, key: ApiKey) -> str | None:
    """The request id that the answer's headers give, or None."""
    named = (reply.headers[name] for name in _REQUEST_ID_HEADERS if name in reply.headers)
    return next((quoted(value, key, _EXCERPT_CHARACTERS) for value in named), None)


def excerpt(body: bytes, key: ApiKey) -> str:
    """The beginning of a body, short enough for a message."""
    return quoted(
        body[: 8 * _EXCERPT_CHARACTERS].decode("utf-8", "replace"), key, _EXCERPT_CHARACTERS
    )


def is_success(status: int) -> bool:
    return 200 <= status < 300


def response_error(reply: Reply, *, attempts: int, key: ApiKey) -> ResponseError:
    """The exception for an answer that is no success.

    Args:
        reply: The answer.
        attempts: How many requests were sent for this call, this one included.
        key: Never to be quoted, should the other side have echoed it.
    """
    problem = parse_problem(reply.body, lambda text: quoted(text, key))
    message = _status_line(reply.status)
    if 300 <= reply.status < 400 and "Location" in reply.headers:
        location = quoted(reply.headers["Location"], key)
        message += f": a redirect to {location!r}, and redirects are not followed"
    elif problem is not None and str(problem):
        message += f": {shortened(str(problem), _MESSAGE_CHARACTERS)}"
    elif reply.body:
        message += f": {excerpt(reply.body, key)}"
    message += f" [{reply.url}]"
    retry_after = parse_retry_after(reply.headers)
    if retry_after is not None:
        message += f" (retry after {retry_after:g} s)"
    support_id = request_id(reply, key)
    if support_id is not None:
        message += f" (request id {support_id})"

    default = ServerError if reply.status >= 500 else ResponseError
    return ERROR_BY_STATUS.get(reply.status, default)(
        message,
        url=str(reply.url),
        status=reply.status,
        problem=problem,
        retry_after=retry_after,
        attempts=attempts,
        request_id=support_id,
    )


def decode_error(reply: Reply, error: WireError, *, attempts: int, key: ApiKey) -> DecodeError:
    """The exception for a success whose body is not the resource."""
    told = "; ".join(_told(fault, key) for fault in error.faults[:_MOST_FAULTS_TOLD])
    begins = excerpt(reply.body, key)
    return DecodeError(
        f"the answer is not what Lucca documents: {told} [{reply.url}]; it begins {begins!r}",
        url=str(reply.url),
        path=error.faults[0].path,
        excerpt=begins,
        attempts=attempts,
        request_id=request_id(reply, key),
    )


def _told(fault: Fault, key: ApiKey) -> str:
    told = f"{fault.path}: {fault.reason}"
    for value in fault.got:
        # A text is looked at before repr() escapes anything in it.
        value = quoted(value, key, 60) if isinstance(value, str) else value
        told += f", got {quoted(_briefly(value), key, 60)}"
    return told


def _briefly(value: object) -> str:
    # What is inside of an array or an object could hold half a key where it is cut.
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "an array"
    try:
        return repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a huge number"


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def parse_problem(body: bytes, quote: Callable[[str], str]) -> ProblemDetails | None:
    """The Problem Details (RFC 9457) in a body, or None.

    Whatever the Content-Type: gateways relabel bodies. A member of the wrong type is
    ignored, as section 3.1 asks of consumers.

    Args:
        body: The body.
        quote: Applied to every string: JSON's escapes may hide anything in it.
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
        return quote(value) if isinstance(value, str) else None

    status = members.get("status")
    problem = ProblemDetails(
        type=text("type"),
        title=text("title"),
        status=status if is_int(status) else None,
        detail=text("detail"),
        instance=text("instance"),
        errors=_field_errors(members.get("errors"), quote),
    )
    return None if problem == ProblemDetails() else problem


def _field_errors(value: object, quote: Callable[[str], str]) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        return {}
    errors: dict[str, tuple[str, ...]] = {}
    for field, messages in cast(dict[str, object], value).items():
        listed = cast(list[object], messages) if isinstance(messages, list) else [messages]
        texts = tuple(quote(message) for message in listed if isinstance(message, str))
        if texts:
            errors[quote(field)] = texts
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
        return min(float(value), _LONGEST_RETRY_AFTER)
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
