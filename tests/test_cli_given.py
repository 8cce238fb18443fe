"""What a sandbox is given in a terminal, by table."""

from __future__ import annotations

import argparse
from collections import Counter

import pytest

from lucca_training_async.cli.connection import WrongUseError
from lucca_training_async.cli.given import KINDS, chance, chooser, ids
from lucca_training_async.cli.sandbox import COMMAND
from lucca_training_async.sandbox import Fault


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("3", [3], [2, 4]),
        ("3,7", [3, 7], [4]),
        ("3, 10-20 ,7", [3, 7, 10, 20], [9, 21]),
        ("10 - 20", [10, 20], [9]),
        ("1-2147483647", [1, 2147483647], [0]),
    ],
)
def test_ids(text: str, inside: list[int], outside: list[int]) -> None:
    found = ids(text)
    assert all(id in found for id in inside)
    assert not any(id in found for id in outside)


@pytest.mark.parametrize(
    "text", ["", ",", "0", "a", "3,,4", "-3", "7-3", "2147483648", "1-99999999999", "1.5", "٣"]
)
def test_no_ids(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="must be ids from 1 to 2147483647"):
        ids(text)


@pytest.mark.parametrize(
    ("text", "name", "rate"),
    [
        ("drop:0.1", "dropped connection", 0.1),
        ("truncate:1", "truncated body", 1),
        ("html:0", "HTML 200", 0),
        ("bad_json:.5", "bad JSON", 0.5),
        ("bad-json:5%", "bad JSON", 0.05),
        ("internal_error:100%", "error 500", 1),
        ("unavailable:0.5%", "error 503", 0.005),
        ("unavailable=30:1", "error 503", 1),
        ("too_many_requests:1", "error 429", 1),
        ("too-many-requests=0.5:1", "error 429", 1),
        ("slow:1", "slow 2 s", 1),
        ("slow=0.25:1", "slow 0.25 s", 1),
        ("error=418:1", "error 418", 1),
        ("answer:1", "answer 200", 1),
        ("answer=204:1", "answer 204", 1),
    ],
)
def test_a_fault(text: str, name: str, rate: float) -> None:
    given = chance(text)
    assert given.fault.name == name
    assert given.rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be NAME:RATE, such as drop:0.1"),
        ("drop", "must be NAME:RATE"),
        ("drop:", "must be NAME:RATE"),
        (":0.1", "must be NAME:RATE"),
        ("nonsense:0.1", "there is no fault 'nonsense': too_many_requests, "),
        ("drop:1.1", "a rate is from 0 to 1"),
        ("drop:101%", "a rate is from 0 to 1"),
        ("drop:-1", "a rate is from 0 to 1"),
        ("drop:nan", "a rate is from 0 to 1"),
        ("drop:%", "a rate is from 0 to 1"),
        ("drop=1:0.1", "drop takes no value: drop:0.1"),
        ("error:0.1", "error needs a status, such as error=418:0.1"),
        ("error=200:0.1", "error takes a whole number from 400 to 599, not '200'"),
        ("error=x:0.1", "error takes a whole number from 400 to 599, not 'x'"),
        ("answer=100:0.1", "answer takes a whole number from 200 to 599"),
        ("slow=:0.1", "slow takes seconds from 0 to 3600, not ''"),
        ("slow=9999:0.1", "slow takes seconds"),
        ("slow=inf:0.1", "slow takes seconds"),
    ],
)
def test_no_fault(text: str, reason: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        chance(text)
    assert str(caught.value).startswith(reason)


def test_every_constructor_can_be_named_and_is_in_the_help() -> None:
    made = {name for name, value in vars(Fault).items() if isinstance(value, classmethod)}
    assert set(KINDS) == made
    assert all(name in COMMAND.epilog for name in made)


def test_faults_come_as_often_as_asked_for() -> None:
    choose = chooser([chance("drop:0.2"), chance("html:0.3")], seed=1)
    drawn = Counter(fault and fault.name for fault in (choose() for _ in range(10_000)))
    assert drawn["dropped connection"] == pytest.approx(2_000, rel=0.1)
    assert drawn["HTML 200"] == pytest.approx(3_000, rel=0.1)


def test_the_same_seed_draws_the_same() -> None:
    one, other = (chooser([chance("drop:0.5")], seed=3) for _ in range(2))
    assert [one() is None for _ in range(50)] == [other() is None for _ in range(50)]


@pytest.mark.parametrize(
    ("rates", "fits"),
    [((0.7, 0.3), True), ((0.1,) * 10, True), ((1, 0.1), False)],
)
def test_rates_that_are_more_than_one_together(rates: tuple[float, ...], fits: bool) -> None:
    chances = [chance(f"drop:{rate}") for rate in rates]
    if fits:
        choose = chooser(chances, seed=1)
        assert all(choose() is not None for _ in range(200))
    else:
        with pytest.raises(WrongUseError, match="more than 1 together"):
            chooser(chances, seed=1)
