"""The client: settings checked, a transport made of them, the resources hung on it."""

from __future__ import annotations

import os
from typing import Any, NoReturn, Self

import aiohttp

from ._validators import is_int
from .config import ApiKey, Timeouts, base_url
from .errors import ConfigurationError, UsageError
from .resources import RealizedTrainings
from .retry import RetryPolicy
from .throttle import RateLimit
from .transport import Transport

_HOST_VARIABLE = "LUCCA_HOST"
_API_KEY_VARIABLE = "LUCCA_API_KEY"


class LuccaTrainingClient:
    """An async client of Lucca's Training API that stays within the tenant's budget.

    Make one per tenant and event loop and share it: the budget, the pause after a 429 and
    the connections are those of the client. It may be made outside the loop; it belongs to
    the loop that uses it first.

    Args:
        host: ``"acme.ilucca.net"``, or the URL without path, query or user info.
        api_key: The key alone; it appears in no repr, log, error or pickle.
        session: An aiohttp session to use; it is never closed. Without one, the client
            makes its own, and :meth:`aclose` closes it.
        timeouts: Limits of one attempt.
        retry: What is retried, and for how long.
        rate_limit: This client's share of the tenant's request budget; None for no limit
            of our own (a 429 still pauses the client).
        max_concurrency: How many requests may be under way at once; no more than the
            connector of a given session allows.
        allow_any_host: Accept a host outside the patterns that Lucca documents.

    Attributes:
        realized_trainings: Reads realized trainings.

    Raises:
        ConfigurationError: A setting can't work.
    """

    realized_trainings: RealizedTrainings

    def __init__(
        self,
        host: str,
        api_key: str,
        *,
        session: aiohttp.ClientSession | None = None,
        timeouts: Timeouts = Timeouts(),
        retry: RetryPolicy = RetryPolicy(),
        rate_limit: RateLimit | None = RateLimit(),
        max_concurrency: int = 10,
        allow_any_host: bool = False,
    ) -> None:
        url = base_url(host, allow_any_host=allow_any_host)
        _check_type("timeouts", timeouts, Timeouts)
        _check_type("retry", retry, RetryPolicy)
        if rate_limit is not None:
            _check_type("rate_limit", rate_limit, RateLimit)
        if session is not None:
            _check_type("session", session, aiohttp.ClientSession)
        if not is_int(max_concurrency) or max_concurrency < 1:
            raise ConfigurationError(
                f"max_concurrency must be an int of at least 1, not {max_concurrency!r}"
            )
        self._origin = str(url.origin())
        self._transport = Transport(
            base_url=url,
            api_key=ApiKey(api_key),
            session=session,
            timeouts=timeouts,
            retry=retry,
            rate_limit=rate_limit,
            max_concurrency=max_concurrency,
        )
        self.realized_trainings = RealizedTrainings(self._transport)

    @classmethod
    def from_env(
        cls,
        *,
        session: aiohttp.ClientSession | None = None,
        timeouts: Timeouts = Timeouts(),
        retry: RetryPolicy = RetryPolicy(),
        rate_limit: RateLimit | None = RateLimit(),
        max_concurrency: int = 10,
        allow_any_host: bool = False,
    ) -> Self:
        """A client for the host and the key in ``LUCCA_HOST`` and ``LUCCA_API_KEY``.

        Raises:
            ConfigurationError: A variable is missing or empty, or a setting can't work.
        """
        return cls(
            _variable(_HOST_VARIABLE),
            _variable(_API_KEY_VARIABLE),
            session=session,
            timeouts=timeouts,
            retry=retry,
            rate_limit=rate_limit,
            max_concurrency=max_concurrency,
            allow_any_host=allow_any_host,
        )

    async def aclose(self) -> None:
        """Close the client, and its session if it made one; idempotent.

        Calls that wait (for the budget, for a retry) fail with UsageError at once.

        Raises:
            UsageError: Called in another event loop than the one that used the client.
        """
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        self._transport.bind()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> NoReturn:
        raise UsageError("use 'async with' for this client, not 'with'")

    def __exit__(self, *_: object) -> None: ...

    def __repr__(self) -> str:
        state = " closed" if self._transport.closed else ""
        return f"<{type(self).__name__} {self._origin}{state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client can't be pickled or copied: it holds connections and the API key")


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ConfigurationError(f"the environment variable {name} is not set")
    return value


def _check_type(name: str, value: object, expected: type[Any]) -> None:
    if not isinstance(value, expected):
        raise ConfigurationError(
            f"{name} must be a {expected.__name__}, not {type(value).__name__}"
        )
