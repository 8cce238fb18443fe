"""What fits a terminal: widths, encodings, alignment; and how far two clocks are apart."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest

from lucca_training_async.cli.clock import Difference
from lucca_training_async.cli.terminal import aligned, json_line, shown, wrapped


def stream(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding)


@pytest.mark.parametrize(
    ("text", "encoding", "told"),
    [
        ("Sécurité…", "utf-8", "Sécurité…"),
        ("Sécurité…", "ascii", "Securite..."),
        ("Sécurité", "latin-1", "Sécurité"),
        ("訓練", "ascii", "\\u8a13\\u7df4"),
        ("\x1b[31mred\x07\tx", "utf-8", "\ufffd[31mred\ufffd\ufffdx"),
        ("\x1b[31mred", "ascii", "?[31mred"),
        ("a\nb", "ascii", "a\nb"),
        ("\ud800", "utf-8", "\ufffd"),
    ],
)
def test_shown(text: str, encoding: str, told: str) -> None:
    assert shown(text, stream(encoding)) == told
    told.encode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("text", ['{"a": "é"}', '{"a": "訓"}', '{"a": "\U0001f600 \\" é"}'])
def test_json_stays_json(text: str, encoding: str) -> None:
    line = json_line(text, stream(encoding))
    line.encode(encoding)
    assert json.loads(line) == json.loads(text)


def test_aligned() -> None:
    assert aligned([("a", "one"), ("long", "one two three\nfour"), ("b", "")], 15) == (
        "a     one\nlong  one two\n      three\n      four\nb"
    )
    assert aligned([], 10) == ""


@pytest.mark.parametrize(
    ("text", "cut", "lines"),
    [
        ("one two", True, ["one", "  two"]),
        ("onetwo", True, ["onetw", "  o"]),
        ("onetwo", False, ["onetwo"]),
        ("", True, [""]),
    ],
)
def test_wrapped(text: str, cut: bool, lines: list[str]) -> None:
    assert wrapped(text, 5, "  ", cut=cut) == lines


AT = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC).timestamp()
DATE = {"Date": "Thu, 01 Jan 2026 12:00:00 GMT"}


@pytest.mark.parametrize(
    ("sent", "took", "told", "is_noteworthy"),
    [
        (0.0, 0.1, "no difference that can be seen (less than 1.0 s)", False),
        (0.5, 0.1, "no difference that can be seen (less than 0.6 s)", False),
        (0.0, 4.0, "no difference that can be seen (less than 4 s)", False),
        (-3.0, 0.0, "this machine's is 4 s behind Lucca's", False),
        (-60.0, 1.0, "this machine's is 60 s behind Lucca's", True),
        (3601.0, 0.0, "this machine's is 60 minutes ahead of Lucca's", True),
        (30_000.0, 0.0, "this machine's is 8 hours ahead of Lucca's", True),
        (-864_000.0, 0.0, "this machine's is 10 days behind Lucca's", True),
    ],
)
def test_clocks(sent: float, took: float, told: str, is_noteworthy: bool) -> None:
    difference = Difference.of(DATE, AT + sent, AT + sent + took)
    assert difference is not None
    assert str(difference) == told
    assert difference.is_noteworthy is is_noteworthy


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Date": "yesterday"},
        {"Date": "Thu, 99 Jan 2026 12:00:00 GMT"},
        {**DATE, "Age": "30"},  # it comes from a cache
    ],
)
def test_answers_that_tell_nothing_of_the_clocks(headers: dict[str, str]) -> None:
    assert Difference.of(headers, AT, AT) is None


def test_a_fresh_answer_of_a_cache_counts() -> None:
    assert Difference.of({**DATE, "Age": "0"}, AT, AT) == Difference(0.0, 1.0)
    assert Difference.of({"Date": "Thu, 01 Jan 2026 12:00:00 -0000"}, AT, AT) == Difference(0, 1)
