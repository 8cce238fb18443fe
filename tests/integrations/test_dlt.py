"""The dlt source: exact values in DuckDB, each record once, and nothing that appears late lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.pipeline.exceptions import PipelineStepFailed

from lucca_training_async import (
    ConfigurationError,
    DecodeError,
    LuccaTrainingClient,
    PermissionDeniedError,
    RetryPolicy,
    TrainingDemand,
)
from lucca_training_async.integrations.dlt import lucca_source
from lucca_training_async.sandbox import Fault, Sandbox
from lucca_training_async.sandbox.data import realized_training

KEY = "1f2e3d4c-0000-1111-2222-333344445555"
PATH = "/talent-training/api/v2/realized-trainings"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=KEY, rate_limit=None, size=250) as running:
        yield running


def source(sandbox: Sandbox, **arguments: Any) -> Any:
    retry = RetryPolicy(max_attempts=2, backoff_initial=0.01, backoff_max=0.02)
    return lucca_source(sandbox.url, sandbox.api_key, retry=retry, rate_limit=None, **arguments)


def trainings_of(sandbox: Sandbox, **arguments: Any) -> Any:
    return source(sandbox, **arguments).with_resources("realized_trainings")


def pipeline(name: str = "lucca") -> Any:
    return dlt.pipeline(
        name, destination=dlt.destinations.duckdb(f"{name}.duckdb"), dataset_name="hr"
    )


def query(sql: str, name: str = "lucca") -> list[tuple[Any, ...]]:
    with duckdb.connect(f"{name}.duckdb") as connection:
        rows: list[tuple[Any, ...]] = connection.sql(sql).fetchall()
    return rows


def queries(sandbox: Sandbox, path: str = PATH) -> list[str]:
    return [arrival.query for arrival in sandbox.arrivals if arrival.path == path]


def record(id: int, **changes: Any) -> dict[str, Any]:
    return realized_training(id) | {"id": id} | changes


@contextmanager
def counted_clients(monkeypatch: pytest.MonkeyPatch) -> Generator[list[bool], None, None]:
    """For each client that is made, whether it is closed."""
    closed: list[bool] = []

    class Counted(LuccaTrainingClient):
        async def aclose(self) -> None:
            await super().aclose()
            closed[self.number] = True

        @classmethod
        def from_settings(cls, settings: Any) -> Any:
            client = super().from_settings(settings)
            client.number = len(closed)
            closed.append(False)
            return client

        number: int

    with monkeypatch.context() as patch:
        patch.setattr("lucca_training_async.integrations.dlt.LuccaTrainingClient", Counted)
        yield closed


def test_everything_is_loaded(sandbox: Sandbox) -> None:
    pipeline().run(source(sandbox))
    assert query("select count(*), count(distinct id) from hr.realized_trainings") == [(250, 250)]
    assert query("select count(*) from hr.trainings") == [(300,)]
    assert query("select count(*) from hr.training_demands") == [(450,)]


def test_the_documented_example(sandbox: Sandbox) -> None:
    pipeline().run(trainings_of(sandbox))
    rows = query("select * exclude (_dlt_load_id, _dlt_id) from hr.realized_trainings where id=235")
    day = date(2025, 1, 4)
    title = "Mastering French: From Basics to Fluency"
    course = (45, title, 1, "https://elan-francais.fr", "Beginner")
    assert rows == [(235, 416, *course, 4356, 12, day, day, True, Decimal(14))]


HOURS = [
    *("0.1", "0.2", "2.5", "14", "14.00", "0", "-0.5", "1234.567891234", "0.000000001"),
    *("1.4E+1", "1E+2", "1e-9", "12345678901234567890123456789.123456789"),
]


def test_hours_are_exact(sandbox: Sandbox) -> None:
    for id, hours in enumerate(HOURS, start=1001):
        sandbox.put(record(id, durationInHours=Decimal(hours)))
    pipeline().run(trainings_of(sandbox))
    of_ids = "from hr.realized_trainings where id > 1000"
    read = query(f"select duration_in_hours {of_ids} order by id")
    assert [hours for (hours,) in read] == [Decimal(hours) for hours in HOURS]
    assert query(f"select distinct typeof(duration_in_hours) {of_ids}") == [("DECIMAL(38,9)",)]
    few = query("select sum(duration_in_hours) from hr.realized_trainings where id in (1001, 1002)")
    assert few == [(Decimal("0.3"),)]


@pytest.mark.parametrize("hours", ["0.0000000001", "1e30"])
def test_hours_that_would_be_rounded_fail_the_run(sandbox: Sandbox, hours: str) -> None:
    sandbox.put(record(1001, durationInHours=Decimal(hours)))
    with pytest.raises(PipelineStepFailed, match=r"RealizedTraining 1001: duration_in_hours"):
        pipeline().run(trainings_of(sandbox))


def test_days_are_dates_and_moments_timestamps(sandbox: Sandbox) -> None:
    pipeline().run(source(sandbox))
    types = dict(
        query(
            "select table_name || '.' || column_name, data_type from information_schema.columns"
            " where table_schema = 'hr'"
        )
    )
    assert types["realized_trainings.session_ends_on"] == "DATE"
    assert types["training_demands.session_duration_in_hours"] == "DECIMAL(38,9)"
    assert types["training_demands.created_at"] == "TIMESTAMP WITH TIME ZONE"
    assert types["trainings.category_t9n"] == "JSON"
    (french,) = query("select category_t9n->>'$.name.Fr' from hr.trainings where id = 45")
    assert french == ("Langues",)


def days_ago(days: int) -> str:
    return (datetime.now(UTC).date() - timedelta(days=days)).isoformat()


def test_a_later_run_asks_for_what_may_be_new(sandbox: Sandbox) -> None:
    sandbox.put(record(1001, sessionEndsOn=days_ago(10), durationInHours=3))
    pipeline().run(trainings_of(sandbox, lag=20))
    sandbox.put(record(1001, sessionEndsOn=days_ago(10), durationInHours=4))
    sandbox.put(record(1002, sessionEndsOn=days_ago(15)))
    sandbox.put(record(1003, sessionEndsOn=days_ago(25)))
    sandbox.arrivals.clear()
    pipeline().run(trainings_of(sandbox, lag=20))
    (asked,) = queries(sandbox)
    # The day of the first run begins last at UTC-12, and Lucca's own bound is not included.
    assert any(f"sessionEndOnAfter={days_ago(days)}&" in asked for days in (21, 22))
    late = query(
        "select id, duration_in_hours from hr.realized_trainings where id > 1000 order by 1"
    )
    assert late[0] == (1001, Decimal(4))
    assert [id for id, _ in late] == [1001, 1002]
    assert query("select count(*), count(distinct id) from hr.realized_trainings") == [(252, 252)]


def test_a_day_in_the_far_future_hides_nothing(sandbox: Sandbox) -> None:
    sandbox.put(record(1001, sessionEndsOn="2999-12-31"))
    pipeline().run(trainings_of(sandbox))
    sandbox.put(record(1002, sessionEndsOn=days_ago(1)))
    pipeline().run(trainings_of(sandbox))
    assert query("select count(*) from hr.realized_trainings where id = 1002") == [(1,)]


def test_what_is_no_longer_there_is_replaced_but_not_merged(sandbox: Sandbox) -> None:
    pipeline().run(source(sandbox))
    sandbox.remove(7)
    sandbox.remove(7, kind="training")
    pipeline().run(source(sandbox))
    assert query("select count(*) from hr.trainings") == [(299,)]
    assert query("select count(*) from hr.realized_trainings") == [(250,)]
    pipeline().run(source(sandbox), refresh="drop_data")
    assert query("select count(*) from hr.realized_trainings") == [(249,)]


def test_a_run_that_fails_counts_for_nothing(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.inject(Fault.slow(0), Fault.error(403))
    with counted_clients(monkeypatch) as closed:
        with pytest.raises(PipelineStepFailed) as caught:
            pipeline().run(trainings_of(sandbox))
    assert isinstance(root_of(caught.value), PermissionDeniedError)
    assert closed == [True]
    sandbox.arrivals.clear()
    pipeline().run(trainings_of(sandbox))
    assert "sessionEndOnAfter" not in queries(sandbox)[0]
    assert query("select count(*) from hr.realized_trainings") == [(250,)]


def root_of(error: BaseException) -> BaseException:
    return error if error.__cause__ is None else root_of(error.__cause__)


def test_a_failure_elsewhere_counts_for_nothing(sandbox: Sandbox) -> None:
    whole = source(sandbox)
    sandbox.put({"id": 9_000, "title": 5}, kind="training")
    with pytest.raises(PipelineStepFailed):
        pipeline().run(whole)
    sandbox.remove(9_000, kind="training")
    sandbox.arrivals.clear()
    pipeline().run(whole)
    assert "sessionEndOnAfter" not in queries(sandbox)[0]


def test_a_run_that_is_cut_short_counts_for_nothing(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = trainings_of(sandbox)
    some.resources["realized_trainings"].add_limit(2)
    with counted_clients(monkeypatch) as closed:
        pipeline().run(some)
    assert closed == [True]
    assert query("select count(*) from hr.realized_trainings") == [(100,)]
    pipeline().run(trainings_of(sandbox))
    assert query("select count(*) from hr.realized_trainings") == [(250,)]


def test_the_resources_share_a_client(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted_clients(monkeypatch) as closed:
        pipeline().run(source(sandbox))
        assert closed == [True]
        pipeline().run(source(sandbox))
        assert closed == [True, True]


def test_another_host_is_another_beginning(sandbox: Sandbox) -> None:
    pipeline().run(trainings_of(sandbox))
    with Sandbox(rate_limit=None, size=300) as other:
        pipeline().run(trainings_of(other))
    assert query("select count(*) from hr.realized_trainings") == [(300,)]


def test_tables_are_there_without_a_record() -> None:
    with Sandbox(rate_limit=None, size=0) as empty:
        pipeline().run(trainings_of(empty))
    assert query("select count(*), sum(duration_in_hours) from hr.realized_trainings") == [
        (0, None)
    ]


def test_host_and_key_come_from_dlts_configuration(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__LUCCA__HOST", sandbox.url)
    monkeypatch.setenv("SOURCES__LUCCA__API_KEY", KEY)
    monkeypatch.setenv("SOURCES__LUCCA__LAG", "400")
    for _ in range(2):
        pipeline().run(lucca_source().with_resources("realized_trainings"))
    asked = queries(sandbox)[-1]
    assert any(f"sessionEndOnAfter={days_ago(days)}&" in asked for days in (401, 402))


def test_what_is_missing_is_named(sandbox: Sandbox) -> None:
    with pytest.raises(ConfigFieldMissingException, match="api_key"):
        lucca_source(sandbox.url)


@pytest.mark.parametrize("lag", [-1, 2.5, True, "7"])
def test_a_lag_that_is_none(sandbox: Sandbox, lag: Any) -> None:
    with pytest.raises(Exception, match="lag"):
        source(sandbox, lag=lag)


def test_a_key_that_can_be_none_is_not_told() -> None:
    with pytest.raises(ConfigurationError) as caught:
        lucca_source("acme.ilucca.net", f"{KEY}\n")
    assert KEY not in str(caught.value)


def test_items_that_are_no_records_may_be_told(sandbox: Sandbox) -> None:
    sandbox.put(record(1001, durationInHours="many"))
    with pytest.raises(PipelineStepFailed, match="durationInHours"):
        pipeline().run(trainings_of(sandbox))
    told: list[DecodeError] = []
    pipeline("other").run(trainings_of(sandbox, on_error=told.append))
    assert [error.path for error in told] == ["$.items[50].durationInHours"]
    assert query("select count(*) from hr.realized_trainings", "other") == [(250,)]


@pytest.mark.parametrize("refused", [False, True])
def test_the_key_is_nowhere(sandbox: Sandbox, tmp_path: Path, refused: bool) -> None:
    sandbox.api_key = "another" if refused else KEY
    whole = lucca_source(sandbox.url, KEY)
    told = [repr(whole), str(whole), repr(vars(whole))]
    line = pipeline()
    try:
        told.append(line.run(whole).asstr(verbosity=2))
    except PipelineStepFailed as error:
        assert refused
        told += [str(error), repr(error), repr(root_of(error))]
    told += [line.last_trace.asstr(verbosity=2), repr(line.last_trace), repr(line.state)]
    assert all(KEY not in text for text in told)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path.name for path in files if KEY.encode() in path.read_bytes()] == []


async def in_a_running_loop(run: Callable[[], object]) -> None:
    run()


def test_in_a_notebook_whose_loop_is_running(sandbox: Sandbox) -> None:
    asyncio.run(in_a_running_loop(lambda: pipeline().run(trainings_of(sandbox))))
    assert query("select count(*) from hr.realized_trainings") == [(250,)]


def test_rows_without_a_pipeline(sandbox: Sandbox) -> None:
    rows = list(source(sandbox).resources["training_demands"])
    (row,) = [row for row in rows if row["id"] == 410]
    assert row["session_duration_in_hours"] == 21
    assert row["owner_first_name"] == "John"
    assert not {name for name in row if name not in TrainingDemand.__annotations__} & {"owner"}
