"""One id over real sockets: the answers, the faults, the retries and the limits of patience."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from lucca_training_async import (
    AuthenticationError,
    BadRequestError,
    DecodeError,
    InvalidIdError,
    LuccaConnectionError,
    LuccaError,
    LuccaTimeoutError,
    LuccaTrainingClient,
    NotFoundError,
    PermissionDeniedError,
    RateLimit,
    RateLimitedError,
    ResponseError,
    RetryPolicy,
    ServerError,
    Timeouts,
)
from lucca_training_async.sandbox import Fault, Sandbox

from .support import QUICK, stage


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_one_training() -> None:
    async with stage() as on:
        assert (await on.trainings.get(235)).owner_id == 416
        assert on.ids == ["235"]


@pytest.mark.parametrize("id", [0, -5, 2**31, True, "235", 1.0, None])
async def test_a_bad_id_costs_no_request(id: Any) -> None:
    async with stage() as on:
        with pytest.raises(InvalidIdError):
            await on.trainings.get(id)
        assert on.sandbox.arrivals == []


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, ResponseError),
        (413, ResponseError),
        (431, ResponseError),
    ],
)
async def test_answers_that_no_retry_would_change(status: int, cls: type[ResponseError]) -> None:
    async with stage() as on:
        on.sandbox.inject_always(Fault.error(status, detail="because"), id=5)
        with pytest.raises(cls, match="because") as caught:
            await on.trainings.get(5)
        assert type(caught.value) is cls
        assert caught.value.attempts == len(on.sandbox.arrivals) == 1
        assert caught.value.problem is not None
        assert caught.value.problem.status == status


TRANSIENT: list[tuple[Callable[[], Fault], type[LuccaError]]] = [
    (lambda: Fault.error(408), ResponseError),
    (Fault.internal_error, ServerError),
    (lambda: Fault.error(502), ServerError),
    (Fault.unavailable, ServerError),
    (lambda: Fault.unavailable(2), ServerError),
    (lambda: Fault.slow(60), LuccaTimeoutError),
    (Fault.drop, LuccaConnectionError),
    (Fault.truncate, LuccaConnectionError),
]


@pytest.mark.parametrize(("fault", "cls"), TRANSIENT)
async def test_a_transient_fault_is_survived(
    fault: Callable[[], Fault], cls: type[LuccaError]
) -> None:
    async with stage() as on:
        on.sandbox.inject(fault(), fault())
        assert (await on.trainings.get(235)).owner_id == 416
        assert on.ids == ["235"] * 3


@pytest.mark.parametrize("retry_after", [1, None])
async def test_a_429_is_no_failed_attempt(retry_after: int | None) -> None:
    async with stage(retry=RetryPolicy(max_attempts=1, backoff_max=5)) as on:
        on.sandbox.inject(*[Fault.too_many_requests(retry_after)] * 20)
        assert (await on.trainings.get(235)).owner_id == 416
        assert on.ids == ["235"] * 21


async def test_the_attempts_of_an_error_are_all_its_requests() -> None:
    async with stage(retry=RetryPolicy(max_attempts=2)) as on:
        on.sandbox.inject(
            Fault.too_many_requests(1),
            Fault.internal_error(),
            Fault.too_many_requests(1),
            Fault.internal_error(),
        )
        with pytest.raises(ServerError) as caught:
            await on.trainings.get(5)
        assert caught.value.attempts == len(on.sandbox.arrivals) == 4


@pytest.mark.parametrize(("fault", "cls"), TRANSIENT)
async def test_a_lasting_fault_ends_in_its_own_error(
    fault: Callable[[], Fault], cls: type[LuccaError]
) -> None:
    async with stage() as on:
        on.sandbox.inject_always(fault(), id=5)
        with pytest.raises(cls) as caught:
            await on.trainings.get(5)
        assert type(caught.value) is cls
        assert vars(caught.value)["attempts"] == len(on.sandbox.arrivals) == 5
        assert caught.value.__cause__ is None


async def test_a_kept_alive_connection_that_breaks_costs_one_request_per_attempt() -> None:
    # aiohttp would resend by itself here, unseen by the budget.
    async with stage() as on:
        await on.trainings.get(1)
        on.sandbox.inject(Fault.drop(), id=2)
        await on.trainings.get(2)
        assert on.ids == ["1", "2", "2"]
        on.sandbox.inject_always(Fault.drop(), id=3)
        with pytest.raises(
            LuccaConnectionError, match="^no answer: the server closed the connection "
        ):
            await on.trainings.get(3)


async def test_an_answer_that_is_no_training_is_not_retried() -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.bad_json())
        with pytest.raises(DecodeError) as caught:
            await on.trainings.get(5)
        assert caught.value.path == "$"
        assert caught.value.excerpt in str(caught.value)
        assert len(on.sandbox.arrivals) == 1


async def test_the_path_of_a_bad_field_is_told() -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.answer(body='{"id": 5, "ownerId": 1, "sessionStartsOn": "x"}'))
        with pytest.raises(DecodeError, match=r"\$\.sessionStartsOn"):
            await on.trainings.get(5)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_error_and_never_followed(status: int) -> None:
    async with stage() as on:
        path = "/talent-training/api/v2/realized-trainings/6"
        on.sandbox.inject(Fault.answer(status, headers={"Location": path}))
        with pytest.raises(ResponseError, match="redirect to .*realized-trainings/6") as caught:
            await on.trainings.get(5)
        assert caught.value.status == status
        assert on.ids == ["5"]


async def test_retry_after_in_seconds_is_waited_out() -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.unavailable(30), Fault.too_many_requests(40))
        await on.trainings.get(5)
        first, second, third = (arrival.at for arrival in on.sandbox.arrivals)
        assert second - first == 30
        assert third - second == 40


async def test_retry_after_as_a_date_is_judged_by_the_servers_clock() -> None:
    # The server's clock is a day behind this machine's.
    yesterday = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    headers = {
        "Date": format_datetime(yesterday, usegmt=True),
        "Retry-After": format_datetime(yesterday + timedelta(seconds=45), usegmt=True),
    }
    async with stage() as on:
        on.sandbox.inject(Fault.answer(503, headers=headers))
        await on.trainings.get(5)
        first, second = (arrival.at for arrival in on.sandbox.arrivals)
        assert second - first == 45


@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_beyond_the_cap_is_raised_at_once(status: int) -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.error(status, retry_after=121))
        with pytest.raises(ResponseError) as caught:
            await on.trainings.get(5)
        assert (caught.value.retry_after, caught.value.attempts, now()) == (121, 1, 0)


async def test_while_a_long_429_lasts_calls_fail_at_once_and_send_nothing() -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.too_many_requests(3600))
        with pytest.raises(RateLimitedError):
            await on.trainings.get(5)
        await asyncio.sleep(600)
        with pytest.raises(RateLimitedError, match="not sent: .* wait 3000 s more") as caught:
            await on.trainings.get(6)
        assert (caught.value.retry_after, caught.value.attempts) == (3000, 0)
        await asyncio.sleep(3000)
        await on.trainings.get(6)
        assert on.ids == ["5", "6"]


async def test_an_absurd_retry_after_does_not_disable_the_client_for_good() -> None:
    async with stage() as on:
        on.sandbox.inject(Fault.too_many_requests("Fri, 31 Dec 9999 23:59:59 GMT"))
        with pytest.raises(RateLimitedError) as caught:
            await on.trainings.get(5)
        assert (caught.value.retry_after or 0) > 1e9
        await asyncio.sleep(86_400)
        assert (await on.trainings.get(6)).id == 6


async def test_a_retry_after_beyond_the_deadline_is_raised_at_once() -> None:
    async with stage(retry=RetryPolicy(deadline=20)) as on:
        on.sandbox.inject(Fault.unavailable(30))
        with pytest.raises(ServerError) as caught:
            await on.trainings.get(5)
        assert (caught.value.retry_after, now()) == (30, 0)


async def test_no_attempt_starts_after_the_deadline() -> None:
    async with stage(retry=RetryPolicy(max_attempts=1000, deadline=20)) as on:
        on.sandbox.inject_always(Fault.internal_error(), id=5)
        with pytest.raises(ServerError) as caught:
            await on.trainings.get(5)
        assert 1 < caught.value.attempts < 1000
        assert now() <= 20


async def test_the_deadline_counts_from_the_first_attempt() -> None:
    async with stage(retry=RetryPolicy(max_attempts=1000, deadline=20)) as on:
        on.sandbox.inject_always(Fault.unavailable(8), id=5)
        with pytest.raises(ServerError) as caught:
            await on.trainings.get(5)
        # Attempts at 0, 8 and 16 s; one at 24 s would be too late, and that is known at 16 s.
        assert (caught.value.attempts, now()) == (3, 16)


async def test_a_429_without_retry_after_pauses_everybody_for_the_backoff(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)
    policy = RetryPolicy(backoff_initial=10, backoff_max=10)
    async with stage(retry=policy) as on:
        on.sandbox.inject(Fault.too_many_requests(None))
        first = asyncio.create_task(on.trainings.get(5))
        await asyncio.sleep(1)
        await on.trainings.get(6)
        assert now() == 5
        await first
        assert on.ids == ["5", "5", "6"]


async def test_a_retry_does_not_wait_for_the_budget_beyond_the_deadline() -> None:
    limit = RateLimit(1, 60.0)
    async with stage(retry=RetryPolicy(deadline=20), rate_limit=limit) as on:
        on.sandbox.inject_always(Fault.internal_error(), id=5)
        with pytest.raises(ServerError):
            await on.trainings.get(5)
        assert (now(), len(on.sandbox.arrivals)) == (20, 1)


async def test_waiting_for_the_first_slot_does_not_count_against_the_deadline() -> None:
    async with stage(retry=RetryPolicy(deadline=20), rate_limit=RateLimit(1, 60.0)) as on:
        await on.trainings.get(5)
        await on.trainings.get(6)
        assert now() == pytest.approx(60, abs=0.1)


async def test_max_attempts_of_one_means_no_retry() -> None:
    async with stage(retry=RetryPolicy(max_attempts=1)) as on:
        on.sandbox.inject(Fault.internal_error())
        with pytest.raises(ServerError):
            await on.trainings.get(5)
        assert len(on.sandbox.arrivals) == 1


async def test_the_timeout_covers_the_body_and_not_the_wait_for_the_budget() -> None:
    async def trickle(request: web.Request, _: web.Response) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _unused in range(100):
            await answer.write(b" ")
            await asyncio.sleep(1)
        return answer

    async with stage(timeouts=Timeouts(total=3), rate_limit=RateLimit(1, 60.0)) as on:
        on.sandbox.inject(Fault("trickle", trickle))
        await on.trainings.get(5)
        assert [arrival.at for arrival in on.sandbox.arrivals] == [
            0,
            pytest.approx(3 + 2 * 60, abs=0.1),
        ]


async def test_a_silent_read_times_out() -> None:
    async with stage(
        timeouts=Timeouts(total=None, read=4), retry=RetryPolicy(max_attempts=1)
    ) as on:
        on.sandbox.inject(Fault.slow(60))
        with pytest.raises(LuccaTimeoutError):
            await on.trainings.get(5)
        assert now() == 4


async def test_a_dead_server() -> None:
    async with Sandbox() as sandbox:
        url = sandbox.url
    async with LuccaTrainingClient(url, "key", retry=QUICK) as client:
        with pytest.raises(LuccaConnectionError, match="no answer: .*Cannot connect") as caught:
            await client.realized_trainings.get(5)
        assert caught.value.attempts == 5


async def test_a_certificate_that_does_not_verify_is_not_retried(
    self_signed: ssl.SSLContext,
) -> None:
    hits = 0

    async def count(_: web.Request) -> web.Response:
        nonlocal hits
        hits += 1
        return web.Response()

    app = web.Application()
    app.router.add_get("/{rest:.*}", count)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self_signed).start()
        host = f"https://127.0.0.1:{runner.addresses[0][1]}"
        async with LuccaTrainingClient(host, "key", retry=QUICK) as client:
            with pytest.raises(LuccaConnectionError, match="certificate verify failed") as caught:
                await client.realized_trainings.get(5)
    finally:
        await runner.cleanup()
    assert caught.value.attempts == 1
    assert not caught.value.transient
    assert hits == 0


async def test_cancelling_a_call_leaves_nothing_held() -> None:
    async with stage(max_concurrency=1) as on:
        on.sandbox.inject(Fault.slow(60))
        call = asyncio.create_task(on.trainings.get(5))
        await asyncio.sleep(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await on.trainings.get(6)
        assert now() == 1


async def test_a_call_can_be_bounded_from_outside() -> None:
    async with stage(rate_limit=RateLimit(1, 60.0)) as on:
        await on.trainings.get(5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await on.trainings.get(6)
        assert on.ids == ["5"]
