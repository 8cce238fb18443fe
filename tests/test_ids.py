"""Ids: checked before a request is spent, each once, read lazily."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucca_training_async import InvalidIdError
from lucca_training_async._bulk.ids import IdSet, IdSource, check_ids, refused_key
from lucca_training_async.resources._ids import check_id

from .virtual_time import run


class Course(IntEnum):
    FRENCH = 235


class LooksLikeInt:
    """As numpy's integers do."""

    def __index__(self) -> int:
        return 5


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("value", [1, 235, 2**31 - 1])
def test_valid_ids(value: int) -> None:
    assert check_id(value) == value


def test_an_int_subclass_becomes_a_plain_int() -> None:
    assert type(check_id(Course.FRENCH)) is int
    assert check_id(Course.FRENCH) == 235


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "not 0"),
        (-1, "not -1"),
        (2**31, "not 2147483648"),
        (True, "bool True"),
        (None, "NoneType None"),
        (1.0, "float 1.0"),
        ("235", "convert it with int"),
        (LooksLikeInt(), "convert it with int"),
        ("x" * 10_000, "str 'xxx"),
        ([1], r"list \[1\]"),
        pytest.param(10**5000, "not .not printable.", id="huge"),
        (Unprintable(), "Unprintable <Unprintable instance"),
    ],
)
def test_invalid_ids(value: Any, told: str) -> None:
    with pytest.raises(InvalidIdError, match=told) as caught:
        check_id(value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("ids", [5, None, "123", b"123", bytearray(b"1"), object()])
def test_what_can_hold_no_ids_is_refused_at_once(ids: Any) -> None:
    with pytest.raises(TypeError, match=f"not {type(ids).__name__}"):
        check_ids(ids)


@given(st.lists(st.integers(1, 300) | st.integers(1, 2**31 - 1)))
def test_an_id_set_is_a_set(ids: list[int]) -> None:
    compact, plain = IdSet(), set[int]()
    for value in ids:
        assert compact.add(value) is (value not in plain)
        plain.add(value)


anything = st.integers(-2, 4) | st.booleans() | st.sampled_from([1.0, "1", None, (1,)])


@given(st.lists(anything | st.lists(st.integers(0, 1), max_size=1), max_size=20), st.booleans())
def test_every_distinct_id_is_handed_out_once_in_order(given_ids: list[Any], lazy: bool) -> None:
    async def generated() -> AsyncGenerator[Any, None]:
        for value in given_ids:
            await asyncio.sleep(0)
            yield value

    async def main() -> tuple[list[Any], IdSource]:
        source = IdSource(generated() if lazy else iter(given_ids))
        handed_out: list[Any] = []
        while (taken := await source.next()) is not None:
            handed_out.append(taken)
        return handed_out, source

    handed_out, source = run(main())
    expected: list[Any] = []
    keys: list[Any] = []
    for position, value in enumerate(given_ids):
        if (key := refused_key(value)) not in keys:
            keys.append(key)
            expected.append((position, value))
    assert [(taken.position, taken.given) for taken in handed_out] == expected
    assert source.taken == len(given_ids)
    assert source.duplicates == len(given_ids) - len(expected)


def test_a_failing_source_ends_and_keeps_its_error() -> None:
    def broken() -> Iterable[int]:
        yield 1
        raise LookupError("cursor closed")

    async def main() -> None:
        source = IdSource(broken())
        assert await source.next() is not None
        assert await source.next() is None
        assert await source.next() is None
        assert isinstance(source.failure, LookupError)

    run(main())


def test_several_workers_share_one_async_source() -> None:
    async def slowly() -> AsyncGenerator[int, None]:
        for value in range(1, 101):
            await asyncio.sleep(0.1)
            yield value

    async def main() -> list[int]:
        source = IdSource(slowly())
        got: list[int] = []

        async def worker() -> None:
            while (taken := await source.next()) is not None:
                got.append(taken.position)

        await asyncio.gather(*(worker() for _ in range(7)))
        return got

    assert run(main()) == list(range(100))
