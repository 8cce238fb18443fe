"""The decisions behind a list, without a server: where it goes on, and how it is asked for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from lucca_training_async._lists.query import (
    MOST_URL_CHARACTERS,
    ArrayStyle,
    Filter,
    encoded,
    equals,
    mentions,
    not_after,
    not_before,
    one_of,
    pairs_of,
    split,
)
from lucca_training_async._lists.walk import FIRST_PAGE, Walk

from .other_lucca import DEMANDS, REALIZED, TRAININGS


@attrs.frozen
class P:
    """A page: how many items, how many of them new (None for all), and what else it tells."""

    items: int
    next: str | None = None
    count: int | None = None
    news: int | None = None
    names_next: bool = True


def walked(pages: Sequence[P], limit: int = 10, start: str | None = None) -> tuple[list[str], Any]:
    """The pages asked for, and the problem, None for the end, or "goes on"."""
    walk = Walk(limit, start)
    asked: list[str] = []
    for page in pages:
        assert walk.page is not None, "it has ended before"
        asked.append(walk.page)
        news = page.items if page.news is None else page.news
        walk.after(page.items, news, next=page.next, names_next=page.names_next, count=page.count)
        assert None in (walk.page, walk.problem)
    return asked, "goes on" if walk.page is not None else walk.problem


GOOD = {
    "nothing": [P(0)],
    "nothing, counted": [P(0, count=0)],
    "one page": [P(3)],
    "one page, counted": [P(3, count=3)],
    "one full page": [P(10, count=10)],
    "two pages": [P(10, "~a"), P(4)],
    "two pages, counted": [P(10, "~a", 14), P(4, None, 14)],
    "pages smaller than the limit": [P(5, "~a", 14), P(5, "~b", 14), P(4, None, 14)],
    "an empty page at the end": [P(10, "~a", 10), P(0, None, 10)],
    "an empty page with a cursor at the end": [P(10, "~a", 10), P(0, "~b", 10)],
    "the last cursor is its own": [P(10, "~a", 14), P(4, "~a", 14)],
    "one record was removed": [P(10, "~a", 14), P(3, None, 13)],
    "one record was added before": [P(10, "~a", 14), P(5, None, 15, news=4)],
    "one record was added behind": [P(10, "~a", 14), P(5, None, 15)],
    "one was added before, and the last page is gone": [
        P(10, "~a", 21),
        P(10, "~b", 22, news=9),
        P(0, None, 20),
    ],
    "one was added before, and the last removed": [P(10, "~a", 11), P(1, None, 11, news=0)],
    "next is absent at the end": [P(10, "~a"), P(4, names_next=False)],
    "an index": [P(10, "2"), P(4)],
    "next is absent, counted": [P(10, None, 14, None, False), P(4, None, 14, None, False)],
    "next is absent after full pages": [P(10, names_next=False), P(0, names_next=False)],
    "neither is told, and small pages": [
        P(5, names_next=False),
        P(5, names_next=False),
        P(0, names_next=False),
    ],
    "neither is told, and the last page comes for ever": [
        P(5, names_next=False),
        P(3, names_next=False),
        P(3, news=0, names_next=False),
    ],
    "next is absent after small pages, counted": [
        P(5, None, 9, None, False),
        P(4, None, 9, None, False),
    ],
}
BAD = {
    "a cursor comes again": [P(10, "~a"), P(10, "~a")],
    "a cursor comes again, counted": [P(10, "~a", 40), P(10, "~a", 40)],
    "two cursors in turn": [P(10, "~a"), P(10, "~b"), P(10, "~a")],
    "back to the first page": [P(10, FIRST_PAGE)],
    "an empty page with a cursor": [P(10, "~a"), P(0, "~b")],
    "an empty page with a cursor, counted": [P(10, "~a", 14), P(0, "~b", 14)],
    "an empty first page with a cursor": [P(0, "~a")],
    "it ends too early": [P(10, None, 14)],
    "it ends too early by an empty page": [P(10, "~a", 14), P(0, None, 14)],
    "the same page over again": [P(10, "~a", 20), P(10, None, 20, news=0)],
    "the same page over again, and a shorter one": [
        P(10, "~a", 25),
        P(10, "~b", 25, news=0),
        P(5, None, 25, news=0),
    ],
    "the same page over again, and an empty one": [
        P(10, "~a", 20),
        P(10, "~b", 20, news=0),
        P(0, None, 20),
    ],
    "it ends too early, and next is absent": [P(10, None, 14, None, False), P(0, None, 14)],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_list_that_ends(name: str) -> None:
    assert walked(GOOD[name])[1] is None


@pytest.mark.parametrize("name", BAD)
def test_a_list_that_can_not_be_followed(name: str) -> None:
    assert walked(BAD[name])[1] not in (None, "goes on")


def test_cursors_are_followed_as_they_are() -> None:
    cursors = ["~f", "~SGlnaA|LYJ77Z9Zqz|q6", "!SGlnaA|A1kVrwDKrz|th", " ", "é+%2B"]
    asked, end = walked([*(P(10, each) for each in cursors), P(1)])
    assert (asked, end) == ([FIRST_PAGE, *cursors], None)


def test_where_next_is_absent_pages_have_an_index() -> None:
    pages = [P(10, count=25, names_next=False)] * 2 + [P(5, count=25, names_next=False)]
    assert walked(pages) == (["1", "2", "3"], None)
    assert walked(pages[1:], start="2")[0] == ["2", "3"]


@pytest.mark.parametrize("end", [P(3), P(3, count=100), P(0, count=100), P(0)])
def test_one_taken_up_later_is_not_compared_with_the_count(end: P) -> None:
    """How much came before its start is not known."""
    assert walked([P(10, "~b", 100), end], start="~a") == (["~a", "~b"], None)


def test_one_taken_up_later_by_its_index_goes_on_for_as_long_as_there_is_something() -> None:
    pages = [P(4, count=12, names_next=False)] * 2 + [P(0, count=12, names_next=False)]
    assert walked(pages, start="2") == (["2", "3", "4"], None)


def test_one_taken_up_later_does_not_come_back_to_its_start() -> None:
    assert walked([P(10, "~b"), P(10, "~a")], start="~a")[1] not in (None, "goes on")


@pytest.mark.parametrize("count", [None, 0, 10, 100, 10_000])
@pytest.mark.parametrize("news", [0, 10])
@pytest.mark.parametrize("start", [None, "~x", "3"])
@pytest.mark.parametrize("names_next", [True, False])
def test_no_list_goes_on_for_ever(
    count: int | None, news: int, start: str | None, names_next: bool
) -> None:
    walk = Walk(1000, start)
    for number in range(12_000):
        cursor = f"~{number}" if names_next else None
        walk.after(1000, 100 * news, next=cursor, names_next=names_next, count=count)
        if walk.page is None:
            break
    assert walk.page is None
    assert walk.problem is not None or not names_next


def test_a_count_that_grows_as_it_is_read_is_no_way_to_go_on_for_ever() -> None:
    walk = Walk(1000, None)
    for number in range(12_000):
        walk.after(1000, 1000, next=f"~{number}", names_next=True, count=1000 * (number + 2))
        if walk.page is None:
            break
    assert walk.problem is not None


def test_a_long_list_of_small_pages_without_a_count_is_read_to_its_end() -> None:
    pages = [P(1, f"~{number}") for number in range(6_000)]
    assert walked([*pages, P(1)], limit=1)[1] is None


# -- the query

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(TEXTS, TEXTS)
def test_any_text_survives(cursor: str, search: str) -> None:
    for style in ArrayStyle:
        query = encoded([("page", [cursor]), ("search", [search])], {}, style)
        assert query.isascii()
        assert parse_qsl(query, keep_blank_values=True, strict_parsing=True) == [
            ("page", cursor),
            ("search", search),
        ]
        url = URL(f"http://lucca.test/x?{query}", encoded=True)
        assert (url.query["page"], url.query["search"]) == (cursor, search)


@pytest.mark.parametrize(
    ("style", "query"),
    [(ArrayStyle.COMMAS, "a=1,2&b=x%2Cy"), (ArrayStyle.REPEATED, "a=1&a=2&b=x%2Cy")],
)
def test_styles(style: ArrayStyle, query: str) -> None:
    assert encoded([("a", ["1", "2"]), ("b", ["x,y"])], {}, style) == query


@attrs.frozen
class Thing:
    owner: int = 0
    training: int = 0
    word: str = ""
    ends: date = date(2024, 5, 5)


def owners(ids: Sequence[int]) -> Filter[Thing]:
    return one_of("ownerIds", ids, lambda thing: str(thing.owner))


def courses(ids: Sequence[int]) -> Filter[Thing]:
    return one_of("trainingId", ids, lambda thing: str(thing.training))


HOST = "https://" + "h" * 60
CURSOR = "|" * 60  # three characters each, when encoded


def longest_url(filters: Sequence[Filter[Any]]) -> int:
    pairs = [
        *pairs_of(tuple(filters)),
        ("fields.root", ["count", "next", "prev"]),
        ("limit", ["100"]),
        ("page", [CURSOR]),
    ]
    queries = [encoded(pairs, {}, style) for style in ArrayStyle]
    path = max(REALIZED, TRAININGS, DEMANDS, key=len)
    return max(len(f"{HOST}{path}?{query}") for query in queries)


def in_a_row(start: int, count: int) -> list[int]:
    return list(range(start, start + count))


IDS = st.one_of(
    st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=30),
    st.builds(
        in_a_row,
        st.sampled_from([1, 95, 99_990, 2_147_480_000]),
        st.integers(1, 700),
    ),
)


@given(IDS, st.none() | IDS, st.booleans())
def test_parts_cover_each_value_once_and_no_url_is_too_long(
    ids: list[int], others: list[int] | None, attended: bool
) -> None:
    flag: Filter[Thing] = equals("hasAttended", attended, lambda _: attended)
    filters = [owners(ids), flag]
    filters += [] if others is None else [courses(others)]
    parts = split(tuple(filters))
    again = split(tuple(filters))
    assert [pairs_of(part) for part in parts] == [pairs_of(part) for part in again]
    asked: list[tuple[str, ...]] = []
    for part in parts:
        assert longest_url(part) <= MOST_URL_CHARACTERS
        values = {each.name: each.values for each in part}
        assert values.keys() == {each.name for each in filters}
        asked += itertools.product(values["ownerIds"], values.get("trainingId", [""]))
    meant = itertools.product(
        dict.fromkeys(map(str, ids)), dict.fromkeys(map(str, others)) if others else [""]
    )
    assert sorted(asked) == sorted(meant)
    for value in list(dict.fromkeys(ids))[:3]:
        one = Thing(owner=value, training=(others or [0])[0])
        assert sum(all(each.admits(one) for each in part) for part in parts) == 1


def test_two_long_filters_are_both_split_and_not_one_of_them_to_bits() -> None:
    """A thousand ids take some 16,000 characters, half a URL has 800: twenty times twenty."""
    parts = split((owners(range(10_000, 11_000)), courses(range(10_000, 11_000))))
    assert len(parts) <= 600


def test_a_short_list_of_ids_is_split_beside_a_longer_text() -> None:
    search: Filter[Thing] = mentions("search", "x" * 1200, lambda _: [])
    parts = split((search, owners(range(10_000, 10_060))))
    assert all(longest_url(part) <= MOST_URL_CHARACTERS for part in parts)
    assert len(parts) > 1


@pytest.mark.parametrize("word", ["x" * 1600, "é" * 300])
def test_a_text_that_fits_into_no_url_is_refused(word: str) -> None:
    search: Filter[Thing] = mentions("search", word, lambda _: [])
    with pytest.raises(ValueError, match="search"):
        split((search,))


def test_what_is_short_is_one_list() -> None:
    assert split(()) == [()]
    filters = (owners(range(1, 20)),)
    assert split(filters) == [filters]


# -- filters


@given(st.dates(), st.dates(), st.integers(-2, 2))
def test_bounds_ask_for_a_day_more_and_want_none(day: date, other: date, near: int) -> None:
    around = [other]
    if date.min + timedelta(days=2) <= day <= date.max - timedelta(days=2):
        around.append(day + timedelta(days=near))
    for made, sign in ((not_before, 1), (not_after, -1)):
        filters: list[Filter[Thing]] = made("bound", day, lambda thing: thing.ends)
        for ends in around:
            thing = Thing(ends=ends)
            meant = ends >= day if sign > 0 else ends <= day
            assert all(each.wants is None or each.wants(thing) for each in filters) == meant
            for each in filters:
                asked = date.fromisoformat(each.values[0])
                assert asked == day - timedelta(days=sign)
                assert each.admits(thing) == (ends >= asked if sign > 0 else ends <= asked)


def ends_of(thing: Thing) -> date:
    return thing.ends


@pytest.mark.parametrize(
    ("made", "day"), [(not_before, date.min), (not_after, date.max)], ids=["first", "last"]
)
def test_beyond_the_calendar_there_is_no_bound(made: Any, day: date) -> None:
    assert made("bound", day, ends_of) == []


@pytest.mark.parametrize(
    ("text", "said", "answers"),
    [
        ("sql", "Advanced SQL", True),
        ("SÉCURITÉ", "securite incendie", True),
        ("trainings", "a training", True),
        ("C++", "c plus", True),
        ("!?", "anything", True),
        ("first aid", "aid", True),
        ("python", "Business English", False),
        ("straße", "STRASSE", True),
    ],
)
def test_a_search_is_answered_liberally(text: str, said: str, answers: bool) -> None:
    search: Filter[Thing] = mentions("search", text, lambda thing: [None, thing.word])
    assert search.values == (text,)
    assert search.admits(Thing(word=said)) == answers


def test_values_are_sent_once() -> None:
    assert owners([5, 5, 6]).values == ("5", "6")
