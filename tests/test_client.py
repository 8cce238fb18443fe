"""Settings, views of a client, and what can be seen of its budget."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
import weakref
from typing import Any

import attrs
import pytest
import tenacity

from lucca_training_async import (
    ClientClosedError,
    ConfigurationError,
    LuccaTimeoutError,
    LuccaTrainingClient,
    RateLimit,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    Settings,
    Timeouts,
    UsageError,
)
from lucca_training_async.sandbox import Fault, Sandbox

from .support import stage

HOST, KEY = "acme.ilucca.net", "1f2e3d4c-0000-1111-2222-333344445555"


def test_settings_are_those_of_the_client() -> None:
    options: dict[str, Any] = {
        "session": None,
        "timeouts": Timeouts(total=3),
        "retry": RetryPolicy(max_attempts=2),
        "rate_limit": RateLimit(10, 60.0),
        "max_concurrency": 3,
        "allow_any_host": True,
    }
    settings = Settings("proxy.example", KEY, **options)
    for client in (
        LuccaTrainingClient("proxy.example", KEY, **options),
        LuccaTrainingClient.from_settings(settings),
    ):
        for name, value in options.items():
            assert getattr(client.settings, name) == value
        assert str(client.settings.base_url.origin()) == "https://proxy.example"
    assert KEY not in repr(settings)


def test_settings_can_be_replaced_and_not_changed() -> None:
    settings = Settings(HOST, KEY, max_concurrency=3)
    changed = settings.replace(rate_limit=None)
    assert (changed.rate_limit, changed.max_concurrency) == (None, 3)
    assert changed.api_key is settings.api_key
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        settings.max_concurrency = 5  # type: ignore[misc]
    with pytest.raises(ConfigurationError, match="max_concurrency"):
        settings.replace(max_concurrency=0)


def test_an_option_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="rate_limits"):
        LuccaTrainingClient(HOST, KEY, rate_limits=None)  # type: ignore[call-arg]
    monkeypatch.setenv("LUCCA_HOST", HOST)
    monkeypatch.setenv("LUCCA_API_KEY", KEY)
    with pytest.raises(TypeError, match="rate_limits"):
        LuccaTrainingClient.from_env(rate_limits=None)  # type: ignore[call-arg]


@pytest.mark.parametrize("wait", [5, "1", object()])
def test_a_wait_that_is_none_of_tenacitys_is_refused(wait: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"RetryPolicy\.wait must be a tenacity wait"):
        RetryPolicy(wait=wait)


def test_a_wait_that_is_async_is_refused() -> None:
    async def wait(_: tenacity.RetryCallState) -> float:
        return 1.0

    with pytest.raises(ConfigurationError, match=r"RetryPolicy\.wait must be a tenacity wait"):
        RetryPolicy(wait=wait)  # type: ignore[arg-type]


async def test_a_wait_of_tenacitys_takes_the_place_of_the_backoff() -> None:
    async with stage(retry=RetryPolicy(wait=tenacity.wait_fixed(7))) as on:
        on.sandbox.inject(
            Fault.internal_error(), Fault.unavailable(30), Fault.drop(), Fault.unavailable(5)
        )
        await on.trainings.get(1)
        assert [arrival.at for arrival in on.sandbox.arrivals] == [0, 7, 37, 44, 51]


async def test_a_view_has_its_own_policy() -> None:
    async with stage(retry=RetryPolicy(max_attempts=3, wait=tenacity.wait_none())) as on:
        on.sandbox.inject_always(Fault.internal_error(), id=1)
        on.sandbox.inject_always(Fault.slow(10), id=2)
        view = on.client.with_options(retry=RetryPolicy(max_attempts=1), timeouts=Timeouts(total=2))
        with pytest.raises(ServerError) as caught:
            await view.realized_trainings.get(1)
        assert caught.value.attempts == 1
        with pytest.raises(LuccaTimeoutError):
            await view.realized_trainings.get(2)
        assert asyncio.get_running_loop().time() == 2
        with pytest.raises(ServerError) as caught:
            await on.trainings.get(1)
        assert caught.value.attempts == 3
        assert (await on.trainings.get(2)).id == 2


async def test_a_view_keeps_what_it_is_not_told() -> None:
    client = LuccaTrainingClient(HOST, KEY, timeouts=Timeouts(total=3), max_concurrency=7)
    view = client.with_options(retry=RetryPolicy(max_attempts=1))
    assert view.settings == client.settings.replace(retry=RetryPolicy(max_attempts=1))
    assert client.with_options().settings == client.settings
    with pytest.raises(ConfigurationError, match="retry must be a RetryPolicy"):
        client.with_options(retry=5)  # type: ignore[arg-type]


async def test_a_view_shares_budget_pause_and_life() -> None:
    async with stage(rate_limit=RateLimit(2, 60.0)) as on:
        view = on.client.with_options(retry=RetryPolicy(retry_after_max=5))
        await view.realized_trainings.get(1)
        await on.trainings.get(2)
        assert on.client.budget == view.budget
        await view.realized_trainings.get(3)
        assert asyncio.get_running_loop().time() == pytest.approx(60, abs=0.1)
        on.sandbox.inject(Fault.too_many_requests(20))
        patient = asyncio.create_task(on.trainings.get(4))
        await asyncio.sleep(1)
        with pytest.raises(RateLimitedError, match="not sent"):
            await view.realized_trainings.get(5)
        await patient
        await view.aclose()
        for closed in (on.client, view):
            assert repr(closed).endswith(": closed>")
            with pytest.raises(ClientClosedError):
                await closed.realized_trainings.get(1)


async def test_the_budget_can_be_seen() -> None:
    async with stage(rate_limit=RateLimit(3, 60.0)) as on:
        on.sandbox.inject(Fault.slow(10), id=1)
        slow = asyncio.create_task(on.trainings.get(1))
        await asyncio.sleep(1)
        await on.trainings.get(2)
        before = on.client.budget
        assert (before.limit, before.in_use, before.in_flight, before.waiting) == (3, 2, 1, 0)
        assert (before.next_slot_in, before.closed_for) == (0.0, 0.0)
        await on.trainings.get(3)
        waiting = asyncio.create_task(on.trainings.get(4))
        await asyncio.sleep(2)
        then = on.client.budget
        assert (then.in_use, then.waiting) == (3, 1)
        assert then.next_slot_in == pytest.approx(58, abs=0.1)
        assert "3 of 3 in use, 1 waiting, 1 in flight, next slot in 58.0 s" in repr(on.client)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            then.in_use = 0  # type: ignore[misc]
        await asyncio.gather(slow, waiting)


async def test_a_pause_can_be_seen() -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.too_many_requests(30))
        call = asyncio.create_task(on.trainings.get(1))
        await asyncio.sleep(10)
        budget = on.client.budget
        assert (budget.limit, budget.closed_for, budget.next_slot_in) == (None, 20, 20)
        assert budget.waiting == 1
        assert "no limit, 1 waiting, 0 in flight, closed for 20.0 s" in repr(on.client)
        await call
        assert on.client.budget.closed_for == 0


def test_the_budget_of_a_client_never_used() -> None:
    budget = LuccaTrainingClient(HOST, KEY).budget
    assert (budget.limit, budget.in_use, budget.next_slot_in) == (50, 0, 0.0)
    assert LuccaTrainingClient(HOST, KEY, rate_limit=None).budget.limit is None


async def test_one_line_tells_of_a_long_wait(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lucca_training_async")
    async with stage(rate_limit=RateLimit(5, 60.0)) as on:
        await on.trainings.get_many(range(1, 16))
        (line,) = [record.getMessage() for record in caplog.records]
        assert line == "waiting for the request budget for 60 s"
        caplog.clear()
        await asyncio.sleep(55)
        await on.trainings.get(1)
        assert caplog.records == []


def test_a_client_whose_loop_is_gone_can_be_closed() -> None:
    client = LuccaTrainingClient("http://127.0.0.1:9", KEY, retry=RetryPolicy(max_attempts=1))

    async def use() -> str:
        async with Sandbox() as sandbox:
            nonlocal client
            client = LuccaTrainingClient(sandbox.url, sandbox.api_key)
            await client.realized_trainings.get(1)
            return repr(client)

    async def misuse_and_close() -> None:
        with pytest.raises(UsageError, match="another event loop"):
            await client.realized_trainings.get(1)
        await client.aclose()
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await client.realized_trainings.get(1)

    with warnings.catch_warnings():
        # The first loop took its transports with it; that is its own end, not the client's.
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(use())
        asyncio.run(misuse_and_close())
        gc.collect()


async def test_a_client_dropped_after_its_end_is_gone() -> None:
    async with stage() as on:
        client = LuccaTrainingClient(on.sandbox.url, on.sandbox.api_key)
        await client.realized_trainings.get_many(range(1, 5))
        await client.aclose()
        gone = weakref.ref(client)
        del client
        gc.collect()
        assert gone() is None
