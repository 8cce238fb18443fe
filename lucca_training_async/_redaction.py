"""Finding a secret in somebody else's text, however it was escaped, folded or cut there."""

from __future__ import annotations

import html
import re

_REPLACEMENT = "[api key]"
_PREFIX = "luccaapplication="
# Shorter runs of a key's characters are found in texts that have nothing to do with it.
_SHORTEST_RUN = 8
_SHORTEST_END = 4
_MOST_PASSES = 3
_ESCAPE = re.compile(
    r"\\u([0-9a-f]{4})|\\x([0-9a-f]{2})|%([0-9a-f]{2})"
    r"|(&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});)|\\(.)",
    re.IGNORECASE | re.DOTALL,
)


class Redactor:
    """Cuts a secret, and all runs of eight or more of its characters, out of a text.

    It is found in any case, behind JSON's, URLs' and HTML's escapes, with white space within
    (a folded header), and at the end of a text, where it was cut, from four characters on.
    What follows ``lucca application=`` is cut in any case, with all the rest.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.lower() if len(secret) >= _SHORTEST_RUN else ""
        self._runs = frozenset(
            self._secret[start : start + _SHORTEST_RUN]
            for start in range(len(self._secret) - _SHORTEST_RUN + 1)
        )

    def __call__(self, text: str) -> str:
        plain = _Plain(text)
        header = plain.text.find(_PREFIX)
        if header >= 0:
            # Where nothing of it is left, there was nothing to cut.
            end = plain.spans[header + len(_PREFIX) - 1][1]
            rest = _REPLACEMENT if text[end:].strip() else ""
            return self(text[: plain.spans[header][0]]) + text[plain.spans[header][0] : end] + rest
        cut: list[str] = []
        kept_from = 0
        for first, last in self._found(plain.text):
            start, end = plain.spans[first][0], plain.spans[last][1]
            cut += [text[kept_from:start], _REPLACEMENT]
            kept_from = end
        return "".join([*cut, text[kept_from:]])

    def _found(self, text: str) -> list[tuple[int, int]]:
        """First and last position of each run, in order, none overlapping another."""
        found: list[tuple[int, int]] = []
        if not self._secret:
            return found
        for start in range(len(text) - _SHORTEST_RUN + 1):
            if text[start : start + _SHORTEST_RUN] in self._runs:
                last = start + _SHORTEST_RUN - 1
                if found and start <= found[-1][1] + 1:
                    found[-1] = found[-1][0], last
                else:
                    found.append((start, last))
        for length in range(_SHORTEST_RUN - 1, _SHORTEST_END - 1, -1):
            start = len(text) - length
            if text.endswith(self._secret[:length]) and (not found or found[-1][1] < start):
                found.append((start, len(text) - 1))
                break
        return found


class _Plain:
    """A text without escapes, white space and upper case.

    Attributes:
        text: The text.
        spans: For each of its characters, where it begins and ends in the original.
    """

    def __init__(self, original: str) -> None:
        self.text = original
        self.spans = [(position, position + 1) for position in range(len(original))]
        for _ in range(_MOST_PASSES):  # something that was escaped is escaped again on its way
            if not self._unescape():
                break
        kept = [
            (character.lower(), span)
            for character, span in zip(self.text, self.spans, strict=True)
            if not character.isspace() and len(character.lower()) == 1
        ]
        self.text = "".join(character for character, _ in kept)
        self.spans = [span for _, span in kept]

    def _unescape(self) -> bool:
        pieces: list[str] = []
        spans: list[tuple[int, int]] = []
        copied_to = 0
        for match in _ESCAPE.finditer(self.text):
            meant = _meant(match)
            start, end = match.span()
            pieces += [self.text[copied_to:start], meant]
            spans += self.spans[copied_to:start]
            spans += [(self.spans[start][0], self.spans[end - 1][1])] * len(meant)
            copied_to = end
        if not copied_to:
            return False
        self.text = "".join([*pieces, self.text[copied_to:]])
        self.spans = spans + self.spans[copied_to:]
        return True


def _meant(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code:
        return chr(int(code, 16))
    return html.unescape(match[4]) if match[4] else match[5]
