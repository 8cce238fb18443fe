"""A source for `dlt <https://dlthub.com>`_; needs the extra ``dlt``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, TypeVar, Unpack

import attrs
import dlt

from .._lists import OnError, Page, RecordList
from ..client import LuccaTrainingClient
from ..models import RealizedTraining, Record, Training, TrainingDemand
from ..settings import ClientOptions, Settings, forgetting_arguments
from ._rows import PRECISION, SCALE, columns_of, row_of

R = TypeVar("R", bound=Record)

_HINTS: dict[type, dict[str, Any]] = {
    bool: {"data_type": "bool"},
    int: {"data_type": "bigint"},
    str: {"data_type": "text"},
    Decimal: {"data_type": "decimal", "precision": PRECISION, "scale": SCALE},
    date: {"data_type": "date"},
    datetime: {"data_type": "timestamp"},
    Mapping: {"data_type": "json"},
}
# The last place on earth where a day begins: it has begun at Lucca's, wherever we run.
_LAST_ZONE = timezone(timedelta(hours=-12))
_STATE = "loaded_on"


@forgetting_arguments
def lucca_source(
    host: str | None = None,
    api_key: str | None = None,
    *,
    lag: int | None = None,
    on_error: OnError = "raise",
    **options: Unpack[ClientOptions],
) -> dlt.sources.DltSource:
    """What Lucca knows of trainings, as a source for dlt.

    Its resources are ``realized_trainings``, merged by ``id``, and ``trainings`` and
    ``training_demands``, replaced by each run. A record is one row, with a column for each
    value; those of a record within it begin with its name (``training_title``). Hours are
    ``decimal(38, 9)``, days are dates.

    The first run loads all realized trainings, a later one what ended since the day of the last
    that succeeded, and up to ``lag`` days before it; see
    :meth:`RealizedTrainings.changes <lucca_training_async.RealizedTrainings.changes>` for what
    that can't see. ``pipeline.run(..., refresh="drop_data")`` loads all of them anew.

    Args:
        host: As for :class:`~lucca_training_async.LuccaTrainingClient`; None takes dlt's
            ``sources.lucca.host`` (``SOURCES__LUCCA__HOST`` in the environment).
        api_key: The key alone; None takes dlt's ``sources.lucca.api_key``, a secret.
        lag: How many days late a realized training may appear; None takes dlt's
            ``sources.lucca.lag``, or 30.
        on_error: What becomes of an item that is no record: ``"raise"`` fails the run, a plain
            function is called with the :class:`~lucca_training_async.DecodeError` instead.
        options: Further settings of the client, but no ``session``.

    Raises:
        ConfigurationError: A setting can't work.
        ValueError: ``lag`` is no number of days.
    """
    # To dlt a None that is given would be a value.
    given: dict[str, Any] = {"host": host, "api_key": api_key, "lag": lag}
    configured = {name: value for name, value in given.items() if value is not None}
    return _source(on_error, options, **configured)


@dlt.source(name="lucca", section="lucca")
@forgetting_arguments
def _source(
    on_error: OnError,
    options: ClientOptions,
    host: str = dlt.config.value,
    api_key: str = dlt.secrets.value,
    lag: int = 30,
) -> list[Any]:
    if type(lag) is not int or lag < 0:
        raise ValueError("lag must be a number of days, 0 or more")
    settings = Settings(host, api_key, **options)
    shared = _SharedClient(settings)
    host = str(settings.base_url)

    def realized_trainings(client: LuccaTrainingClient) -> RecordList[RealizedTraining]:
        last = _last_run(host)
        if last is None:
            return client.realized_trainings.list(on_error=on_error)
        return client.realized_trainings.changes(
            ended_since=last, overlap_days=lag, on_error=on_error
        )

    def trainings(client: LuccaTrainingClient) -> RecordList[Training]:
        return client.trainings.list(on_error=on_error)

    def training_demands(client: LuccaTrainingClient) -> RecordList[TrainingDemand]:
        return client.training_demands.list(on_error=on_error)

    async def read_realized_trainings() -> AsyncGenerator[Any, None]:
        # Its beginning, since what is confirmed while it lasts may have been missed.
        today = datetime.now(_LAST_ZONE).date()
        async with aclosing(_rows(shared, realized_trainings, RealizedTraining)) as rows:
            async for some in rows:
                yield some
        # Not before: an end that was left out must not count as read. dlt keeps it if it
        # has loaded the rows.
        _state()[host] = today.isoformat()

    return [
        dlt.resource(
            read_realized_trainings,
            name="realized_trainings",
            write_disposition="merge",
            primary_key="id",
            columns=_hints(RealizedTraining),
        ),
        _replaced("trainings", Training, lambda: _rows(shared, trainings, Training)),
        _replaced(
            "training_demands",
            TrainingDemand,
            lambda: _rows(shared, training_demands, TrainingDemand),
        ),
    ]


def _replaced(
    name: str, record: type[Record], rows: Callable[[], AsyncGenerator[Any, None]]
) -> Any:
    async def read() -> AsyncGenerator[Any, None]:
        async with aclosing(rows()) as some:
            async for each in some:
                yield each

    return dlt.resource(
        read,
        name=name,
        write_disposition="replace",
        primary_key="id",
        columns=_hints(record),
    )


async def _rows(
    shared: _SharedClient,
    read: Callable[[LuccaTrainingClient], RecordList[R]],
    record: type[R],
) -> AsyncGenerator[Any, None]:
    """The rows of a list, by the page, behind a sign that the table is there without any."""
    columns = columns_of(record)
    yield dlt.mark.materialize_table_schema()
    async with shared.entered() as client:
        pages: AsyncGenerator[Page[R], None] = read(client).pages()
        async with aclosing(pages):
            async for page in pages:
                if page.items:
                    yield [row_of(item, columns) for item in page.items]


def _hints(record: type[Record]) -> Any:
    return {name: {"name": name, **_HINTS[kind]} for name, kind in columns_of(record).items()}


def _state() -> dict[str, str]:
    # By its name: dlt can't tell in a task which resource asks.
    state: dict[str, dict[str, str]] = dlt.current.resource_state("realized_trainings")
    return state.setdefault(_STATE, {})


def _last_run(host: str) -> date | None:
    """The day of the last run; none of another host's, whose records are others."""
    told = _state().get(host)
    return None if told is None else date.fromisoformat(told)


@attrs.define
class _Lease:
    client: LuccaTrainingClient
    users: int = 0


class _SharedClient:
    """One client for those resources that are read at the same time: the budget is one.

    dlt reads them in a loop that it makes for each run.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._leases: dict[asyncio.AbstractEventLoop, _Lease] = {}

    @asynccontextmanager
    async def entered(self) -> AsyncGenerator[LuccaTrainingClient, None]:
        """The client, until nobody needs it any more."""
        loop = asyncio.get_running_loop()
        if loop not in self._leases:
            self._leases[loop] = _Lease(LuccaTrainingClient.from_settings(self._settings))
        lease = self._leases[loop]
        lease.users += 1
        try:
            yield lease.client
        finally:
            lease.users -= 1
            if not lease.users:
                del self._leases[loop]
                await lease.client.aclose()
