"""Every exception the client raises, and the Problem Details that Lucca explains itself with.

Errors outlive the request that caused them: they are logged, pickled between processes
and kept in a bulk result. So they hold plain values only (never a response, a session or
the API key), and they are raised outside the ``except`` block that noticed the fault, so
that no aiohttp exception, whose ``request_info`` carries the headers, hangs on
``__context__``.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class ProblemDetails:
    """The body of an error answer (RFC 9457, formerly RFC 7807).

    ``errors`` maps a field of the request to what is wrong with it; Lucca fills it for
    validation failures.
    """

    type: str | None = None
    title: str | None = None
    status: int | None = None
    detail: str | None = None
    instance: str | None = None
    errors: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict[str, tuple[str, ...]])

    def __str__(self) -> str:
        parts = [part for part in (self.title, self.detail) if part]
        parts += [f"{field}: {' '.join(messages)}" for field, messages in self.errors.items()]
        return " - ".join(parts)


class LuccaError(Exception):
    """Base of every exception this package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own __reduce__ calls the class with ``args`` alone, which fails for
        # keyword-only parameters. Rebuilding without __init__ serves every subclass.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class ConfigurationError(LuccaError, ValueError):
    """A setting (host, API key, policy, timeouts) can't work; no request was spent."""


class InvalidIdError(LuccaError, ValueError):
    """The value is no realized-training id (an int from 1 to 2**31 - 1); no request was spent."""


class UsageError(LuccaError, RuntimeError):
    """The client was used after ``aclose()``, from another event loop, or without ``async``."""


class LuccaConnectionError(LuccaError):
    """No complete answer arrived: refused, dropped, TLS failure or truncated body.

    Attributes:
        url: The URL that was requested.
        attempts: How many requests were sent for this call.
        transient: Whether another attempt may succeed; false for a certificate that does
            not verify.
    """

    def __init__(
        self, message: str, *, url: str, attempts: int = 1, transient: bool = True
    ) -> None:
        super().__init__(message)
        self.url = url
        self.attempts = attempts
        self.transient = transient


class LuccaTimeoutError(LuccaConnectionError):
    """The attempt did not complete within :class:`~lucca_training_async.Timeouts`."""


class ResponseError(LuccaError):
    """Lucca answered, and the answer is not the resource.

    Raised as itself for a redirect (never followed) and for the statuses that have no
    class of their own, such as 405, 408 or 413.

    Attributes:
        status: The HTTP status code.
        url: The URL that was requested.
        problem: The parsed Problem Details, or None if the body held none.
        request_id: The request id that the answer's headers give, for Lucca's support.
        retry_after: Seconds that the answer asks to wait (RFC 9110, section 10.2.3), or None.
        attempts: How many requests were sent for this call.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        url: str,
        problem: ProblemDetails | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.url = url
        self.problem = problem
        self.request_id = request_id
        self.retry_after = retry_after
        self.attempts = attempts


class BadRequestError(ResponseError):
    """400: the request is malformed; ``problem.errors`` says which field."""


class AuthenticationError(ResponseError):
    """401: the API key is wrong or revoked. It stops a bulk run."""


class PermissionDeniedError(ResponseError):
    """403: the key's role may not read this."""


class NotFoundError(ResponseError):
    """404: no such realized training, or none that the key's role may see."""


class RateLimitedError(ResponseError):
    """429: the tenant's request budget is spent; ``retry_after`` says for how long.

    Also raised without sending anything while an earlier 429 forbids requests for longer
    than :attr:`RetryPolicy.retry_after_max <lucca_training_async.RetryPolicy>`.
    """


class ServerError(ResponseError):
    """5xx: Lucca failed, and went on failing for every attempt allowed."""


class DecodeError(LuccaError):
    """A successful answer is not what the API documents.

    Attributes:
        path: JSON path of the first offending field, such as ``$.training.level``; ``$``
            is the whole body.
        excerpt: The beginning of the body.
        url: The URL that was requested.
        request_id: The request id that the answer's headers give, or None.
    """

    def __init__(
        self, message: str, *, path: str, excerpt: str, url: str, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.path = path
        self.excerpt = excerpt
        self.url = url
        self.request_id = request_id


ERROR_BY_STATUS: Mapping[int, type[ResponseError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitedError,
}
