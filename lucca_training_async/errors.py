"""Every exception the client raises, and the Problem Details that Lucca explains itself with.

Errors outlive the request that caused them: they are logged, pickled between processes
and kept in a bulk result. So they hold plain values only (never a response, a session or
the API key), and they are raised outside the ``except`` block that noticed the fault, so
that no aiohttp exception, whose ``request_info`` carries the headers, hangs on
``__context__``.
"""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

import copyreg
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

# Lucca documents 408, 429, 500 and 503; the other 5xx come from gateways in front of it.
_TRANSIENT_STATUSES = frozenset({408, 429})
_MOST_TOLD = 500


@attrs.frozen(kw_only=True)
class ProblemDetails:
    """The body of an error answer (RFC 9457, formerly RFC 7807).

    Older endpoints and gateways write ``Status`` and ``Message`` instead; those are told as
    ``status`` and ``detail``. All texts are as they may be shown: one printable line each, of
    500 characters at most.

    Attributes:
        type: What kind of problem it is, as a URI.
        title: The same, for people.
        status: The status code that the body names.
        detail: What is special about this occurrence.
        instance: This occurrence, as a URI.
        errors: What is wrong with each field of the request; Lucca fills it for validation
            failures. What a body tells of no field is found under ``""``.
        trace_id: ASP.NET Core's id of the request, for Lucca's support.
        extensions: All members that RFC 9457 doesn't define, ``traceId`` among them, by the
            names they have. Stack traces are left out.
    """

    type: str | None = None
    title: str | None = None
    status: int | None = None
    detail: str | None = None
    instance: str | None = None
    errors: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict[str, tuple[str, ...]])
    trace_id: str | None = None
    extensions: Mapping[str, Any] = attrs.field(factory=dict[str, Any])

    def __str__(self) -> str:
        parts = [part for part in (self.title, self.detail) if part]
        for field, messages in self.errors.items():
            told = " ".join(messages)
            parts.append(f"{field}: {told}" if field else told)
        line = " - ".join(parts)
        return line if len(line) <= _MOST_TOLD else f"{line[: _MOST_TOLD - 1]}…"


class LuccaError(Exception):
    """Base of every exception this package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own __reduce__ calls the class with ``args`` alone, which fails for
        # keyword-only parameters. Rebuilding without __init__ serves every subclass.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class ConfigurationError(LuccaError, ValueError):
    """A setting (host, API key, policy, timeouts) can't work; no request was spent."""


class SharedBudgetError(LuccaError):
    """The ledger of the shared budget can't be reached, and ``shared_budget_required`` is set.

    A call raises it, a bulk run stops with it, and so does entering the client. Nothing was sent.
    The ledger may be reached again later, and the next call tries.
    """


class InvalidIdError(LuccaError, ValueError):
    """The value is no id (an integer from 1 to 2**31 - 1); no request was spent for it."""


class UsageError(LuccaError, RuntimeError):
    """The client was used from another event loop, without ``async``, or with a closed session."""


class ClientClosedError(LuccaError, RuntimeError):
    """The client was closed before the call, or while it waited; nothing more was sent."""


class RequestError(LuccaError):
    """A request was due, and did not bring the resource.

    Attributes:
        url: The URL that was requested.
        attempts: How many requests were sent for this call, this one included.
        request_id: The request id that the answer's headers give, for Lucca's support, or
            None.
        transient: Whether the same request may succeed later.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str,
        attempts: int = 1,
        request_id: str | None = None,
        transient: bool = False,
    ) -> None:
        super().__init__(message)
        self.url = url
        self.attempts = attempts
        self.request_id = request_id
        self.transient = transient


class LuccaConnectionError(RequestError):
    """No complete answer arrived: refused, dropped, TLS failure or truncated body.

    It is ``transient``, but for a certificate that does not verify and a proxy that wants a
    password.

    Attributes:
        sent: Whether the request may have reached Lucca. Where it certainly did not (the
            name not found, the connection refused), it costs nothing of the budget.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str,
        attempts: int = 1,
        request_id: str | None = None,
        transient: bool = True,
        sent: bool = True,
    ) -> None:
        super().__init__(
            message, url=url, attempts=attempts, request_id=request_id, transient=transient
        )
        self.sent = sent


class LuccaTimeoutError(LuccaConnectionError):
    """The attempt did not complete within :class:`~lucca_training_async.Timeouts`."""


class OutageError(LuccaConnectionError):
    """An outage, and the call does not wait for its end, or the bulk run no longer does.

    A single get is told at once, and unsent, unless it was a probe itself. A bulk run is told
    after :attr:`RetryPolicy.patience <lucca_training_async.RetryPolicy>`, or, of a host that
    has never answered at all, within a minute; its error stands for the ids that were not sent.

    Attributes:
        since: Since when there was no sign of life (UTC).
        last_seen: What the last request came to, or None if another process sent it.
        retry_after: Seconds until the next request is due that finds out, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str,
        since: datetime | None = None,
        last_seen: RequestError | None = None,
        retry_after: float | None = None,
        attempts: int = 0,
        request_id: str | None = None,
        transient: bool = True,
        sent: bool = False,
    ) -> None:
        super().__init__(
            message,
            url=url,
            attempts=attempts,
            request_id=request_id,
            transient=transient,
            sent=sent,
        )
        self.since: datetime = since or datetime.now(UTC)
        self.last_seen = last_seen
        self.retry_after = retry_after


class ResponseError(RequestError):
    """Lucca answered, and the answer is not the resource.

    Raised as itself for a redirect (never followed), for the statuses that have no class of
    their own, such as 405, 408 or 413, and for an HTML page with any status below 500: that
    comes from something in front of Lucca, says nothing of the record nor of the key, and is
    ``transient``.

    Attributes:
        status: The HTTP status code.
        problem: The parsed Problem Details, or None if the body held none.
        retry_after: Seconds that the answer asks to wait (RFC 9110, section 10.2.3), or None.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str,
        status: int,
        problem: ProblemDetails | None = None,
        retry_after: float | None = None,
        attempts: int = 1,
        request_id: str | None = None,
        transient: bool = False,
    ) -> None:
        super().__init__(
            message,
            url=url,
            attempts=attempts,
            request_id=request_id,
            transient=transient or status in _TRANSIENT_STATUSES or status >= 500,
        )
        self.status = status
        self.problem = problem
        self.retry_after = retry_after


class BadRequestError(ResponseError):
    """400: the request is malformed; ``problem.errors`` says which field."""


class AuthenticationError(ResponseError):
    """401: the API key is wrong or revoked. It stops a bulk run."""


class PermissionDeniedError(ResponseError):
    """403: the key's role may not read this. It stops a bulk run whose first 20 answers it is."""


class NotFoundError(ResponseError):
    """404: no such record, or none that the key's role may see.

    A 404 with an HTML page is a plain :class:`ResponseError`.
    """


class RateLimitedError(ResponseError):
    """429: the tenant's request budget is spent; ``retry_after`` says for how long.

    A single get raises it, perhaps unsent, when 429s would keep it waiting for longer than
    :attr:`RetryPolicy.retry_after_max <lucca_training_async.RetryPolicy>` in total; a bulk run
    when they would do so for longer than ``patience``.
    """


class ServerError(ResponseError):
    """5xx: Lucca failed, for every attempt allowed, or asks to wait for too long."""


class DecodeError(RequestError):
    """A successful answer is not what the API documents.

    Attributes:
        path: JSON path of the first offending field, such as ``$.training.level``; ``$``
            is the whole body, and ``$.items[3].training.level`` is in an item of a page.
        excerpt: The beginning of the body, or of the item.
        item: The item of a page that is no record, as it was parsed (numbers with a fraction
            are Decimal), or None where it is not about an item.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str,
        path: str,
        excerpt: str,
        attempts: int = 1,
        request_id: str | None = None,
        transient: bool = False,
        item: object = None,
    ) -> None:
        super().__init__(
            message, url=url, attempts=attempts, request_id=request_id, transient=transient
        )
        self.path = path
        self.excerpt = excerpt
        self.item = item


class WrongRecordError(DecodeError):
    """The answer is another record than the one asked for; ``path`` is ``$.id``.

    A cache in front of Lucca, or a connection whose answers are out of step, gives those.
    The request is sent again over a new connection.
    """


ERROR_BY_STATUS: Mapping[int, type[ResponseError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitedError,
}
