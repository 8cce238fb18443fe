"""The client: settings bound to a loop, the resources hung on it."""

from __future__ import annotations

import os
from typing import NoReturn, Self, Unpack

from ._budget import Budget, Priority
from ._http.call import Caller
from ._http.link import Link
from .errors import ConfigurationError, SharedBudgetError, UsageError
from .resources import (
    Params,
    RawResponse,
    RealizedTrainings,
    TrainingDemands,
    Trainings,
    raw_get,
)
from .settings import ClientOptions, RetryPolicy, Settings, Timeouts, forgetting_arguments

_HOST_VARIABLE = "LUCCA_HOST"
_API_KEY_VARIABLE = "LUCCA_API_KEY"
_SHARED_BUDGET_VARIABLE = "LUCCA_SHARED_BUDGET"


class LuccaTrainingClient:
    """An async client of Lucca's Training API that stays within the tenant's budget.

    Make one per tenant and event loop and share it: the budget, the pause after a 429 and
    the connections are those of the client. It may be made outside the loop; it belongs to
    the loop that uses it first.

    Args:
        host: ``"acme.ilucca.net"``, or the URL without path, query or user info.
        api_key: The key alone; it appears in no repr, log, error or pickle.
        options: The other attributes of :class:`Settings`: ``session``, ``timeouts``,
            ``retry``, ``rate_limit``, ``max_concurrency``, ``allow_any_host``, ``trust_env``,
            ``max_body_bytes``, ``shared_budget``, ``shared_budget_required``, ``on_attempt``,
            ``cache``.

    Attributes:
        realized_trainings: Reads realized trainings.
        trainings: Reads the catalogue.
        training_demands: Reads training demands.

    Raises:
        ConfigurationError: A setting can't work.
    """

    realized_trainings: RealizedTrainings
    trainings: Trainings
    training_demands: TrainingDemands

    @forgetting_arguments
    def __init__(self, host: str, api_key: str, **options: Unpack[ClientOptions]) -> None:
        self._hang(Settings(host, api_key, **options), None)

    def _hang(self, settings: Settings, link: Link | None) -> None:
        self._settings = settings
        self._link = link or Link(settings)
        self._link.allow(settings.longest_attempt)
        self._caller = caller = Caller(self._link, settings.retry, settings.timeouts)
        self.realized_trainings = RealizedTrainings(
            caller,
            self._link.flights,
            self._link.cache,
            manner=(settings.retry, settings.timeouts),
        )
        self.trainings = Trainings(caller)
        self.training_demands = TrainingDemands(caller)

    @classmethod
    @forgetting_arguments
    def from_settings(cls, settings: Settings) -> Self:
        """A client of these settings.

        Raises:
            ConfigurationError: They are no :class:`Settings`.
        """
        if not isinstance(settings, Settings):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"settings must be Settings, not {type(settings).__name__}")
        client = cls.__new__(cls)
        client._hang(settings, None)
        return client

    @classmethod
    @forgetting_arguments
    def from_env(cls, **options: Unpack[ClientOptions]) -> Self:
        """A client for the host and the key in ``LUCCA_HOST`` and ``LUCCA_API_KEY``.

        If ``LUCCA_SHARED_BUDGET`` is set, it is the ``shared_budget``, without white space around.

        Args:
            options: As for the class.

        Raises:
            ConfigurationError: A variable is missing or empty, or a setting can't work.
        """
        # What a file or a secret was read into often ends in a newline.
        shared = os.environ.get(_SHARED_BUDGET_VARIABLE, "").strip()
        if shared and "shared_budget" not in options:
            options["shared_budget"] = shared
        return cls(_variable(_HOST_VARIABLE), _variable(_API_KEY_VARIABLE), **options)

    @forgetting_arguments
    def with_options(
        self, *, retry: RetryPolicy | None = None, timeouts: Timeouts | None = None
    ) -> Self:
        """A view of this client with another policy: same session, same budget, same life.

        It costs next to nothing, so make one where it is needed. Closing it closes the
        client.

        Args:
            retry: In place of the client's own; None keeps it.
            timeouts: In place of the client's own; None keeps them.

        Raises:
            ConfigurationError: A value is of the wrong type.
        """
        settings = self._settings.replace(
            retry=self._settings.retry if retry is None else retry,
            timeouts=self._settings.timeouts if timeouts is None else timeouts,
        )
        view = type(self).__new__(type(self))
        view._hang(settings, self._link)
        return view

    async def raw_get(
        self, path: str, params: Params | None = None, *, priority: Priority = "interactive"
    ) -> RawResponse:
        """Any other endpoint of this tenant, inside the same budget.

        The budget is one for all of a tenant's APIs, so what you ask for elsewhere is best asked
        for here: it waits for its turn, is tried again, pauses and fails as a single get does.

        Args:
            path: An absolute path on this host, such as ``"/api/v3/users"``.
            params: The query: a str, int, bool, Decimal or date by name; None is left out.
            priority: Whether a person waits for it, and it goes first, or it is ``"bulk"``.

        Raises:
            ValueError: ``path`` leaves the host, or is no path; or ``priority`` is none.
            TypeError: An argument is of the wrong type.
            DecodeError: The answer has a body that is no JSON.
            LuccaError: As for a single get.
        """
        return await raw_get(self._caller, path, params, priority)

    @property
    def settings(self) -> Settings:
        """What this client was told."""
        return self._settings

    @property
    def budget(self) -> Budget:
        """What is known of the tenant's budget at this moment."""
        return self._link.budget

    async def aclose(self) -> None:
        """Close the client, and its session if it made one; idempotent.

        Calls that wait (for the budget, for a retry) fail with ClientClosedError at once.

        Raises:
            UsageError: Called in another event loop than the one that used the client, while
                that one is not closed.
        """
        await self._link.aclose()

    async def __aenter__(self) -> Self:
        try:
            await self._link.open()
        except (ConfigurationError, SharedBudgetError):
            await self.aclose()  # nobody else will
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> NoReturn:
        raise UsageError("use 'async with' for this client, not 'with'")

    def __exit__(self, *_: object) -> None: ...

    def __repr__(self) -> str:
        state = "closed" if self._link.closed else str(self.budget)
        return f"<{type(self).__name__} {self._settings.base_url.origin()}: {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client can't be pickled or copied: it holds connections and the API key")


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ConfigurationError(f"the environment variable {name} is not set")
    return value
