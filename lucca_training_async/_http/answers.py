"""What an HTTP answer means, as pure functions of its status, headers and body.

Whatever the other side wrote reaches an error or a log line through :func:`quoted` alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import cast

import attrs
from multidict import MultiMapping as _MultiMapping
from yarl import URL

from ..errors import (
    ERROR_BY_STATUS,
    DecodeError,
    ProblemDetails,
    ResponseError,
    ServerError,
    WrongRecordError,
)
from ..models import BadItem, Fault, JsonSyntaxError, WireError, WrongIdError, dumps
from ..settings import ApiKey
from .problem import parse_problem

_EXCERPT_CHARACTERS = 120
_MESSAGE_CHARACTERS = 500
_MOST_FAULTS_TOLD = 3
# Lucca's documentation names no request id header: these are the customary ones.
_REQUEST_ID_HEADERS = ("X-Request-Id", "X-Correlation-Id", "Request-Id", "CF-RAY")
_STACK_TRACE = re.compile(r"[\"']?stack[^a-z\"]{0,3}trace.*", re.IGNORECASE | re.DOTALL)
# A date holds a comma of its own.
_RETRY_AFTER = re.compile(r"\s*(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,[^,]*|[^,]+", re.IGNORECASE)
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

    Attributes:
        status: The status code.
        headers: Its headers.
        body: What was read of the body.
        url: What was asked for.
        is_whole: Whether the body was read to its end; not so where it broke off.
        is_framed: Whether its end was announced, so that a body cut off can't pass for one.
        cut_at: The number of bytes at which a larger body was cut, or None.
        pool: The connections that it came over.
        attempts: How many requests were sent until it came.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    url: URL
    is_whole: bool = True
    is_framed: bool = True
    cut_at: int | None = None
    pool: object = attrs.field(default=None, repr=False)
    attempts: int = 1


def quoted(text: str, key: ApiKey, most: int = _MESSAGE_CHARACTERS) -> str:
    """Somebody else's text as it may be quoted: one printable line, short, without the key."""
    # More than is kept, but not megabytes; the key may begin near the end of what is.
    line = " ".join(key.redact(text[: 8 * most]).split())
    return shortened("".join(c if c.isprintable() else "\ufffd" for c in line), most)


def shortened(text: str, most: int) -> str:
    """The text in at most so many characters, an ellipsis in place of what is left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def request_id(reply: Reply, problem: ProblemDetails | None, key: ApiKey) -> str | None:
    """What Lucca's support would ask for: an id from the headers, or the body's trace id."""
    named = (value for name in _REQUEST_ID_HEADERS if (value := reply.headers.get(name)))
    trace_id = None if problem is None else problem.trace_id
    return next((quoted(value, key, _EXCERPT_CHARACTERS) for value in named), trace_id)


def excerpt(body: bytes, key: ApiKey) -> str:
    """The beginning of a body, short enough for a message."""
    text = body[: 8 * _EXCERPT_CHARACTERS].decode("utf-8", "replace")
    return quoted(_STACK_TRACE.sub("…", text), key, _EXCERPT_CHARACTERS)


def is_page(reply: Reply) -> bool:
    """Whether something in front of Lucca has answered, with a page for people."""
    # In UTF-8 or UTF-16, with or without a byte order mark.
    beginning = reply.body[:_EXCERPT_CHARACTERS].replace(b"\0", b"")
    if beginning.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] == b"<":
        return True
    is_html = "html" in reply.headers.get("Content-Type", "").lower()
    return is_html and parse_problem(reply.body, str) is None


def is_success(status: int) -> bool:
    return 200 <= status < 300


def is_given_up(status: int) -> bool:
    """Whether a gateway has stopped waiting for Lucca, which the request may reach all the same.

    502 and 504 (RFC 9110, sections 15.6.3 and 15.6.5), and what Cloudflare has in their place.
    """
    return status in (502, 504) or status >= 520


def response_error(reply: Reply, *, attempts: int, key: ApiKey) -> ResponseError:
    """The exception for an answer that is no success.

    Status and headers count; the body only explains, if it can be read.

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
    elif problem is not None and (told := _said(problem, reply.status)):
        message += f": {told}"
    elif reply.body:
        message += f": {excerpt(reply.body, key)}"
    message += f" [{reply.url}]"
    if reply.cut_at is not None:
        message += f" (its body is larger than {reply.cut_at:,} bytes and was not read further)"
    elif not reply.is_whole:
        message += " (its body could not be read to the end)"
    retry_after = parse_retry_after(reply.headers)
    if retry_after is not None:
        message += f" (retry after {retry_after:g} s)"
    support_id = request_id(reply, problem, key)
    if support_id is not None:
        message += f" (request id {support_id})"

    return _class_of(reply)(
        message,
        url=str(reply.url),
        status=reply.status,
        problem=problem,
        retry_after=retry_after,
        attempts=attempts,
        request_id=support_id,
        transient=is_page(reply),
    )


def _said(problem: ProblemDetails, status: int) -> str:
    # A title that only says the status again says nothing.
    says_nothing = problem.title is not None and _status_line(status).endswith(problem.title)
    return str(attrs.evolve(problem, title=None) if says_nothing else problem)


def _class_of(reply: Reply) -> type[ResponseError]:
    if reply.status < 500 and reply.status != 429 and is_page(reply):
        # Nothing that Lucca says, of the record or of the key: people delete what is not found,
        # and a refused key would end a run.
        return ResponseError
    default = ServerError if reply.status >= 500 else ResponseError
    return ERROR_BY_STATUS.get(reply.status, default)


def decode_error(reply: Reply, error: WireError, *, attempts: int, key: ApiKey) -> DecodeError:
    """The exception for a success whose body is not the resource."""
    kind = WrongRecordError if isinstance(error, WrongIdError) else DecodeError
    page = is_page(reply)
    # A page, another record, and a body of unknown length that is no JSON are faults of the
    # way; Lucca itself would give the same answer again.
    cut_off = not reply.is_framed and isinstance(error, JsonSyntaxError)
    told = "; ".join(_told(fault, key) for fault in error.faults[:_MOST_FAULTS_TOLD])
    if page:
        told = f"{told}; it is a page, perhaps of something in front of Lucca"
    begins = excerpt(reply.body, key)
    return kind(
        f"the answer is not what Lucca documents: {told} [{reply.url}]; it begins {begins!r}",
        url=str(reply.url),
        path=error.faults[0].path,
        excerpt=begins,
        attempts=attempts,
        request_id=request_id(reply, None, key),
        transient=page or cut_off or kind is WrongRecordError,
    )


def item_error(reply: Reply, item: BadItem, key: ApiKey) -> DecodeError:
    """The exception for an item of a page that is no record; the page is none the worse for it."""
    told = "; ".join(_told(fault, key) for fault in item.faults[:_MOST_FAULTS_TOLD])
    raw: object = None
    try:
        raw = _without_key(item.raw, key)
        text = dumps(raw)
    except (ValueError, RecursionError):  # NaN, or nested too deeply
        text = "something without JSON"
    begins = quoted(text, key, _EXCERPT_CHARACTERS)
    return DecodeError(
        f"an item is not what Lucca documents: {told} [{reply.url}]; it is {begins!r}",
        url=str(reply.url),
        path=item.faults[0].path,
        excerpt=begins,
        attempts=reply.attempts,
        request_id=request_id(reply, None, key),
        item=raw,
    )


def _without_key(value: object, key: ApiKey) -> object:
    """Parsed JSON without the key, should the other side have echoed it."""
    if isinstance(value, str):
        return key.redact(value)
    if isinstance(value, dict):
        members = cast("dict[str, object]", value).items()
        return {key.redact(name): _without_key(member, key) for name, member in members}
    if isinstance(value, list):
        return [_without_key(member, key) for member in cast("list[object]", value)]
    return value


def too_large_error(reply: Reply, *, attempts: int, key: ApiKey) -> DecodeError:
    """The exception for a success with a body beyond the cap."""
    most = f"{reply.cut_at:,} bytes"
    return DecodeError(
        f"the answer is larger than {most} and was not read further (max_body_bytes) [{reply.url}]",
        url=str(reply.url),
        path="$",
        excerpt=excerpt(reply.body, key),
        attempts=attempts,
        request_id=request_id(reply, None, key),
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


def parse_retry_after(
    headers: Mapping[str, str], wall_clock: Callable[[], float] = time.time
) -> float | None:
    """Seconds to wait that Retry-After asks for (RFC 9110, section 10.2.3), or None.

    An HTTP-date is judged against the answer's own Date header, so that a wrong clock on
    this machine doesn't shorten the wait; ``wall_clock`` serves where there is no Date. Of
    several values (a proxy's beside Lucca's) the longest counts.
    """
    lines = headers.getall("Retry-After", []) if isinstance(headers, _MultiMapping) else []
    seconds = [
        found
        for value in _RETRY_AFTER.findall(",".join(lines) or headers.get("Retry-After", ""))
        if (found := _one_retry_after(value.strip(), headers, wall_clock)) is not None
    ]
    return max(seconds, default=None)


def _one_retry_after(
    value: str, headers: Mapping[str, str], wall_clock: Callable[[], float]
) -> float | None:
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
