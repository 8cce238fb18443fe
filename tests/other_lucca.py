"""A second Lucca, which reads otherwise whatever the documentation of its lists leaves open.

It shares no code with the sandbox and none with the client: a query is taken from the bytes of the
request line, and a cursor is good only if it comes back as exactly the text that was given out.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, Literal
from urllib.parse import parse_qsl

import attrs
from aiohttp import web

REALIZED = "/talent-training/api/v2/realized-trainings"
TRAININGS = "/talent-training/api/v1/trainings"
DEMANDS = "/talent-training/api/v2/training-demands"
KEY = "1f2e3d4c-9999-1111-2222-333344445555"

Item = dict[str, Any]
Arrays = Literal["commas", "repeated"]
Misread = Literal[400, 500, "ignore", "nothing", "first"]
Next = Literal["cursor", "nasty", "int", "text", "absent"]
Order = Literal["ascending", "descending", "shuffled"]


@attrs.frozen
class Reading:
    """How a Lucca reads what is not documented.

    Attributes:
        arrays: The only way in which it reads several values.
        root: The same for ``fields.root``; None for as ``arrays``.
        misread: What becomes of several values that are written the other way.
        includes_days: Whether the bounds include their day.
        next: How it tells of the page after.
        counts: Whether it has a count at all.
        omits_null: Whether a member that would be null is left out.
        cap: The most items of a page, whatever the limit.
        order: Of the items.
        ignores: Filters that it does not know.
        has_times: Whether a day is written as a midnight.
    """

    arrays: Arrays = "repeated"
    root: Arrays | None = None
    misread: Misread = 400
    includes_days: bool = True
    next: Next = "cursor"
    counts: bool = True
    omits_null: bool = False
    cap: int = 100
    order: Order = "ascending"
    ignores: frozenset[str] = frozenset()
    has_times: bool = False


@attrs.frozen
class Asked:
    """A request: which one over all, when, its path, its query as it came and as it was read."""

    number: int
    at: float
    path: str
    raw_query: str
    values: Mapping[str, Sequence[str]]

    @property
    def page(self) -> str:
        return self.values["page"][0] if "page" in self.values else ""


class RefusedError(Exception):
    def __init__(self, status: int, told: str) -> None:
        super().__init__(told)
        self.status = status


Twist = Callable[[Asked, Item], Awaitable[Item | web.StreamResponse]]
"""What is answered in place of a page."""
_Passes = Callable[[Item], bool]


def _at(record: object, *path: str) -> Any:
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None  # pyright: ignore
    return record  # pyright: ignore[reportUnknownVariableType]


_ARRAYS: dict[str, dict[str, tuple[str, ...]]] = {
    REALIZED: {"ownerIds": ("ownerId",), "trainingId": ("training", "id")},
    TRAININGS: {
        "id": ("id",),
        "providerIds": ("provider", "id"),
        "categoryIds": ("category", "id"),
    },
    DEMANDS: {
        "states": ("state",),
        "departmentIds": ("owner", "departmentId"),
        "establishmentIds": ("owner", "establishmentId"),
        "priorityLevels": ("prioritization", "level"),
    },
}
_SINGLE: dict[str, dict[str, tuple[str, ...]]] = {
    REALIZED: {},
    TRAININGS: {},
    DEMANDS: {"ownerId": ("owner", "id"), "sessionId": ("session", "id")},
}


class OtherLucca:
    """Serves lists of records, which a test may change at any time.

    Attributes:
        records: What there is, by path.
        asked: All requests.
        url: Where it listens.
        twist: Has the last word on every page.
        open: How many requests are being answered.
    """

    def __init__(
        self,
        records: Mapping[str, Sequence[Item]] | None = None,
        reading: Reading | None = None,
        twist: Twist | None = None,
    ) -> None:
        given = records or {}
        self.records = {path: list(given.get(path, ())) for path in _ARRAYS}
        self.reading = reading or Reading()
        self.twist = twist
        self.asked: list[Asked] = []
        self.url = ""
        self.open = 0
        self._random = random.Random(1)
        self._places: dict[tuple[str, str], int] = {}
        self._shuffled: dict[int, float] = {}

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[OtherLucca, None]:
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}"
            yield self
        finally:
            await runner.cleanup()

    # -- one request

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        values: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True, errors="strict"):
            values.setdefault(name, []).append(value)
        now = asyncio.get_running_loop().time()
        asked = Asked(len(self.asked) + 1, now, path, query, values)
        self.asked.append(asked)
        self.open += 1
        try:
            page = self._page(request, asked)
            answer = page if self.twist is None else await self.twist(asked, page)
        except RefusedError as refused:
            told = {"title": "Refused", "status": refused.status, "detail": str(refused)}
            return web.json_response(told, status=refused.status)
        finally:
            self.open -= 1
        return web.json_response(answer) if isinstance(answer, dict) else answer

    def _page(self, request: web.BaseRequest, asked: Asked) -> Item:
        if request.headers.get("Authorization") != f"lucca application={KEY}":
            raise RefusedError(401, "who is there?")
        if request.method != "GET" or asked.path not in self.records:
            raise RefusedError(404, "no such list")
        values, reading = asked.values, self.reading
        passes, key = self._filters(asked)
        items = [item for item in self._ordered(asked.path) if all(each(item) for each in passes)]
        limit = int(values.get("limit", ["100"])[0])
        if not 0 <= limit <= 100:
            raise RefusedError(400, "limit")
        size = min(limit, reading.cap)
        start = self._place(asked, key, size)
        stop = start + size
        read = self._array(values.get("fields.root", []), reading.root or reading.arrays)
        root = read or []
        page: Item = {"items": [self._written(item) for item in items[start:stop]]}
        if "count" in root and reading.counts:
            page["count"] = len(items)
        if "next" in root and reading.next != "absent":
            page["next"] = self._cursor(key, stop, size) if size and stop < len(items) else None
        if "prev" in root:
            page["prev"] = self._cursor(key, max(0, start - size), size) if start and size else None
        return {k: v for k, v in page.items() if v is not None} if reading.omits_null else page

    # -- pages

    def _ordered(self, path: str) -> list[Item]:
        items, order = self.records[path], self.reading.order
        if order == "shuffled":
            return sorted(items, key=lambda item: hash((item["id"] * 2654435761) % 1009))
        return sorted(items, key=lambda item: int(item["id"]), reverse=order == "descending")

    def _cursor(self, key: str, offset: int, size: int) -> str | int:
        kind = self.reading.next
        if kind in ("int", "text", "absent"):
            index = offset // size + 1
            return index if kind == "int" else str(index)
        known = [text for (of, text), place in self._places.items() if (of, place) == (key, offset)]
        if known:
            return known[0]
        drawn = f"{self._random.getrandbits(30):06x}|{self._random.getrandbits(50):012x}|{offset}"
        forms = ["~f", f"~{drawn}", f"!{drawn}"]
        if kind == "nasty":
            forms = [f"{drawn}+%2B &page=1#/?=é%\U0001f600", f"{drawn},1;\\\"'<>[]^`{{}}", drawn]
        number = sum(of == key for of, _ in self._places)
        text = forms[number % 3 if number < 3 or kind == "nasty" else 1 + number % 2]
        self._places[key, text] = offset
        return text

    def _place(self, asked: Asked, key: str, size: int) -> int:
        texts = asked.values.get("page")
        if texts is None:
            return 0
        if len(texts) != 1:
            raise RefusedError(400, "page")
        text = texts[0]
        raw = [part for part in asked.raw_query.split("&") if part.startswith("page=")]
        # A space as a plus, or a bar as it is, would be understood here and elsewhere misread.
        if len(raw) != 1 or not set(raw[0]).isdisjoint('+|"<>\\^`{} '):
            raise RefusedError(400, "page is not encoded")
        if text.isascii() and text.isdecimal() and int(text) >= 1:
            return (int(text) - 1) * size
        if (key, text) not in self._places:
            raise RefusedError(400, f"no cursor of this list: {text}")
        return self._places[key, text]

    def _written(self, item: Item) -> Item:
        if not self.reading.has_times or "sessionEndsOn" not in item:
            return item
        days = ("sessionStartsOn", "sessionEndsOn")
        return item | {name: f"{item[name]}T00:00:00" for name in days}

    # -- filters

    def _filters(self, asked: Asked) -> tuple[list[_Passes], str]:
        values, path = asked.values, asked.path
        passes: list[_Passes] = []
        key = path
        for name in sorted(values.keys() - self.reading.ignores):
            made = self._filter(path, name, values[name])
            if made is not None:
                passes.append(made)
                read = self._array(values[name], self.reading.arrays)
                key += f"&{name}={read if name in _ARRAYS[path] else values[name]}"
        return passes, key

    def _filter(self, path: str, name: str, given: Sequence[str]) -> _Passes | None:
        if name in _ARRAYS[path]:
            where, wanted = _ARRAYS[path][name], self._array(given, self.reading.arrays)
            return None if wanted is None else lambda item: str(_at(item, *where)) in wanted
        value = given[0]
        if name in _SINGLE[path]:
            place = _SINGLE[path][name]
            return lambda item: str(_at(item, *place)) == value
        if path == TRAININGS and name == "search":
            return lambda item: value.casefold() in str(item.get("title")).casefold()
        if path != REALIZED:
            return None
        if name == "hasAttended":
            if value not in ("true", "false"):
                raise RefusedError(400, name)
            return lambda item: item.get("hasAttended", True) is (value == "true")
        equal = self.reading.includes_days
        if name == "sessionEndOnAfter":
            return lambda it: _ends(it) > _day(value) or (equal and _ends(it) == _day(value))
        if name == "sessionEndOnBefore":
            return lambda it: _ends(it) < _day(value) or (equal and _ends(it) == _day(value))
        return None

    def _array(self, given: Sequence[str], arrays: Arrays) -> list[str] | None:
        """The values, or None where that is no filter."""
        is_misread = any("," in text for text in given) if arrays == "repeated" else len(given) > 1
        if not is_misread:
            return given[0].split(",") if arrays == "commas" and given else list(given)
        match self.reading.misread:
            case "ignore":
                return None
            case "nothing":
                return []
            case "first":
                return [given[0].split(",")[0]]
            case status:
                raise RefusedError(status, "an array")


def _ends(item: Item) -> date:
    return date.fromisoformat(item["sessionEndsOn"][:10])


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RefusedError(400, f"no day: {text}") from None
