"""The sandbox as its users know it: a server with key check, budget, faults and a log."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

import asyncio
import math
from collections import defaultdict, deque
from collections.abc import Callable, Container, Generator, Iterable
from contextlib import contextmanager
from typing import Any, Self

import attrs
from aiohttp import web

from ..models import MAX_ID
from ..settings import RateLimit
from .answers import id_in, normal_answer, number_in
from .faults import Fault, problem
from .lists import Kind
from .store import Record, Store
from .thread import LoopThread
from .window import SlidingWindow, busiest_window

HIGHEST_ID = 1_000_000
_LONGEST_GOODBYE = 1.0


@attrs.define
class Arrival:
    """One request as the server saw it.

    Attributes:
        at: When it arrived, in the event loop's time (seconds).
        id: The id in its path, as text; empty if it asked for no single record.
        status: What was answered; None while it is being answered, and if the connection
            was cut instead.
        fault: The name of the fault it met, or None.
        path: Its path, without the query.
        query: Its query, as it was sent.
        method: Its method.
    """

    at: float
    id: str
    status: int | None = None
    fault: str | None = None
    path: str = ""
    query: str = ""
    method: str = "GET"


class Sandbox:
    """Lucca's Training API on a loopback port of its own.

    ``async with`` runs it in the event loop that is running; ``with`` in a thread and a loop of
    its own, for synchronous code and for code that has a loop of its own. Everything but
    entering and leaving may be used from any thread.

    It knows the realized trainings with the ids 1 to ``size`` that are not ``missing``; id 235
    is the example of Lucca's documentation. Beside them it has a catalogue and some training
    demands, and what it is given. Unlike Lucca it refuses parameters that it doesn't know. Of
    ``sessionEndOnBefore`` and ``sessionEndOnAfter`` the day itself is excluded.

    Args:
        api_key: The key it accepts.
        rate_limit: Its budget, strict, over arrivals; None for none.
        missing: Generated ids to answer with 404; it must not change later (see ``remove``).
        uplink: Gives the seconds that a request travels before it arrives.
        downlink: Gives the seconds until its answer is sent.
        port: Where to listen; 0 lets the system choose.
        keep_alive: Whether a connection stays open after an answer. One that does not can't
            outlive the event loop of a client that nobody closes.
        size: How many realized trainings are generated.
        trainings: Realized trainings beside the generated ones, as for ``put``.
        catalogue: Courses beside the generated ones.
        demands: Training demands beside the generated ones.
        fault: Called without arguments, once for each request for which nothing was injected:
            gives what it meets, or None for nothing.
        on_answer: Called with each arrival when it has been answered, or cut.

    Attributes:
        arrivals: Every request in order of arrival.

    Raises:
        TypeError: A given record is none.
        ValueError: It has no id, or ``size`` is out of range.
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
        keep_alive: bool = True,
        size: int = HIGHEST_ID,
        trainings: Iterable[Record] = (),
        catalogue: Iterable[Record] = (),
        demands: Iterable[Record] = (),
        fault: Callable[[], Fault | None] | None = None,
        on_answer: Callable[[Arrival], object] | None = None,
    ) -> None:
        if not 0 <= size <= MAX_ID:
            raise ValueError(f"size must be from 0 to {MAX_ID}, not {size}")
        self.api_key = api_key
        self.arrivals: list[Arrival] = []
        self._rate_limit = rate_limit
        self._window = None if rate_limit is None else SlidingWindow(rate_limit)
        self._uplink = uplink
        self._downlink = downlink
        self._port = port
        self._keep_alive = keep_alive
        self._fault = fault
        self._on_answer = on_answer
        self._faults: deque[Fault] = deque()
        self._faults_by_id: defaultdict[int, deque[Fault]] = defaultdict(deque)
        self._standing_faults: dict[int, Fault] = {}
        self._runner: web.AppRunner | None = None
        self._thread: LoopThread | None = None
        self._entered = False
        self._answering: set[asyncio.Task[Any]] = set()
        self._store = Store(size, missing)
        for record in trainings:
            self.put(record)
        for record in catalogue:
            self.put(record, kind="training")
        for record in demands:
            self.put(record, kind="training demand")

    @property
    def url(self) -> str:
        """Where it listens, to be given to the client as ``host``."""
        if self._runner is None:
            raise RuntimeError("the sandbox is not running: enter it with 'with' or 'async with'")
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

    def put(self, record: Record, *, id: int | None = None, kind: Kind | None = None) -> None:
        """Add a record, or replace the one with its id.

        Args:
            record: A model, or an object as in Lucca's JSON, which is kept as it is: it may be
                wrong. Decimals in it are written exactly.
            id: Where it is found, if not by the id in it.
            kind: What an object is: ``"realized training"`` (the default), ``"training"``
                (of the catalogue) or ``"training demand"``. Models tell themselves.

        Raises:
            TypeError: It is no record, or holds what JSON can't tell.
            ValueError: It has no id to be found by, or is of another kind.
        """
        self._store.put(record, id=id, kind=kind)

    def remove(self, id: int, *, kind: Kind = "realized training") -> None:
        """Remove a record, generated or given.

        Raises:
            LookupError: There is none.
        """
        self._store.remove(id, kind)

    def answer(self, path: str, json: object, *, status: int = 200) -> None:
        """Answer requests for a path, by any method, with this; also where it has an answer.

        Args:
            path: The path, without a query: whatever the query, the answer is the same.
            json: A JSON value; Decimals in it are written exactly.
            status: The status.

        Raises:
            TypeError: It holds what JSON can't tell.
            ValueError: It is no such path.
        """
        self._store.answer(path, json, status)

    def __enter__(self) -> Self:
        with self._entering():
            thread = LoopThread(self._start, self._stop)
            thread.start()
            self._thread = thread
        return self

    def __exit__(self, *_: object) -> None:
        thread, self._thread = self._thread, None
        self._entered = False
        if thread is not None:
            thread.stop()

    async def __aenter__(self) -> Self:
        with self._entering():
            await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._entered = False
        await self._stop()

    @contextmanager
    def _entering(self) -> Generator[None, None, None]:
        if self._entered:
            raise RuntimeError("the sandbox is running already: leave it before it is entered anew")
        self._entered = True
        try:
            yield
        except BaseException:
            self._entered = False
            raise

    async def _start(self) -> None:
        app = web.Application()
        # One handler for all, so that nothing is asked outside of the budget and the log.
        app.router.add_route("*", "/{path:.*}", self._handle)
        # To aiohttp, no time at all is all the time in the world.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LONGEST_GOODBYE)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner

    async def _stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None:
            return
        # Requests still being answered at the end are abandoned, not waited for. aiohttp does not
        # know those any more whose client has gone.
        for task in self._answering:
            task.cancel()
        if self._answering:
            await asyncio.wait(self._answering)
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        return await self._respond(request)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        if self._uplink is not None:
            await asyncio.sleep(self._uplink())
        arrival = Arrival(
            asyncio.get_running_loop().time(),
            id_in(self._store, request.path) or "",
            path=request.path,
            query=request.rel_url.raw_query_string,
            method=request.method,
        )
        self.arrivals.append(arrival)
        try:
            return await self._answer(request, arrival)
        finally:
            if self._on_answer is not None:
                self._on_answer(arrival)

    async def _answer(self, request: web.Request, arrival: Arrival) -> web.StreamResponse:
        answer: web.StreamResponse | None = self._refusal(request, arrival)
        if answer is None:
            answer = await normal_answer(self._store, request)
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
        if not self._keep_alive:
            answer.force_close()
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

    def _next_fault(self, text: str) -> Fault | None:
        number = number_in(text)
        if queue := self._faults_by_id.get(number):
            return queue.popleft()
        if number in self._standing_faults:
            return self._standing_faults[number]
        if self._faults:
            return self._faults.popleft()
        return None if self._fault is None else self._fault()
