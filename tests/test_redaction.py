"""No eight characters of the key in a row are left of a text, however they are disguised."""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Callable
from urllib.parse import quote, unquote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lucca_training_async._http.answers import quoted
from lucca_training_async._redaction import Redactor
from lucca_training_async.settings import ApiKey

UUID = "1f2e3d4c-0000-1111-2222-333344445555"
KEYS = [
    UUID,
    "aB3+/x9Zq7==Kk0+Lm",
    "p@ss&word<with>html;entities",
    "quo\"te'and/plus+end",
    "100%sure&really;",
    "back\\slash\\u0041/end",
    "100%41%25sure%2Bkey",
    "a&lt;b&gt;c&amp;d&#65;",
    "abcdefgh",
    "kkkkkkkkkkkkkkkkkkkkkkkk",
    "0123456789" * 12,
]
RUN = 8


def canonical(text: str) -> str:
    """An eager reader's view, that shares no code with the package: no case, no white space,
    and every escape undone as often as it takes."""
    for _ in range(8):
        before = text
        text = html.unescape(text)
        text = re.sub(r"%([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
        text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
        text = re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
        text = re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
        if text == before:
            break
    return "".join(text.split()).lower()


def left_of(key: str, text: str) -> str | None:
    """The first run of the key that is left, however disguised, or None."""
    views = [canonical(text), "".join(text.split()).lower(), text.lower()]
    runs = [key.lower()[at : at + RUN] for at in range(len(key) - RUN + 1)]
    return next((run for run in runs for view in views if run in view), None)


def each(escape: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(map(escape, text))


def percent(character: str) -> str:
    return f"%{ord(character):02x}"


def folded(text: str, every: int, fold: str) -> str:
    return fold.join(text[at : at + every] for at in range(0, len(text), every))


DISGUISES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "title case": str.title,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[1:-1],
    "\\u": each(lambda c: f"\\u{ord(c):04x}"),
    "\\U": each(lambda c: f"\\u{ord(c):04X}"),
    "\\x": each(lambda c: f"\\x{ord(c):02x}"),
    "some \\u": lambda text: re.sub(r"[^a-z0-9]", lambda c: f"\\u{ord(c[0]):04X}", text),
    "\\/": lambda text: text.replace("\\", "\\\\").replace("/", "\\/"),
    "repr": lambda text: repr(text)[1:-1],
    "percent": lambda text: quote(text, safe=""),
    "percent, all": each(percent),
    "percent, upper case": each(lambda c: percent(c).upper()),
    "percent, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "percent, all, twice": lambda text: quote("".join(map(percent, text)), safe=""),
    "HTML": html.escape,
    "HTML, twice": lambda text: html.escape(html.escape(text)),
    "HTML, decimal": each(lambda c: f"&#{ord(c)};"),
    "HTML, decimal, with zeros": each(lambda c: f"&#{ord(c):07};"),
    "HTML, hex": each(lambda c: f"&#x{ord(c):x};"),
    "HTML, hex, upper case": each(lambda c: f"&#X{ord(c):X};"),
    "HTML, named": lambda text: (
        text.replace("&", "&amp;").replace("+", "&plus;").replace("/", "&sol;")
    ),
    "percent of JSON": lambda text: quote(json.dumps(text)[1:-1], safe=""),
    "JSON of HTML": lambda text: json.dumps(html.escape(text))[1:-1],
    "folded": lambda text: folded(text, 7, "\r\n "),
    "folded with tabs": lambda text: folded(text, 5, "\n\t"),
    "spaced": lambda text: folded(text, 1, " "),
    "no-break spaces": lambda text: folded(text, 3, "\xa0"),
    "folded percent": lambda text: folded(quote(text, safe=""), 30, "\r\n "),
}
FRAMES = {
    "alone": ("", ""),
    "in words": ("The key ", " is unknown."),
    "in a sentence of its own kind": ('{"detail": "', '", "status": 401}'),
    "close to others": ("xyz", "zyx"),
    "twice": ("The key %s or ", "."),
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("frame", FRAMES)
def test_the_whole_key_is_cut(key: str, disguise: str, frame: str) -> None:
    hidden = DISGUISES[disguise](key)
    before, after = FRAMES[frame]
    before = before.replace("%s", hidden)
    told = Redactor(key)(before + hidden + after)
    assert left_of(key, told) is None, told
    assert "[api key]" in told
    # JSON in JSON has quotes of its own, and of an escape something may be left.
    if frame == "in words" and disguise != "JSON in JSON" and not set(key) & {*"\\%&"}:
        assert told.startswith("The key [api key]")
        assert told.endswith("[api key] is unknown.")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("disguise", ["as it is", "upper case", "percent", "HTML, hex", "folded"])
def test_any_part_of_eight_or_more_is_cut(key: str, disguise: str) -> None:
    redact = Redactor(key)
    for length in {RUN, RUN + 1, 13, len(key) - 1, len(key)} - set(range(RUN)):
        for start in range(len(key) - length + 1):
            part = key[start : start + length]
            told = redact(f"It was <{DISGUISES[disguise](part)}> then.")
            assert left_of(key, told) is None, (part, told)
            assert "[api key]" in told


@pytest.mark.parametrize("key", [key for key in KEYS if len(set(key[:8])) > 1])
def test_a_key_that_is_cut_off_by_the_end_is_cut(key: str) -> None:
    for length in range(4, len(key)):
        told = Redactor(key)(f"cut off: {key[:length]}")
        assert told == "cut off: [api key]"


@pytest.mark.parametrize(
    "text",
    [
        "lucca application={}",
        "Lucca Application={}",
        "LUCCA APPLICATION={}",
        "Authorization: lucca application={}",
        '{{"Authorization": ["lucca application={}"]}}',
        "lucca  application = {}",
        "lucca\r\n application={}",
        "lucca%20application%3D{}",
        "lucca+application%3d{}".replace("+", "%20"),
        "lucca&#32;application&#61;{}",
        "lucca&nbsp;application&equals;{}",
        "lucca\\u0020application\\u003d{}",
        "luccaapplication={}",
    ],
)
@pytest.mark.parametrize(
    "rest", ["another-key-altogether", "x", '1f2e"}', "a b c d", "\n\nsecret", "y" * 300]
)
def test_whatever_follows_the_scheme_is_cut(text: str, rest: str) -> None:
    told = Redactor(UUID)("before " + text.format(rest))
    assert told.startswith("before ")
    assert told.endswith("[api key]")
    assert rest not in told
    assert len(told) <= len("before " + text.format("")) + len("[api key]")


@pytest.mark.parametrize("rest", ["", " ", "\r\n"])
def test_where_nothing_follows_the_scheme_nothing_is_cut(rest: str) -> None:
    assert Redactor(UUID)(f"lucca application={rest}").strip() == "lucca application="


def test_the_key_before_the_scheme_is_cut_too() -> None:
    told = Redactor(UUID)(f"{UUID} was sent as lucca application={UUID}")
    assert told == "[api key] was sent as lucca application=[api key]"


@pytest.mark.parametrize("key", ["k", "key", "seven77"])
def test_a_short_key_is_cut_after_the_scheme_and_nowhere_else(key: str) -> None:
    redact = Redactor(key)
    assert redact(f"the key {key} is in keywords") == f"the key {key} is in keywords"
    assert redact(f"lucca application={key}") == "lucca application=[api key]"


HARMLESS = [
    "",
    "Not found.",
    "The realized training 1f2e3d4c is not known.",
    "0000-1111",
    "00001111-2222",
    "https://acme.ilucca.net/talent-training/api/v2/realized-trainings/1?a=%20&b=%2B",
    '{"title": "Jürgen\\u00fc \\"quoted\\"", "x": "&amp;&lt;"}',
    "C:\\Users\\x\\new",
    "100 % of &unknown; &#xZZ; \\u12 %zz \\",
    "ﬀ İ ß 𝕬 \ud800 \x00\x1b",
    "lucca application",
    "application=1f2e...",
    "&#9999999;&#x110000;",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_is_untouched(text: str) -> None:
    redact = Redactor("1f2e3d4c-9999-8888-7777-666655554444")
    assert redact(text) == text.replace("1f2e3d4c", "[api key]")


def is_harmless(key: str, text: str) -> bool:
    plain = canonical(text)
    ends = any(plain.endswith(key.lower()[:length]) for length in range(4, RUN))
    return left_of(key, text) is None and "luccaapplication=" not in plain and not ends


ALPHABET = st.sampled_from(
    [*"1f2e3d4c-0", *"%&#;\\ux", *" \n", "lucca ", "application=", "é", "&amp;"]
)
KEY_CHARACTERS = [chr(code) for code in range(33, 127) if chr(code) not in "\\%&"]
TEXTS = st.text() | st.lists(ALPHABET, max_size=60).map("".join)


@given(TEXTS, st.sampled_from(KEYS))
@example("%2525252525252525", UUID)
@example("&amp;amp;amp;", KEYS[2])
def test_any_harmless_text_is_untouched(text: str, key: str) -> None:
    if is_harmless(key, text):
        assert Redactor(key)(text) == text


@given(
    st.text(max_size=30),
    st.text(max_size=30),
    st.sampled_from(KEYS) | st.text(KEY_CHARACTERS, min_size=8),
    st.integers(),
)
def test_no_mixture_of_escapes_hides_the_key(before: str, after: str, key: str, seed: int) -> None:
    assume("luccaapplication=" not in key.lower())
    dice = random.Random(seed)
    escapes: list[Callable[[str], str]] = [
        str,
        str.upper,
        lambda c: f"\\u{ord(c):04x}",
        percent,
        lambda c: f"%25{ord(c):02X}",
        lambda c: f"&#{ord(c)};",
        lambda c: f"&#x{ord(c):x};",
        lambda c: f"{c}\r\n\t",
        lambda c: f" {c}",
    ]
    # What stands there as it is must not begin an escape of its own.
    hidden = "".join(
        dice.choice(escapes)(c) if c.isalnum() or c in "-_." else percent(c) for c in key
    )
    separated = f"{before} . {hidden} . {after}"
    told = Redactor(key)(separated)
    assert "[api key]" in told
    middle = told[len(before) : len(told) - len(after)] if after else told[len(before) :]
    runs = {key.lower()[at : at + RUN] for at in range(len(key) - RUN + 1)}
    assert not any(run in canonical(middle) for run in runs), told


@given(TEXTS, st.sampled_from(KEYS))
def test_redacting_is_final(text: str, key: str) -> None:
    redact = Redactor(key)
    assert left_of(key, redact(text)) is None or left_of(key, text) is None
    assert redact(redact(text)) == redact(text)


def test_white_space_is_no_reason_to_tell_less() -> None:
    assert quoted("A" + " \n" * 900 + "B", ApiKey(UUID), 100) == "A"
    assert quoted("A" + " \n" * 300 + "B", ApiKey(UUID), 100) == "A B"


@given(st.text(), st.integers(0, 600), st.integers(1, 500))
def test_a_text_is_quoted_in_one_short_line_without_the_key(
    text: str, where: int, most: int
) -> None:
    told = quoted(f"{'word ' * where}{UUID}{text}", ApiKey(UUID), most)
    assert len(told) <= most
    assert told.isprintable()
    assert left_of(UUID, told) is None
    assert unquote(UUID)[:8] not in told
