"""What a client is told: where requests go, with which key, how many, and how long they may take.

Everything is checked where it is written, before a request is spent.
"""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypedDict, TypeVar, Unpack, cast

import aiohttp
import attrs
import tenacity
from yarl import URL

from . import _checks
from ._budget_url import check_shared_budget, shown
from ._checks import (
    fewer_than_requests,
    instance_of,
    non_negative_seconds,
    optional_positive_seconds,
    positive_int,
    positive_seconds,
)
from ._redaction import Redactor
from .errors import ConfigurationError
from .ledger import Ledger, SharedBudget

P = ParamSpec("P")
T = TypeVar("T")

_HEADER_PREFIX = "lucca application="


def _check_wait(_: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if value is not None and (not callable(value) or inspect.iscoroutinefunction(value)):
        raise ConfigurationError(
            f"RetryPolicy.{attribute.name} must be a tenacity wait (a plain callable that "
            f"gets a RetryCallState), not {type(value).__name__}"
        )


@attrs.frozen
class RateLimit:
    """The request budget of a Lucca tenant: at most ``requests`` in any ``period``.

    Lucca's documentation ("Rate limits") gives 50 requests per 60 s, shared by all the
    integrations of the tenant. Give each of them its share.

    The promise holds as long as no request arrives later than one period after the client
    stopped waiting for it (a timeout, a cancellation, a broken connection, a gateway's 502 or
    504).

    Attributes:
        requests: How many requests.
        period: In how many seconds.
        reserved: How many of them no bulk request may use, so that a person never waits for one.

    Raises:
        ConfigurationError: A value is not positive and finite, or all are reserved.
    """

    requests: int = attrs.field(default=50, validator=positive_int)
    period: float = attrs.field(default=60.0, validator=positive_seconds)
    reserved: int = attrs.field(default=0, kw_only=True, validator=fewer_than_requests)


@attrs.frozen
class RetryPolicy:
    """How one call deals with failed attempts, and how long it waits where waiting helps.

    A 429 is no failed attempt: the request is sent again when the pause that it asks for is
    over. Nor is an attempt that falls into an outage of the host. Waiting for these has limits of
    its own: ``patience`` for a bulk run, ``retry_after_max`` for a single get.

    Attributes:
        max_attempts: Failed attempts that end a call, the first one included.
        deadline: Seconds, counted from the first attempt, after which no other attempt
            starts; None for no such limit. Waiting for the budget before the first attempt
            doesn't count, and an attempt under way isn't cut short: to bound a whole call,
            wrap it in ``asyncio.timeout``.
        backoff_initial: Upper bound, in seconds, of the wait after the first failure; it
            doubles with each further one. The wait is drawn at random below the bound, so
            that clients which failed together don't come back together.
        backoff_max: Seconds that this bound never exceeds.
        retry_after_max: Seconds that a single get waits, in total, where Lucca asks to wait
            (Retry-After, or a 429 without it). Beyond it the error is raised at once, with
            ``retry_after`` set.
        patience: Seconds that a bulk run waits for an outage to end, counted from the first
            request in it, or for 429s, counted from the first in a row. Then it stops. A
            Retry-After that ends within that time is waited out. A host that has never
            answered is given up within a minute.
        wait: A wait strategy of tenacity's, or any callable that gets its
            ``RetryCallState`` and gives seconds, in place of the two ``backoff`` settings
            (which still tell how long a 429 without Retry-After pauses everybody).
            Retry-After stays a floor under it.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    max_attempts: int = attrs.field(default=5, validator=positive_int)
    deadline: float | None = attrs.field(default=None, validator=optional_positive_seconds)
    backoff_initial: float = attrs.field(default=0.5, validator=positive_seconds)
    backoff_max: float = attrs.field(default=30.0, validator=positive_seconds)
    retry_after_max: float = attrs.field(default=120.0, validator=non_negative_seconds)
    patience: float = attrs.field(default=900.0, validator=non_negative_seconds)
    wait: Callable[[tenacity.RetryCallState], float] | None = attrs.field(
        default=None, kw_only=True, validator=_check_wait
    )


@attrs.frozen
class Timeouts:
    """Limits of one attempt, in seconds; None lifts one.

    They start when the request is about to be sent: time spent waiting for the request
    budget or for a free place doesn't count. Lucca itself aborts a request after 5 s.

    Attributes:
        total: From connecting until the last byte of the body; in a given session, from
            sending.
        connect: For TCP and TLS to be established.
        pool: For a free connection of a given session, which others may be using; it is no
            part of ``total``. The client's own session has one for every request.
        read: The longest silence between two reads.

    Raises:
        ConfigurationError: A value is not positive and finite.
    """

    total: float | None = attrs.field(default=15.0, validator=optional_positive_seconds)
    connect: float | None = attrs.field(default=5.0, validator=optional_positive_seconds)
    read: float | None = attrs.field(default=None, validator=optional_positive_seconds)
    pool: float | None = attrs.field(default=60.0, validator=optional_positive_seconds)


def forgetting_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Let what the function raises carry no frame that has seen its arguments.

    One of them is the API key, and crash reporters send the variables of every frame.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            refusal = error.with_traceback(None)
        del args, kwargs
        raise refusal

    return call


class ApiKey:
    """The API key, where a repr, a format or a pickle can't find it by accident.

    Raises:
        ConfigurationError: The value can't be an API key; the message doesn't repeat it.
    """

    __slots__ = ("_header", "_redact")

    @forgetting_arguments
    def __init__(self, key: str) -> None:
        fault = _checks.fault_of_key(key, _HEADER_PREFIX)
        if fault is not None:
            raise ConfigurationError(fault)
        self._header: str = _HEADER_PREFIX + key
        self._redact: Redactor = Redactor(key)

    def header(self) -> str:
        """The value of the Authorization header (Lucca documentation, "Authentication")."""
        return self._header

    def redact(self, text: str) -> str:
        """The text without the key, for text that came from the other side.

        A server or proxy that echoes request headers must not put the key into an error.
        """
        return self._redact(text)

    def __repr__(self) -> str:
        return "<ApiKey hidden>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled")


class ClientOptions(TypedDict, total=False):
    """The settings beyond host and key, as keyword arguments; see :class:`Settings`."""

    session: aiohttp.ClientSession | None
    timeouts: Timeouts
    retry: RetryPolicy
    rate_limit: RateLimit | None
    max_concurrency: int
    allow_any_host: bool
    trust_env: bool
    max_body_bytes: int
    shared_budget: str | Ledger | SharedBudget | None
    shared_budget_required: bool


@attrs.frozen(init=False)
class Settings:
    """All that a client is told.

    Attributes:
        host: ``"acme.ilucca.net"``, or the URL without path, query or user info.
        api_key: The key alone; it appears in no repr, log, error or pickle.
        session: An aiohttp session to use; it is never closed. Without one, the client
            makes its own and closes it.
        timeouts: Limits of one attempt.
        retry: What is retried, and for how long.
        rate_limit: This client's share of the tenant's request budget; None for no limit
            of our own (a 429 still pauses the client).
        max_concurrency: How many requests may be under way at once; no more than the
            connector of a given session allows.
        allow_any_host: Accept a host outside the patterns that Lucca documents.
        trust_env: Let the client's own session use the proxy that the environment names
            (``HTTPS_PROXY``, ``NO_PROXY``); a given session has a setting of its own.
        max_body_bytes: The largest body that is read, as it is after decoding.
        shared_budget: Where the budget is shared with the other clients of this host: the URL of a
            file (``"sqlite:///var/lib/app/lucca.db"``) or of a Redis server
            (``"redis://127.0.0.1:6379/0"``, ``rediss://``, ``unix://``), or a
            :class:`~lucca_training_async.MemoryLedger`. Give all of them the same ``rate_limit``.
        shared_budget_required: Whether to raise
            :class:`~lucca_training_async.SharedBudgetError` where that can't be reached, rather
            than to go on within this client's part of the budget.

    Raises:
        ConfigurationError: A setting can't work.
    """

    host: str
    api_key: ApiKey
    session: aiohttp.ClientSession | None = attrs.field(
        default=None, validator=instance_of(aiohttp.ClientSession, type(None))
    )
    timeouts: Timeouts = attrs.field(default=Timeouts(), validator=instance_of(Timeouts))
    retry: RetryPolicy = attrs.field(default=RetryPolicy(), validator=instance_of(RetryPolicy))
    rate_limit: RateLimit | None = attrs.field(
        default=RateLimit(), validator=instance_of(RateLimit, type(None))
    )
    max_concurrency: int = attrs.field(default=10, validator=positive_int)
    allow_any_host: bool = attrs.field(default=False, validator=instance_of(bool))
    trust_env: bool = attrs.field(default=False, validator=instance_of(bool))
    max_body_bytes: int = attrs.field(default=10_000_000, validator=positive_int)
    shared_budget: str | Ledger | SharedBudget | None = attrs.field(
        default=None, validator=check_shared_budget, repr=shown
    )
    shared_budget_required: bool = attrs.field(default=False, validator=instance_of(bool))

    @forgetting_arguments
    def __init__(self, host: str, api_key: str | ApiKey, **options: Unpack[ClientOptions]) -> None:
        secret = api_key if isinstance(api_key, ApiKey) else ApiKey(api_key)
        # attrs makes it, and pyright doesn't know.
        self.__attrs_init__(host, secret, **options)  # pyright: ignore
        self.base_url  # noqa: B018  # it checks the host
        if self.shared_budget is not None:
            self._check_that_attempts_end()

    @forgetting_arguments
    def replace(self, **options: Unpack[ClientOptions]) -> "Settings":
        """The same settings but for these.

        Raises:
            ConfigurationError: One of them can't work.
        """
        mine = {name: getattr(self, name) for name in ClientOptions.__annotations__}
        return Settings(self.host, self.api_key, **cast(ClientOptions, mine | options))

    @property
    def longest_attempt(self) -> float:
        """Seconds after which an attempt is over, with a moment to end it."""
        timeouts = self.timeouts
        pool = 0.0 if self.session is None else timeouts.pool
        return sum(math.inf if part is None else part for part in (timeouts.total, pool)) + 1.0

    def _check_that_attempts_end(self) -> None:
        if self.longest_attempt == math.inf:
            missing = "total" if self.timeouts.total is None else "pool"
            raise ConfigurationError(
                f"a shared budget needs a finite Timeouts.{missing}: a slot that a killed process "
                "has taken is free again when the longest attempt must be over"
            )

    @property
    def base_url(self) -> URL:
        """The origin that requests go to."""
        return _checks.base_url(self.host, allow_any_host=self.allow_any_host)
