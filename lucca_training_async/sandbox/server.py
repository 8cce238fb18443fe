"""The sandbox's server: routes, key check, budget, faults and the log of arrivals."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

import asyncio
import json
import math
from collections import defaultdict, deque
from collections.abc import Callable, Container
from typing import Self

import attrs
from aiohttp import web
from aiohttp.typedefs import Handler

from ..models import MAX_ID
from ..settings import RateLimit
from .data import realized_training
from .faults import Fault, problem
from .window import SlidingWindow, busiest_window

HIGHEST_ID = 1_000_000
_PATH = "/talent-training/api/v2/realized-trainings/{id}"


@attrs.define
class Arrival:
    """One request as the server saw it.

    Attributes:
        at: When it arrived, in the event loop's time (seconds).
        id: The id in its path, as text.
        status: What was answered; None while it is being answered, and if the connection
            was cut instead.
        fault: The name of the fault it met, or None.
    """

    at: float
    id: str
    status: int | None = None
    fault: str | None = None


class Sandbox:
    """Lucca's Training API on a loopback port of its own: an async context manager.

    It knows a realized training for every id up to 1,000,000 that is not ``missing``; id
    235 is the example of Lucca's documentation.

    Args:
        api_key: The key it accepts.
        rate_limit: Its budget, strict, over arrivals; None for none.
        missing: Ids to answer with 404.
        uplink: Gives the seconds that a request travels before it arrives.
        downlink: Gives the seconds until its answer is sent.
        port: Where to listen; 0 lets the system choose.

    Attributes:
        arrivals: Every request in order of arrival.
    """

    def __init__(
        self,
        *,
        api_key: str = "sandbox-api-key",
        rate_limit: RateLimit | None = RateLimit(),
        missing: Container[int] = (),
        uplink: Callable[[], float] | None = None,
        downlink: Callable[[], float] | None = None,
        port: int = 0,
    ) -> None:
        self.api_key = api_key
        self.arrivals: list[Arrival] = []
        self._rate_limit = rate_limit
        self._window = None if rate_limit is None else SlidingWindow(rate_limit)
        self._missing = missing
        self._uplink = uplink
        self._downlink = downlink
        self._port = port
        self._faults: deque[Fault] = deque()
        self._faults_by_id: defaultdict[int, deque[Fault]] = defaultdict(deque)
        self._standing_faults: dict[int, Fault] = {}
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens, to be given to the client as ``host``."""
        if self._runner is None:
            raise RuntimeError("the sandbox is not running: enter it with 'async with'")
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def inject(self, *faults: Fault, id: int | None = None) -> None:
        """Let the next requests meet these faults, one each.

        Args:
            faults: In order.
            id: Only requests for this id; None for whichever come next.
        """
        (self._faults if id is None else self._faults_by_id[id]).extend(faults)

    def inject_always(self, fault: Fault, *, id: int) -> None:
        """Let every request for this id meet the fault."""
        self._standing_faults[id] = fault

    def busiest_window(self) -> int:
        """The most arrivals, refused ones included, in any period of the rate limit."""
        if self._rate_limit is None:
            raise RuntimeError("this sandbox has no rate limit")
        return busiest_window([arrival.at for arrival in self.arrivals], self._rate_limit.period)

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[_problems])
        app.router.add_get(_PATH, self._handle)
        # Requests still being answered at the end are abandoned, not waited for.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        return self

    async def __aexit__(self, *_: object) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self._uplink is not None:
            await asyncio.sleep(self._uplink())
        arrival = Arrival(asyncio.get_running_loop().time(), request.match_info["id"])
        self.arrivals.append(arrival)
        answer: web.StreamResponse = self._refusal(request, arrival) or self._answer(arrival.id)
        fault = self._next_fault(arrival.id) if answer.status != 429 else None
        if self._downlink is not None:
            await asyncio.sleep(self._downlink())
        if fault is not None:
            arrival.fault = fault.name
            assert isinstance(answer, web.Response)
            answer = await fault.apply(request, answer)
            if request.transport is None or request.transport.is_closing():
                return answer
        arrival.status = answer.status
        return answer

    def _refusal(self, request: web.Request, arrival: Arrival) -> web.Response | None:
        seconds = None if self._window is None else self._window.refused_for(arrival.at)
        if seconds is not None:
            return problem(
                429,
                "The budget is spent.",
                headers={"Retry-After": str(max(1, math.ceil(seconds)))},
            )
        if request.headers.get("Authorization") != f"lucca application={self.api_key}":
            return problem(401, "The API key is unknown.")
        return None

    def _answer(self, text: str) -> web.Response:
        number = _number(text)
        if not 1 <= number <= MAX_ID:
            return problem(400, "The request is invalid.", errors={"id": [f"'{text}' is no id."]})
        if number > HIGHEST_ID or number in self._missing:
            return problem(404, f"There is no realized training {number}.")
        return web.Response(
            text=json.dumps(realized_training(number), ensure_ascii=False),
            content_type="application/json",
        )

    def _next_fault(self, text: str) -> Fault | None:
        number = _number(text)
        if queue := self._faults_by_id.get(number):
            return queue.popleft()
        if number in self._standing_faults:
            return self._standing_faults[number]
        return self._faults.popleft() if self._faults else None


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """An unknown path or method is answered with Problem Details too."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return problem(error.status, f"{request.method} {request.path}: {error.reason}.")


def _number(text: str) -> int:
    """The number that a path segment spells, 0 if none of at most ten digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else 0
