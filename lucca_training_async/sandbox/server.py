"""The sandbox's server: key check, budget, faults, the log of arrivals, and what is answered."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

import asyncio
import math
from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterable
from typing import Self

import attrs
from aiohttp import web
from multidict import MultiMapping

from ..models import MAX_ID
from ..settings import RateLimit
from .faults import Fault, problem
from .lists import Kind
from .question import BadQueryError, Question
from .store import Record, Store
from .window import SlidingWindow, busiest_window

HIGHEST_ID = 1_000_000


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
    """

    at: float
    id: str
    status: int | None = None
    fault: str | None = None
    path: str = ""
    query: str = ""


class Sandbox:
    """Lucca's Training API on a loopback port of its own: an async context manager.

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
        size: How many realized trainings are generated.
        trainings: Realized trainings beside the generated ones, as for ``put``.
        catalogue: Courses beside the generated ones.
        demands: Training demands beside the generated ones.

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
        size: int = HIGHEST_ID,
        trainings: Iterable[Record] = (),
        catalogue: Iterable[Record] = (),
        demands: Iterable[Record] = (),
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
        self._faults: deque[Fault] = deque()
        self._faults_by_id: defaultdict[int, deque[Fault]] = defaultdict(deque)
        self._standing_faults: dict[int, Fault] = {}
        self._runner: web.AppRunner | None = None
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

    async def __aenter__(self) -> Self:
        app = web.Application()
        # One handler for all, so that nothing is asked outside of the budget and the log.
        app.router.add_route("*", "/{path:.*}", self._handle)
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
        arrival = Arrival(
            asyncio.get_running_loop().time(),
            self._id_in(request.path) or "",
            path=request.path,
            query=request.rel_url.raw_query_string,
        )
        self.arrivals.append(arrival)
        answer: web.StreamResponse = self._refusal(request, arrival) or await self._answer(request)
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

    def _id_in(self, path: str) -> str | None:
        """What stands in a path where the id of a realized training does."""
        parent, _, last = path.rpartition("/")
        return last if parent == self._store.lists["realized training"].path else None

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

    async def _answer(self, request: web.Request) -> web.Response:
        lists = self._store.lists
        kind: Kind | None = next((kind for kind in lists if lists[kind].path == request.path), None)
        one = self._id_in(request.path)
        if kind is None and one is None:
            return problem(404, f"{request.method} {request.path}: there is no such resource.")
        if request.method not in ("GET", "HEAD"):
            return problem(
                405,
                f"{request.method} {request.path}: it can only be read.",
                headers={"Allow": "GET, HEAD"},
            )
        return self._one(one or "") if kind is None else await self._page(kind, request.query)

    def _one(self, text: str) -> web.Response:
        number = _number(text)
        if not 1 <= number <= MAX_ID:
            return problem(400, "The request is invalid.", errors={"Id": [f"'{text}' is no id."]})
        record = self._store.records("realized training").text(number)
        if record is None:
            return problem(404, f"There is no realized training {number}.")
        return _json(record)

    async def _page(self, kind: Kind, query: MultiMapping[str]) -> web.Response:
        asked = self._store.lists[kind]
        try:
            question = Question.read(asked.path, asked.filters, query)
        except BadQueryError as error:
            return problem(400, "The request is invalid.", errors=error.errors)
        return _json(await self._store.records(kind).page(question))

    def _next_fault(self, text: str) -> Fault | None:
        number = _number(text)
        if queue := self._faults_by_id.get(number):
            return queue.popleft()
        if number in self._standing_faults:
            return self._standing_faults[number]
        return self._faults.popleft() if self._faults else None


def _json(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json")


def _number(text: str) -> int:
    """The number that a path segment spells, 0 if none of at most ten digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else 0
