"""What is told on a terminal of any width and encoding, and in a pipe."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
import time
import unicodedata
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from typing import Any, TextIO

_NARROWEST = 40
_WIDEST = 100
_MOST_ZEROS = 100
_INSTEAD = {
    "\ufffd": "?",
    "\u2026": "...",
    "\u2192": "->",
    "\u2019": "'",
    "\u2013": "-",
    "\u2014": "-",
}


_tells_json: ContextVar[bool] = ContextVar("_tells_json", default=False)


@contextmanager
def telling_json(wanted: bool) -> Generator[None, None, None]:
    """Let all that is told meanwhile be lines of JSON, if that is wanted."""
    token = _tells_json.set(wanted)
    try:
        yield
    finally:
        _tells_json.reset(token)


def tells_json() -> bool:
    """Whether what is told is to be read by a program."""
    return _tells_json.get()


def log_line(level: str, message: str, more: Mapping[str, Any]) -> str:
    """What is told to a program, in ASCII, which every stream can hold."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return json.dumps({"time": now, "level": level, "message": message, **more})


def width() -> int:
    """The columns there are: those of the terminal (or COLUMNS), 80 where there is none."""
    return max(_NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, _WIDEST))


def tell(*texts: str, level: str = "ERROR") -> None:
    """Say something on stderr: in lines that fit a terminal, in one line each elsewhere."""
    if tells_json():
        for text in texts:
            print(log_line(level, text, {}), file=sys.stderr)
        return
    for text in texts:
        print(in_lines(text), file=sys.stderr)


def in_lines(text: str) -> str:
    """A text as it is told on stderr."""
    is_narrow = sys.stderr.isatty() or "COLUMNS" in os.environ
    lines = wrapped(text, width(), "  ", cut=False) if is_narrow else [text]
    return "\n".join(shown(line, sys.stderr) for line in lines)


def forgive(*streams: object) -> None:
    """Let the standard streams escape what their encoding lacks, rather than fail."""
    for stream in streams:
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def give_up_stdout() -> None:
    """Let what can't be written go nowhere: at its end, Python would try once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def shown(text: str, stream: TextIO | None = None) -> str:
    """The text as a stream can show it: printable, and in its encoding."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "ascii"
    line = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        for character, instead in _INSTEAD.items():
            line = line.replace(character, instead)
        # Without its accents a word can still be read.
        line = unicodedata.normalize("NFKD", line)
        line = "".join(c for c in line if not unicodedata.combining(c))
        line = line.encode(encoding, "backslashreplace").decode(encoding)
    return line


def plain_number(number: Decimal) -> str:
    """A number as people and tables read it: 100, not 1E+2, but no line full of zeros."""
    is_short = abs(number.adjusted()) <= _MOST_ZEROS
    return format(number, "f") if is_short else str(number)


def json_line(text: str, stream: TextIO | None = None) -> str:
    """A JSON text as a stream can hold it: what its encoding lacks is escaped as JSON does."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        # Outside of ASCII there is nothing but strings in JSON.
        return re.sub("[^\x00-\x7f]", _escaped, text)
    return text


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def aligned(rows: Iterable[tuple[str, str]], columns: int) -> str:
    """Names and what belongs to them, in two columns; what is too long goes on below itself.

    Each line break in a value begins a new paragraph of it.
    """
    told = list(rows)
    label = max((len(name) for name, _ in told), default=0)
    lines: list[str] = []
    for name, value in told:
        room = max(columns - label - 2, 10)
        parts = [part for text in value.split("\n") for part in wrapped(text, room)]
        for number, part in enumerate(parts):
            lines.append(f"{'' if number else name:{label}}  {part}".rstrip())
    return "\n".join(lines)


def wrapped(text: str, columns: int, indent: str = "", *, cut: bool = True) -> Sequence[str]:
    """The text in lines, none of it left out; what follows the first is indented.

    Args:
        text: The text.
        columns: The most characters of a line.
        indent: What each line but the first begins with.
        cut: Whether a word of more than a line is cut, or kept whole to be copied.
    """
    lines = textwrap.wrap(
        text,
        columns,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=cut,
        drop_whitespace=True,
    )
    return lines or [""]


def table(rows: Sequence[tuple[str, str]]) -> str:
    """A record for people: a table where rich is there, aligned text where it isn't."""
    safe = [(name, shown(value)) for name, value in rows]
    try:
        from .pretty import drawn
    except ModuleNotFoundError:
        return aligned(safe, width())
    return drawn(safe, width())
