"""The page about watching: its examples run, and what they count and trace is what happens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from lucca_training_async import LuccaError, RateLimit, RetryPolicy, Timeouts
from lucca_training_async.sandbox import Fault, Sandbox

from .outages import Host, Outage, outage_stage
from .support import stage
from .test_examples import EXAMPLES, WATCHING
from .test_security import FAULTS, KEY

prometheus = pytest.importorskip("prometheus_client")
instrumentation = pytest.importorskip("opentelemetry.instrumentation.aiohttp_client")
pytest.importorskip("opentelemetry.sdk")

CAPTURE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST"
ID = 235


@pytest.fixture(scope="module")
def page() -> Iterator[dict[str, Any]]:
    """What the page has defined, once all of it has run."""
    examples = list(EXAMPLES.parse(WATCHING).examples())
    with pytest.MonkeyPatch.context() as patch, Sandbox(rate_limit=None) as sandbox:
        patch.setenv("LUCCA_HOST", sandbox.url)
        patch.setenv("LUCCA_API_KEY", sandbox.api_key)
        # As bad as it gets.
        patch.setenv(CAPTURE, ".*")
        names: dict[str, Any] = {}
        for example in examples:
            example.evaluate()
            names |= example.namespace  # each block runs by itself
    yield names
    instrumentation.AioHttpClientInstrumentor().uninstrument()
    for name in ("REQUESTS", "RETRIES", "SECONDS", "WAITED"):
        prometheus.REGISTRY.unregister(names[name])


# -- Prometheus


class Counters:
    """What the page's counters have counted since this was made."""

    def __init__(self) -> None:
        self._before = self._all()

    @staticmethod
    def _all() -> dict[Any, float]:
        return {
            (sample.name, *sample.labels.values()): sample.value
            for metric in prometheus.REGISTRY.collect()
            for sample in metric.samples
            if sample.name.startswith("lucca_") and not sample.name.endswith("_created")
        }

    def counted(self, name: str) -> dict[Any, float]:
        """By their labels, those that have grown."""
        grown = {key: value - self._before.get(key, 0) for key, value in self._all().items()}
        return {key[1:]: value for key, value in grown.items() if key[0] == name and value}

    def total(self, name: str) -> float:
        return self.counted(name).get((), 0.0)


async def test_the_counters_of_a_get_that_meets_everything(page: dict[str, Any]) -> None:
    counters = Counters()
    async with stage(on_attempt=page["count"], timeouts=Timeouts(total=4.0)) as on:
        faults = [Fault.internal_error(), Fault.drop(), Fault.too_many_requests(2)]
        on.sandbox.inject(*faults, Fault.slow(60), Fault.too_many_requests(3))
        await on.trainings.get(ID)
    assert counters.counted("lucca_requests_total") == {
        ("500", "ServerError"): 1,
        ("", "LuccaConnectionError"): 1,
        ("429", "RateLimitedError"): 2,
        ("", "LuccaTimeoutError"): 1,
        ("200", ""): 1,
    }
    assert counters.total("lucca_retries_total") == 5
    assert counters.total("lucca_request_seconds_count") == 6
    assert counters.total("lucca_request_seconds_sum") == pytest.approx(4, abs=0.2)
    assert counters.total("lucca_wait_seconds_sum") == pytest.approx(5, abs=0.2)


async def test_the_counters_of_a_contended_budget(page: dict[str, Any]) -> None:
    """Of 25 in 10 s the client believes that it has 20, and somebody else takes 10 first."""
    counters = Counters()
    limits = RateLimit(25, 10.0), RateLimit(20, 10.0)
    async with stage(
        Sandbox(rate_limit=limits[0]), rate_limit=limits[1], on_attempt=page["count"]
    ) as on:
        async with aiohttp.ClientSession() as other:
            headers = {"Authorization": f"lucca application={on.sandbox.api_key}"}
            path = "/talent-training/api/v2/realized-trainings/1"
            for _ in range(10):
                async with other.get(on.sandbox.url + path, headers=headers) as response:
                    assert response.status == 200
        result = await on.trainings.get_many(range(1, 61), plan="each")
        statuses = on.statuses[10:]
    assert result.failures == {}
    counted = counters.counted("lucca_requests_total")
    assert counted == {
        ("200", ""): 60,
        ("429", "RateLimitedError"): statuses.count(429),
    }
    assert statuses.count(429) > 0
    assert sum(counted.values()) == result.stats.requests == len(statuses)
    assert counters.total("lucca_retries_total") == statuses.count(429)
    assert counters.total("lucca_wait_seconds_count") == result.stats.requests
    assert counters.total("lucca_wait_seconds_sum") > 10 * statuses.count(429)


async def test_the_counters_of_a_call_that_is_cancelled(page: dict[str, Any]) -> None:
    counters = Counters()
    async with stage(on_attempt=page["count"]) as on:
        on.sandbox.inject(Fault.slow(10))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await on.trainings.get(ID)
    assert counters.counted("lucca_requests_total") == {("", "CancelledError"): 1}


# -- OpenTelemetry


def spans_of(page: dict[str, Any]) -> tuple[list[Any], Any]:
    """Those of the requests, and the caller's, which ends last."""
    *requests, caller = page["spans"].get_finished_spans()
    for span in [*requests, caller]:
        assert KEY not in span.to_json()
    for span in requests:
        assert span.parent == caller.context
        # That they are captured, so that the key would be.
        assert any(name.startswith("http.request.header.") for name in span.attributes)
    return requests, caller


@pytest.mark.parametrize("is_given", [False, True], ids=["own session", "given session"])
async def test_each_attempt_is_a_span_of_the_callers(page: dict[str, Any], is_given: bool) -> None:
    page["spans"].clear()
    session = aiohttp.ClientSession() if is_given else None
    sandbox = Sandbox(rate_limit=None, api_key=KEY)
    async with stage(sandbox, session=session) as on:
        on.sandbox.inject(Fault.internal_error(), Fault.drop(), Fault.too_many_requests(2))
        with page["tracer"].start_as_current_span("caller"):
            await on.trainings.get(ID)
    if session is not None:
        await session.close()
    requests, caller = spans_of(page)
    assert caller.name == "caller"
    statuses = [span.attributes.get("http.status_code") for span in requests]
    assert statuses == [500, None, 429, 200]


async def test_the_spans_of_a_bulk_run_a_stream_and_a_list(page: dict[str, Any]) -> None:
    async def bulk(trainings: Any) -> None:
        await trainings.get_many(range(1, 31), plan="each")

    async def stream(trainings: Any) -> None:
        async with trainings.stream(range(1, 31)) as outcomes:
            async for _ in outcomes:
                pass

    async def walk(trainings: Any) -> None:
        async for _ in trainings.list():
            pass

    for way in (bulk, stream, walk):
        page["spans"].clear()
        async with stage(Sandbox(rate_limit=None, api_key=KEY, size=250)) as on:
            on.sandbox.inject(Fault.internal_error(), Fault.too_many_requests(2))
            with page["tracer"].start_as_current_span("caller"):
                await way(on.trainings)
            assert len(spans_of(page)[0]) == len(on.sandbox.arrivals) > 2


async def test_the_spans_of_an_outage(page: dict[str, Any]) -> None:
    """Probes are the caller's, too; and it is told of as many attempts as there are spans."""
    page["spans"].clear()
    told: list[Any] = []
    async with outage_stage(Host(Outage("cut", 61.0, 40.0)), on_attempt=told.append) as on:
        with page["tracer"].start_as_current_span("caller"):
            await asyncio.sleep(0)
            await on.trainings.get_many(range(1, 121), plan="each")
    requests, _ = spans_of(page)
    assert len(requests) == len(told) > 120


@pytest.mark.parametrize("name", FAULTS)
async def test_no_span_holds_the_key(page: dict[str, Any], name: str) -> None:
    page["spans"].clear()
    once = RetryPolicy(max_attempts=2, backoff_initial=0.01)
    async with stage(Sandbox(rate_limit=None, api_key=KEY), retry=once) as on:
        on.sandbox.inject_always(FAULTS[name], id=5)
        with page["tracer"].start_as_current_span("caller"):
            with pytest.raises(LuccaError):
                await on.trainings.get(5)
    requests, _ = spans_of(page)
    assert len(requests) == len(on.sandbox.arrivals)
