"""Ids: what is one, each once, and read no faster than they are used."""

from __future__ import annotations

import asyncio
import itertools
import operator
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from enum import IntEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucca_training_async import InvalidIdError
from lucca_training_async._bulk.ids import IdSet, IdSource, TakenId, check_ids, refused_key
from lucca_training_async.resources._ids import check_id

from .virtual_time import run


class Course(IntEnum):
    FRENCH = 235


class ForeignInt:
    """An integer of another library (numpy's, gmpy2's): Python takes it for one."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __index__(self) -> int:
        return self._value


class BrokenInt:
    """Claims to be an integer, and fails when it is asked which."""

    def __index__(self) -> int:
        raise RuntimeError("no connection to the number server")


class MisleadingInt:
    def __index__(self) -> Any:
        return "5"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


class BoolScalar:
    """As numpy.bool_ is: no bool of Python's, and no integer either."""

    def __bool__(self) -> bool:
        return True

    def __int__(self) -> int:
        return 1


@pytest.mark.parametrize("value", [1, 235, 2**31 - 1])
def test_an_int_within_the_bounds_is_an_id(value: int) -> None:
    assert check_id(value) == value


@pytest.mark.parametrize("value", [Course.FRENCH, ForeignInt(235)])
def test_whatever_python_takes_for_an_integer_becomes_a_plain_int(value: Any) -> None:
    assert type(check_id(value)) is int
    assert check_id(value) == 235


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "not 0$"),
        (-1, "not -1$"),
        (2**31, "not 2147483648$"),
        (ForeignInt(0), "not <"),
        (True, "bool True$"),
        (False, "bool False$"),
        (BoolScalar(), "BoolScalar <"),
        (BrokenInt(), "BrokenInt <"),
        (MisleadingInt(), "MisleadingInt <"),
        (None, "NoneType None$"),
        (1.0, r"float 1\.0; convert it with int\(\)$"),
        (1.5, r"float 1\.5$"),
        (float("nan"), "float nan$"),
        (Fraction(5), r"Fraction Fraction\(5, 1\)$"),
        ("235", r"str '235'; convert it with int\(\)$"),
        (" 7 ", r"str ' 7 '; convert it with int\(\)$"),
        ("7a", "str '7a'$"),
        ("", "str ''$"),
        ("x" * 10_000, "str 'xxx"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b\n", r"str 'a\\u202eb\\n'$"),
        (b"5", "bytes b'5'$"),
        ([1], r"list \[1\]$"),
        pytest.param(10**5000, r"not \(not printable\)$", id="huge"),
        (Unprintable(), "Unprintable <Unprintable instance"),
    ],
)
def test_what_is_no_id_is_refused_in_words_that_help(value: Any, told: str) -> None:
    with pytest.raises(InvalidIdError, match=told) as caught:
        check_id(value)
    assert str(caught.value).startswith("an id is an integer from 1 to 2147483647, not ")
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


@given(st.integers(-(2**33), 2**33) | st.integers(-2, 3) | st.integers(2**31 - 3, 2**31 + 3))
def test_an_integer_is_an_id_exactly_from_1_to_the_highest_int32(value: int) -> None:
    for given_value in (value, ForeignInt(value)):
        try:
            assert check_id(given_value) == value
        except InvalidIdError:
            assert not 1 <= value < 2**31
        else:
            assert 1 <= value < 2**31


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


def key_of(value: Any) -> object:
    """What makes two values the same, said in another way than the package does."""
    if type(value) is int and value >= 1:
        return operator.index(value)
    return type(value).__name__, repr(value)


async def drained(source: IdSource) -> list[TakenId]:
    taken: list[TakenId] = []
    while (one := await source.next()) is not None:
        taken.append(one)
    return taken


@given(
    st.lists(anything | st.lists(st.integers(0, 1), max_size=1), max_size=20),
    st.booleans(),
    st.sampled_from([0, 95, 195]),
)
def test_every_distinct_value_is_handed_out_once_in_order(
    values: list[Any], lazy: bool, before: int
) -> None:
    # The source makes a pause at every 100th value: the duplicates lie on both sides of it.
    values = [7] * before + values

    async def generated() -> AsyncGenerator[Any, None]:
        for value in values:
            await asyncio.sleep(0)
            yield value

    async def main() -> tuple[list[TakenId], IdSource]:
        source = IdSource(generated() if lazy else iter(values), check_id)
        return await drained(source), source

    handed_out, source = run(main())
    first: dict[object, tuple[int, Any]] = {}
    for position, value in enumerate(values):
        first.setdefault(key_of(value), (position, value))
    expected = list(first.values())
    assert [(taken.position, taken.value) for taken in handed_out] == expected
    assert [type(taken.value) for taken in handed_out] == [type(value) for _, value in expected]
    assert source.taken == len(values)
    assert source.duplicates == len(values) - len(expected)
    for taken in handed_out:
        valid = type(taken.value) is int and taken.value >= 1
        assert taken.id == taken.value if valid else isinstance(taken.id, InvalidIdError)


class Row(list[int]):
    """It prints as a list does."""


@pytest.mark.parametrize(
    ("values", "distinct"),
    [
        ([True, 1, 1.0], 3),
        ([0, False, 0.0, -0.0], 3),
        ([[1], [1], [2]], 2),
        ([[1], Row([1])], 2),
        ([[9] * 50, [9] * 51], 2),
        (["1", b"1", "1"], 2),
        ([None, None], 1),
    ],
)
def test_values_that_are_equal_and_no_duplicates(values: list[Any], distinct: int) -> None:
    assert len({refused_key(value) for value in values}) == distinct
    source = IdSource(values, check_id)
    assert len(run(drained(source))) == distinct


def test_what_python_can_not_tell_apart_is_never_taken_for_a_duplicate() -> None:
    """Not by its address either, which is another's once the value is gone."""
    source = IdSource((Unprintable() for _ in range(50)), check_id)

    async def main() -> int:
        number = 0
        while await source.next() is not None:
            number += 1
        return number

    assert run(main()) == 50


class Column:
    """As SQLAlchemy's columns: what ``==`` gives is no truth."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise TypeError("boolean value of this clause is not defined")


class UnboundProxy:
    """As werkzeug's LocalProxy outside of a request: even its class can't be asked for."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("working outside of a request")

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class Cursor:
    """Fails once, and would go on if it were read again: a connection that comes back."""

    def __init__(self, fails_at: int) -> None:
        self.reads = 0
        self._fails_at = fails_at

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.reads += 1
        if self.reads == self._fails_at:
            raise LookupError("cursor closed")
        return self.reads


class AsyncCursor:
    """The same, a round trip away."""

    def __init__(self, fails_at: int) -> None:
        self._cursor = Cursor(fails_at)

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        await asyncio.sleep(1)
        return next(self._cursor)

    @property
    def reads(self) -> int:
        return self._cursor.reads


@pytest.mark.parametrize("kind", [Cursor, AsyncCursor])
def test_a_source_that_fails_keeps_its_error_and_is_not_read_again(
    kind: type[Cursor | AsyncCursor],
) -> None:
    async def main() -> None:
        cursor = kind(fails_at=3)
        source = IdSource(cursor, check_id)
        assert [taken.id for taken in await drained(source)] == [1, 2]
        assert await source.next() is None
        assert cursor.reads == 3
        assert isinstance(source.failure, LookupError)

    run(main())


def several_workers(source: IdSource, number: int = 7) -> list[int]:
    """What they get, in the order in which they do."""

    async def main() -> list[int]:
        got: list[int] = []

        async def worker() -> None:
            while (taken := await source.next()) is not None:
                got.append(taken.position)
                await asyncio.sleep(0.1)

        await asyncio.gather(*(worker() for _ in range(number)))
        return got

    return run(main())


def test_several_workers_share_an_async_generator() -> None:
    async def slowly() -> AsyncGenerator[int, None]:
        for value in range(1, 251):
            await asyncio.sleep(0.1)
            yield value

    assert several_workers(IdSource(slowly(), check_id)) == list(range(250))


@pytest.mark.parametrize("fails_at", [1, 25, 100, 101])
def test_several_workers_meet_the_failure_of_an_async_source_once(fails_at: int) -> None:
    """They wait for their turns to read while it fails, and must not read on."""
    cursor = AsyncCursor(fails_at)
    source = IdSource(cursor, check_id)
    assert several_workers(source) == list(range(fails_at - 1))
    assert cursor.reads == fails_at
    assert isinstance(source.failure, LookupError)


@pytest.mark.parametrize("fails_at", [1, 25, 99, 100, 101, 200])
def test_several_workers_meet_the_failure_of_a_sync_source_once(fails_at: int) -> None:
    cursor = Cursor(fails_at)
    source = IdSource(cursor, check_id)
    assert several_workers(source) == list(range(fails_at - 1))
    assert cursor.reads == fails_at
    assert isinstance(source.failure, LookupError)


async def test_an_endless_run_of_duplicates_leaves_the_loop_its_turn() -> None:
    source = IdSource(itertools.repeat(1), check_id)
    assert await source.next() is not None
    reading = asyncio.ensure_future(source.next())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not reading.done()
    assert source.taken <= 1000
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
