"""Each request is told of once, truly, and whoever is told can spoil nothing."""

from __future__ import annotations

import asyncio
import functools
import logging
import pickle
from collections.abc import Iterable
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp import web

from lucca_training_async import (
    Attempt,
    AuthenticationError,
    ClientClosedError,
    LuccaConnectionError,
    LuccaError,
    LuccaTimeoutError,
    LuccaTrainingClient,
    OnAttempt,
    RateLimit,
    RateLimitedError,
    RetryPolicy,
    Settings,
    Timeouts,
)
from lucca_training_async.sandbox import Fault, Sandbox
from lucca_training_async.sandbox.data import realized_training

from .outages import BUDGET, KINDS, Host, Outage, outage_stage
from .support import QUICK, stage
from .test_logging import lines
from .test_security import FAULTS, KEY, everything_told

ID = 235


class Watcher:
    """Keeps what it is told, and when."""

    def __init__(self) -> None:
        self.told: list[Attempt] = []
        self.at: list[float] = []

    def __call__(self, attempt: Attempt) -> None:
        self.told.append(attempt)
        self.at.append(asyncio.get_running_loop().time())

    def __repr__(self) -> str:
        return f"<Watcher {KEY}>"

    def all(self, name: str) -> list[Any]:
        return [getattr(attempt, name) for attempt in self.told]

    @property
    def errors(self) -> list[str]:
        return [type(attempt.error).__name__ for attempt in self.told]


async def test_a_get_that_meets_everything() -> None:
    watcher = Watcher()
    async with stage(on_attempt=watcher) as on:
        faults = [Fault.internal_error(), Fault.drop(), Fault.too_many_requests(2)]
        on.sandbox.inject(*faults, Fault.bad_json())
        with pytest.raises(LuccaError):
            await on.trainings.get(ID)
        url = f"{on.sandbox.url}/talent-training/api/v2/realized-trainings/{ID}"
    assert watcher.all("url") == [url] * 4
    assert watcher.all("id") == [ID] * 4
    assert watcher.all("attempt") == [1, 2, 3, 4]
    assert watcher.all("is_probe") == [False] * 4
    assert watcher.all("status") == [500, None, 429, 200]
    assert watcher.errors == [
        "ServerError",
        "LuccaConnectionError",
        "RateLimitedError",
        "DecodeError",
    ]
    numbers = [getattr(attempt.error, "attempts", None) for attempt in watcher.told]
    assert numbers == [1, 2, 3, 4]
    assert watcher.told[2].retry_in == pytest.approx(2)
    assert watcher.told[3].retry_in is None
    assert watcher.told[3].waited == pytest.approx(2)


async def test_what_is_well_is_told_too() -> None:
    watcher = Watcher()
    async with stage(on_attempt=watcher) as on:
        on.sandbox.inject(Fault.slow(3))
        await on.trainings.get(ID)
    (attempt,) = watcher.told
    assert (attempt.status, attempt.error, attempt.retry_in) == (200, None, None)
    assert attempt.seconds == pytest.approx(3)
    assert attempt.waited == 0


async def test_the_next_attempt_begins_when_it_was_said_to() -> None:
    watcher, slowly = Watcher(), RetryPolicy(backoff_initial=8, backoff_max=30)
    async with stage(on_attempt=watcher, retry=slowly) as on:
        faults = [Fault.internal_error(), Fault.unavailable(7), Fault.slow(60), Fault.drop()]
        on.sandbox.inject(*faults, Fault.too_many_requests(9), Fault.too_many_requests(None))
        await on.trainings.get(ID)
    assert len(watcher.told) == 7
    assert watcher.told[2].seconds == pytest.approx(15, abs=1)  # aiohttp rounds it up
    for at, attempt, next_at, later in zip(
        watcher.at, watcher.told, watcher.at[1:], watcher.told[1:], strict=False
    ):
        assert attempt.retry_in is not None
        assert next_at - later.seconds == pytest.approx(at + attempt.retry_in, abs=0.01)
    assert watcher.all("waited")[1:5] == pytest.approx([0, 0, 0, 0], abs=0.01)
    assert watcher.all("waited")[5] == pytest.approx(9, abs=0.01)


async def test_the_wait_for_the_budget() -> None:
    watcher = Watcher()
    limit = RateLimit(2, 10.0)
    async with stage(Sandbox(rate_limit=limit), rate_limit=limit, on_attempt=watcher) as on:
        result = await on.trainings.get_many(range(1, 7), plan="each")
        assert len(result.items) == 6
    assert sorted(watcher.all("waited")) == pytest.approx([0, 0, 10, 10, 20, 20], abs=0.1)
    assert max(watcher.all("seconds")) < 0.1


def agree(told: Iterable[Attempt], requests: int, retries: int) -> None:
    told = list(told)
    first = [attempt for attempt in told if attempt.attempt == 1 and not attempt.is_probe]
    assert (len(told), len(told) - len(first)) == (requests, retries)


@pytest.mark.parametrize("kind", KINDS)
async def test_as_many_as_a_runs_statistics_count(kind: str) -> None:
    """Each once: retries, 429s, an outage and its probes included."""
    watcher, ids = Watcher(), range(1, 81)
    host = Host(Outage(kind, 61.0, 90.0), faults={5: "500", 9: "cut"}, refusals={0.2: 3})
    async with outage_stage(host, on_attempt=watcher) as on:
        result = await on.trainings.get_many(ids)
    assert result.items.keys() == set(ids)
    agree(watcher.told, result.stats.requests, result.stats.retries)
    assert set(watcher.all("is_probe")) == {True, False}
    own = [attempt for attempt in watcher.told if not attempt.is_probe]
    for id in ids:
        its = [attempt for attempt in own if attempt.id == id]
        assert [attempt.attempt for attempt in its] == list(range(1, len(its) + 1))
        assert [attempt.retry_in is None for attempt in its] == [False] * (len(its) - 1) + [True]
        assert its[-1].error is None


async def test_a_record_that_fails_for_good() -> None:
    watcher = Watcher()
    async with stage(on_attempt=watcher, retry=attrs.evolve(QUICK, max_attempts=3)) as on:
        on.sandbox.inject_always(Fault.internal_error(), id=7)
        result = await on.trainings.get_many([5, 6, 7, 8], plan="each")
    its = [attempt for attempt in watcher.told if attempt.id == 7]
    assert [attempt.attempt for attempt in its] == [1, 2, 3]
    assert its[0].retry_in is not None
    agree(watcher.told, result.stats.requests, result.stats.retries)


@pytest.mark.parametrize(
    ("fault", "status", "retry"),
    [
        (Fault.error(404), 404, QUICK),
        (Fault.error(401), 401, QUICK),
        (Fault.too_many_requests(3600), 429, QUICK),
        (Fault.too_many_requests(10), 429, attrs.evolve(QUICK, deadline=5.0)),
        (Fault.unavailable(10), 503, attrs.evolve(QUICK, deadline=5.0)),
        (Fault.internal_error(), 500, attrs.evolve(QUICK, max_attempts=1)),
    ],
)
async def test_the_last_attempt_of_a_call(fault: Fault, status: int, retry: RetryPolicy) -> None:
    watcher = Watcher()
    async with stage(on_attempt=watcher, retry=retry) as on:
        on.sandbox.inject_always(fault, id=ID)
        with pytest.raises(LuccaError) as caught:
            await on.trainings.get(ID)
        (attempt,) = watcher.told
        assert (attempt.status, attempt.retry_in) == (status, None)
        assert repr(attempt.error) == repr(caught.value)
        assert attempt.error is not caught.value


async def test_the_attempt_that_ends_a_run() -> None:
    watcher = Watcher()
    async with stage(on_attempt=watcher) as on:
        on.sandbox.inject(*[Fault.error(401)] * 20)
        result = await on.trainings.get_many(range(1, 100), plan="each")
    assert isinstance(result.stopped, AuthenticationError)
    assert set(watcher.all("retry_in")) == {None}
    agree(watcher.told, result.stats.requests, result.stats.retries)


@pytest.mark.parametrize("deadline", [None, 60.0, 5.0])
async def test_somebody_elses_pause_is_waited_for_too(deadline: float | None) -> None:
    """A failure of its own would let it go on at once, but nothing is sent for half a minute."""
    watcher = Watcher()
    async with stage(on_attempt=watcher, retry=attrs.evolve(QUICK, deadline=deadline)) as on:
        on.sandbox.inject(Fault("a late 500", late_500), id=5)
        on.sandbox.inject(Fault.too_many_requests(30), id=6)
        options: dict[str, Any] = {"return_exceptions": True}
        await asyncio.gather(on.trainings.get(5), on.trainings.get(6), **options)
    told = next(attempt for attempt in watcher.told if attempt.id == 5)
    if deadline == 5:
        assert told.retry_in is None
        assert [attempt.id for attempt in watcher.told].count(5) == 1
    else:
        assert told.retry_in == pytest.approx(29, abs=0.01)


async def late_500(_: web.Request, __: web.Response) -> web.StreamResponse:
    await asyncio.sleep(1)
    return web.Response(status=500)


@pytest.mark.parametrize("late", ["500", "another record"])
async def test_a_call_that_its_run_does_not_go_on_with(late: str) -> None:
    """The run ends while a second attempt is under way: there is no third."""
    watcher = Watcher()
    async with stage(on_attempt=watcher) as on:
        second = Fault("late", late_500 if late == "500" else late_and_wrong)
        on.sandbox.inject(Fault.internal_error(), second, id=5)
        on.sandbox.inject(Fault("a late 401", late_401), id=6)
        result = await on.trainings.get_many([5, 6], plan="each")
    assert isinstance(result.stopped, AuthenticationError)
    its = [attempt for attempt in watcher.told if attempt.id == 5]
    assert [attempt.retry_in is None for attempt in its] == [False, True]
    agree(watcher.told, result.stats.requests, result.stats.retries)


async def late_and_wrong(_: web.Request, __: web.Response) -> web.StreamResponse:
    await asyncio.sleep(1)
    return web.json_response(realized_training(7))


async def late_401(_: web.Request, __: web.Response) -> web.StreamResponse:
    await asyncio.sleep(0.5)
    return web.Response(status=401)


async def test_a_run_by_the_list() -> None:
    watcher = Watcher()
    async with stage(on_attempt=watcher) as on:
        on.sandbox.inject(Fault.internal_error(), Fault.too_many_requests(2))
        result = await on.trainings.get_many(range(1, 501), plan="list")
    assert len(result.items) == 500
    assert len(watcher.told) == result.stats.requests == len(on.sandbox.arrivals) >= 7
    assert set(watcher.all("id")) == {None}


async def test_an_attempt_that_is_cancelled_is_told_of() -> None:
    watcher = Watcher()
    async with stage(rate_limit=RateLimit(5, 60.0), on_attempt=watcher) as on:
        on.sandbox.inject(Fault.slow(10))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await on.trainings.get(ID)
        assert on.client.budget.in_flight == 0
        (attempt,) = watcher.told
        assert isinstance(attempt.error, asyncio.CancelledError)
        assert attempt.error.__traceback__ is None
        assert (attempt.status, attempt.retry_in) == (None, None)
        assert attempt.seconds == pytest.approx(4)
        await on.trainings.get(ID)
    assert watcher.all("status") == [None, 200]


async def test_what_was_never_sent_is_not_told_of() -> None:
    watcher = Watcher()
    async with stage(rate_limit=RateLimit(1, 60.0), on_attempt=watcher) as on:
        await on.trainings.get(ID)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await on.trainings.get(ID)
        waiting = asyncio.create_task(on.trainings.get(ID))
        await asyncio.sleep(1)
        await on.client.aclose()
        with pytest.raises(ClientClosedError):
            await waiting
    assert watcher.all("status") == [200]


async def test_what_finds_no_connection_is_not_told_of() -> None:
    watcher = Watcher()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        options: dict[str, Any] = {"session": session, "timeouts": Timeouts(pool=1.0)}
        async with stage(on_attempt=watcher, **options) as on:
            on.sandbox.inject(Fault.slow(3))
            other = asyncio.create_task(session.get(f"{on.sandbox.url}/somebody-elses"))
            await asyncio.sleep(0.1)
            with pytest.raises(LuccaConnectionError, match="no free connection"):
                await on.client.with_options(retry=RetryPolicy(max_attempts=1)).raw_get("/x/5")
            assert watcher.told == []
            (await other).close()


async def test_a_host_that_is_not_there_is_told_of() -> None:
    watcher = Watcher()
    options: dict[str, Any] = {"retry": QUICK, "on_attempt": watcher}
    async with LuccaTrainingClient("http://127.0.0.1:9", KEY, **options) as client:
        with pytest.raises(LuccaConnectionError):
            await client.realized_trainings.get(ID)
    assert watcher.all("attempt") == [1, 2, 3, 4, 5]
    assert set(watcher.errors) == {"LuccaConnectionError"}
    assert watcher.told[-1].retry_in is None


async def test_a_timeout() -> None:
    watcher = Watcher()
    settings: dict[str, Any] = {"timeouts": Timeouts(total=2.0), "on_attempt": watcher}
    async with stage(**settings) as on:
        on.sandbox.inject(Fault.slow(60))
        await on.trainings.get(ID)
    assert isinstance(watcher.told[0].error, LuccaTimeoutError)
    assert watcher.told[0].seconds == pytest.approx(2)


async def test_lists_and_other_endpoints() -> None:
    watcher = Watcher()
    async with stage(on_attempt=watcher) as on:
        assert len([training async for training in on.trainings.list(owner_ids=[416])]) > 0
        await on.client.raw_get("/talent-training/api/v2/realized-trainings/3")
        with pytest.raises(LuccaError):
            await on.client.raw_get("/api/v3/users/" + "9" * 4_400)
    assert watcher.all("id") == [None] * (len(watcher.told) - 2) + [3, None]
    assert "ownerIds=416" in watcher.told[0].url


async def test_a_probe_is_told_as_one() -> None:
    watcher = Watcher()
    async with outage_stage(Host(Outage("503", 10.0, 30.0)), on_attempt=watcher) as on:
        await on.trainings.get(1)
        await asyncio.sleep(10)
        result = await on.trainings.get_many([2, 3, 4, 5])
    assert len(result.items) == 4
    probes = [attempt for attempt in watcher.told if attempt.is_probe]
    assert {attempt.id for attempt in probes} == {1}
    assert {attempt.status for attempt in probes} == {503, 200}
    for probe in probes:
        assert probe.retry_in is not None
        assert probe.attempt == 2  # those that ask have failed once
    failed = [probe.retry_in for probe in probes if probe.error is not None]
    assert max(filter(None, failed)) > 1


# -- what a hook does


def raising(attempt: Attempt, secret: str = "") -> None:
    raise LookupError(f"no counter for {attempt.id}, key {KEY}")


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise ValueError("it can't be told")


def unspeakably(attempt: Attempt) -> None:
    raise UnspeakableError


def sneaky(attempt: Attempt) -> Any:
    return asyncio.sleep(1)


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        (raising, "LookupError: no counter for "),
        (unspeakably, "UnspeakableError"),
        (sneaky, "must be a plain function; this one gave coroutine"),
    ],
)
async def test_what_a_hook_raises_is_logged_once_and_loses_nothing(
    hook: OnAttempt, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lucca_training_async")
    limit = RateLimit(50, 60.0)
    sandbox = Sandbox(rate_limit=limit, api_key=KEY)
    async with stage(sandbox, rate_limit=limit, on_attempt=hook) as on:
        on.sandbox.inject(Fault.internal_error(), Fault.too_many_requests(2), Fault.drop())
        result = await on.trainings.get_many(range(1, 31), plan="each")
        await on.client.with_options(retry=QUICK).realized_trainings.get(ID)
        assert len(result.items) == 30
        assert on.client.budget.in_flight == on.client.budget.waiting == 0
    (warning,) = lines(caplog, logging.WARNING)
    assert f"on_attempt (tests.test_on_attempt.{hook.__name__})" in warning
    assert told in warning
    assert KEY not in warning
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.exc_info is None


class Stop(BaseException):
    """As KeyboardInterrupt, which would end the test run."""


@pytest.mark.parametrize("number", [1, 2, 3, 4])
async def test_what_is_no_exception_passes_and_holds_nothing(number: int) -> None:
    seen: list[int] = []

    def hook(attempt: Attempt) -> None:
        seen.append(attempt.attempt)
        if seen[-1] == number:
            raise Stop

    async with stage(rate_limit=RateLimit(20, 60.0), on_attempt=hook) as on:
        on.sandbox.inject(Fault.internal_error(), Fault.too_many_requests(2), Fault.drop())
        with pytest.raises(Stop):
            await on.trainings.get(ID)
        assert seen == list(range(1, number + 1))
        assert on.client.budget.in_flight == on.client.budget.waiting == 0
        number = -1
        await on.trainings.get(ID)


async def test_a_hook_can_change_nothing() -> None:
    watcher = Watcher()
    async with stage(on_attempt=watcher) as on:
        await on.trainings.get(ID)
    record: Any = watcher.told[0]
    for name in attrs.fields_dict(Attempt):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(record, name, 0)


@pytest.mark.parametrize("name", FAULTS)
async def test_no_record_holds_the_key(name: str) -> None:
    watcher = Watcher()
    async with stage(Sandbox(rate_limit=None, api_key=KEY), on_attempt=watcher) as on:
        on.sandbox.inject_always(FAULTS[name], id=5)
        call = asyncio.create_task(on.trainings.get(5))
        _, pending = await asyncio.wait([call], timeout=5)
        call.cancel()
        assert bool(pending) is (name == "slow")
        with pytest.raises((LuccaError, asyncio.CancelledError)):
            await call
    assert watcher.told
    for attempt in watcher.told:
        pickled = pickle.dumps(attempt)
        assert attempt.error is not None
        assert KEY not in f"{attempt!r} {pickled!r} {everything_told(attempt.error)}"
        again = pickle.loads(pickled)
        assert repr(again) == repr(attempt)


# -- where it is given


def test_the_settings_show_its_name() -> None:
    watcher = Watcher()
    shown: dict[str, Any] = {
        "None": None,
        "builtins.print": print,
        "tests.test_on_attempt.raising": functools.partial(raising, secret=KEY),
        "tests.test_on_attempt.Watcher": watcher,
        "tests.test_on_attempt.Watcher.__call__": watcher.__call__,
    }
    for name, hook in shown.items():
        settings = Settings("acme.ilucca.net", KEY, on_attempt=hook)
        assert f"on_attempt={name}," in repr(settings)
        assert KEY not in repr(settings)
        client = LuccaTrainingClient.from_settings(settings)
        assert client.settings.on_attempt == hook


async def test_views_and_two_runs_share_it() -> None:
    watcher = Watcher()
    async with stage(on_attempt=watcher) as on:
        view = on.client.with_options(retry=RetryPolicy(max_attempts=1))
        assert view.settings.on_attempt is watcher
        on.sandbox.inject_always(Fault.internal_error(), id=5)
        with pytest.raises(LuccaError):
            await view.realized_trainings.get(5)
        await on.trainings.get(6)
    assert watcher.all("id") == [5, 6]


async def test_a_contended_budget_is_told_as_it_is() -> None:
    """Those that 429s hold up are told of the pause, and the last of them of the end."""
    watcher = Watcher()
    patient = attrs.evolve(QUICK, retry_after_max=15)
    async with outage_stage(
        Host(refusals={0.0: 10, 9.0: 10}), on_attempt=watcher, retry=patient, rate_limit=BUDGET
    ) as on:
        with pytest.raises(RateLimitedError):
            await on.trainings.get(1)
    assert watcher.all("status") == [429, 429]
    assert watcher.all("retry_in") == [pytest.approx(10), None]
