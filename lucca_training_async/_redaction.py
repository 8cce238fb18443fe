"""Finding a secret in somebody else's text, however it was escaped, folded or cut there."""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from collections.abc import Iterator
from itertools import groupby

import attrs

_REPLACEMENT = "[api key]"
_PREFIX = "luccaapplication="
# Shorter runs of a key's characters are found in texts that have nothing to do with it.
_SHORTEST_RUN = 8
_SHORTEST_END = 4
_MOST_PASSES = 4
# Those of JSON, JavaScript and Python, of URLs, of HTML.
_ESCAPE = re.compile(
    r"\\u([0-9a-f]{4})|\\u\{([0-9a-f]{1,8})\}|\\U([0-9a-f]{8})|\\x([0-9a-f]{2})"
    r"|%u([0-9a-f]{4})|%([0-9a-f]{2})|&#x0*([0-9a-f]{1,6})(?![0-9a-f]);?"
    r"|\\([0-3][0-7]{2})|&#0*([0-9]{1,7})(?![0-9]);?|(&[a-z]{2,8};)|\\(.)",
    re.IGNORECASE | re.DOTALL,
)
_HEXADECIMAL, _OCTAL, _DECIMAL, _NAMED, _ITSELF = range(1, 8), 8, 9, 10, 11
_UNSEEN = dict.fromkeys([*range(33), 127])
_CUT_ESCAPE = re.compile(
    r"(?:\\(?:u[0-9a-f{]{0,8}|x[0-9a-f]?|[0-7]{0,2})|%u?[0-9a-f]{0,3}|&(?:#x?[0-9a-f]*|[a-z]{0,8}))\Z",
    re.IGNORECASE,
)


class Redactor:
    """Cuts a secret, and all runs of eight or more of its characters, out of a text.

    It is found in any case, behind JSON's, URLs' and HTML's escapes, with white space within
    (a folded header), and at the end of a text, where it was cut, from four characters on.
    What follows ``lucca application=`` is cut in any case, with all the rest.
    """

    def __init__(self, secret: str) -> None:
        # What looks like an escape in a secret may be undone on its way, or not.
        forms = {plain.text for plain in _levels(secret)}
        self._forms = [form for form in forms if len(form) >= _SHORTEST_RUN]
        self._runs = frozenset(
            form[start : start + _SHORTEST_RUN]
            for form in self._forms
            for start in range(len(form) - _SHORTEST_RUN + 1)
        )

    def __call__(self, text: str) -> str:
        if not self._is_suspect(text):
            return text
        is_cut = bytearray(len(text))
        for plain in _levels(text):
            for first, last in self._found(plain.text):
                start, end = plain.spans[first][0], plain.spans[last][1]
                is_cut[start:end] = b"\1" * (end - start)
            header = plain.text.find(_PREFIX)
            if header >= 0:
                end = plain.spans[header + len(_PREFIX) - 1][1]
                if text[end:].strip():
                    is_cut[end:] = b"\1" * (len(text) - end)
        if not any(is_cut):
            return text
        pieces: list[str] = []
        for cut, group in groupby(range(len(text)), key=is_cut.__getitem__):
            pieces.append(_REPLACEMENT if cut else "".join(text[at] for at in group))
        return "".join(pieces)

    def _is_suspect(self, text: str) -> bool:
        """Whether there is anything to cut: nearly always not, and then it is soon known."""
        for _ in range(_MOST_PASSES):
            plain = _plain_text(text)
            if _PREFIX in plain or any(run in plain for run in self._runs):
                return True
            if any(True for _ in self._ends(plain)):
                return True
            unescaped = _ESCAPE.sub(_meant, text)
            if unescaped == text:
                return False
            text = unescaped
        return False

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """First and last position of each run, and of a beginning at the end."""
        for start in range(len(text) - _SHORTEST_RUN + 1):
            if text[start : start + _SHORTEST_RUN] in self._runs:
                yield start, start + _SHORTEST_RUN - 1
        yield from self._ends(text)

    def _ends(self, text: str) -> Iterator[tuple[int, int]]:
        # The text may have been cut in the midst of an escape.
        for whole in {text, _CUT_ESCAPE.sub("", text)}:
            for form in self._forms:
                for length in range(_SHORTEST_END, min(_SHORTEST_RUN, len(whole) + 1)):
                    if whole.endswith(form[:length]):
                        yield len(whole) - length, len(text) - 1


@attrs.frozen
class _Plain:
    """A text without white space and upper case, and perhaps without escapes.

    Attributes:
        text: The text.
        spans: For each of its characters, where it begins and ends in the original.
    """

    text: str
    spans: list[tuple[int, int]]


def _levels(original: str) -> Iterator[_Plain]:
    """The text as it is, and after each pass over its escapes."""
    text, spans = original, [(position, position + 1) for position in range(len(original))]
    for _ in range(_MOST_PASSES):  # something that was escaped is escaped again on its way
        kept = [
            (plain, span)
            for character, span in zip(text, spans, strict=True)
            if (plain := _plain(character))
        ]
        yield _Plain("".join(character for character, _ in kept), [span for _, span in kept])
        unescaped, spans = _unescaped(text, spans)
        if unescaped == text:
            return
        text = unescaped


def _unescaped(text: str, spans: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    pieces: list[str] = []
    new_spans: list[tuple[int, int]] = []
    copied_to = 0
    for match in _ESCAPE.finditer(text):
        meant = _meant(match)
        start, end = match.span()
        pieces += [text[copied_to:start], meant]
        new_spans += spans[copied_to:start]
        new_spans += [(spans[start][0], spans[end - 1][1])] * len(meant)
        copied_to = end
    return "".join([*pieces, text[copied_to:]]), new_spans + spans[copied_to:]


def _plain_text(text: str) -> str:
    if text.isascii():
        return text.translate(_UNSEEN).lower()
    return "".join(map(_plain, text))


def _plain(character: str) -> str:
    """One lower-case character without a width of its own, or none for what nobody sees."""
    if character.isascii():
        return character.lower() if character.isprintable() and character != " " else ""
    plain = unicodedata.normalize("NFKC", character).lower()
    return plain if len(plain) == 1 and plain.isprintable() and not plain.isspace() else ""


def _meant(match: re.Match[str]) -> str:
    code = next((match[group] for group in _HEXADECIMAL if match[group]), "")
    if code or match[_OCTAL] or match[_DECIMAL]:
        base = 16 if code else 8 if match[_OCTAL] else 10
        number = int(code or match[_OCTAL] or match[_DECIMAL], base)
        return chr(number) if number <= sys.maxunicode else ""
    return html.unescape(match[_NAMED]) if match[_NAMED] else match[_ITSELF]
