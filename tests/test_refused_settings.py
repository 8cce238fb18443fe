"""A refused setting leaves the key in no frame: crash reporters send the variables of all."""

from __future__ import annotations

import asyncio
import functools
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, cast

import pytest

import lucca_training_async
from lucca_training_async import (
    ClientOptions,
    ConfigurationError,
    LuccaTrainingClient,
    RateLimit,
    RetryPolicy,
    Settings,
    Timeouts,
)
from lucca_training_async.settings import ApiKey

PACKAGE = Path(lucca_training_async.__file__).parent
KEY = "1f2e3d4c-0000-1111-2222-333344445555"
HOST = "acme.ilucca.net"
Make = Callable[[], object]


def frames(error: BaseException | None) -> Iterator[FrameType]:
    """Those of a traceback, and of every traceback that it leads to."""
    seen: set[int] = set()
    queue = [error]
    while queue:
        error = queue.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if Path(frame.f_code.co_filename) != Path(__file__):
                yield frame
        queue += [error.__cause__, error.__context__]


def inside(value: object, depth: int = 3) -> Iterator[str]:
    """What a reporter shows of a value that looks into containers and attributes."""
    if isinstance(value, (str, bytes)):
        yield value if isinstance(value, str) else value.decode("latin-1")
        return
    try:
        yield repr(value)
    except AttributeError:  # half made
        yield ""
    if depth:
        if isinstance(value, dict):
            pairs = cast("dict[object, object]", value)
            members = [*pairs, *pairs.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            members = [*cast("Iterable[object]", value)]
        else:
            members = [*vars(value).values()] if hasattr(value, "__dict__") else []
        for member in members:
            yield from inside(member, depth - 1)


def check(make: Make, secret: str = KEY) -> str:
    """It is refused, with the secret neither in the error nor in a frame; gives the message."""
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        make()
    error = caught.value
    for frame in frames(error):
        for name, value in frame.f_locals.items():
            for text in inside(value):
                assert secret not in text, (frame.f_code.co_qualname, name)
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    for told in report.stack:
        if Path(told.filename) != Path(__file__):
            assert secret not in str(told.locals)
    assert secret not in f"{error} {error!r} {error.args} {vars(error)}"
    return str(error)


# As callers without a type checker see them.
untyped_client: Any = LuccaTrainingClient
untyped_settings: Any = Settings
untyped_key: Any = ApiKey


class Hostile:
    """Something of the wrong type that would tell the key, if it were asked."""

    def __repr__(self) -> str:
        return f"<Hostile {KEY}>"

    __str__ = __repr__


WRONG_OPTIONS: dict[str, list[object]] = {
    "session": ["session", object(), 1],
    "timeouts": [None, 5, 5.0, {}, RetryPolicy()],
    "retry": [None, 3, Timeouts()],
    "rate_limit": [50, (50, 60.0), RetryPolicy()],
    "max_concurrency": [0, -1, True, None, "10", 1.5],
    "allow_any_host": [None, 1, "yes"],
    "trust_env": [None, 1, "yes"],
    "max_body_bytes": [0, -5, None, 1e6, "10 MB"],
    "shared_budget": [5, True, "lucca.db", "sqlite://", "sqlite:///no/such/folder/lucca.db"],
    "shared_budget_required": [None, 1, "yes"],
    "cache": [5, "cache", [], dict, True],
    "on_attempt": [5, "print", (print,), asyncio.sleep, functools.partial(asyncio.sleep, 1)],
}
OPTIONS = [(name, value) for name, values in WRONG_OPTIONS.items() for value in values]


def test_every_option_is_covered() -> None:
    assert WRONG_OPTIONS.keys() == ClientOptions.__annotations__.keys()


def makers(host: Any, key: Any, options: dict[str, Any]) -> dict[str, Make]:
    return {
        "the client": lambda: LuccaTrainingClient(host, key, **options),
        "the client, by keyword": lambda: LuccaTrainingClient(host=host, api_key=key, **options),
        "the settings": lambda: Settings(host, key, **options),
        "the settings, with a key made before": lambda: Settings(host, ApiKey(key), **options),
    }


@pytest.fixture(params=["the client", "the client, by keyword", "the settings", "from_env"])
def refused(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes it one way, and gives the message."""

    def try_it(host: Any = HOST, key: Any = KEY, secret: str = KEY, **options: Any) -> str:
        ways = makers(host, key, options)
        if request.param == "from_env":
            monkeypatch.setenv("LUCCA_HOST", host)
            monkeypatch.setenv("LUCCA_API_KEY", key)
            ways["from_env"] = lambda: LuccaTrainingClient.from_env(**options)
        return check(ways[request.param], secret)

    return try_it


@pytest.mark.parametrize(("name", "value"), OPTIONS)
def test_a_wrong_option(name: str, value: object, refused: Callable[..., str]) -> None:
    assert name in refused(**{name: value})


@pytest.mark.parametrize("value", [KEY, Hostile()])
@pytest.mark.parametrize("name", ClientOptions.__annotations__)
def test_the_key_in_the_place_of_an_option(
    name: str, value: object, refused: Callable[..., str]
) -> None:
    assert name in refused(**{name: value})


@pytest.mark.parametrize("cls", [Timeouts, RetryPolicy, RateLimit])
@pytest.mark.parametrize("value", [KEY, Hostile(), [KEY]])
def test_what_is_no_number_is_not_repeated(value: object, cls: Any) -> None:
    for name in cls.__annotations__:
        with pytest.raises(ConfigurationError, match=name) as caught:
            cls(**{name: value})
        assert KEY not in f"{caught.value} {vars(caught.value)}"


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "acme.example.com",
        "acme",
        "http://acme.ilucca.net",
        "https://acme.ilucca.net/path",
        "https://acme.ilucca.net?x=1",
        "https://user:password@acme.ilucca.net",
        "https://acme.ilucca.net:99999",
        "ht!tp://",
        "https://",
        "a b",
        "[::1",
        KEY,
        f"https://{KEY}",
        f"https://{KEY}/",
        f"{KEY}@acme.ilucca.net",
        f"https://acme.ilucca.net/{KEY}",
        f"https://acme.ilucca.net?key={KEY}",
        f"https://acme.ilucca.net#{KEY}",
    ],
)
def test_a_wrong_host(host: str, refused: Callable[..., str]) -> None:
    refused(host=host)


def test_host_and_key_swapped(refused: Callable[..., str]) -> None:
    assert "[" not in refused(host=KEY, key=HOST)


@pytest.mark.parametrize(
    "key",
    [
        f"{KEY}\n",
        f"\r{KEY}",
        f" {KEY}",
        f"{KEY} ",
        f"{KEY}\t",
        f"{KEY}é",
        f"{KEY}\x7f",
        f"lucca application={KEY}",
        f"LUCCA APPLICATION={KEY}",
        f"\ufeff{KEY}",
    ],
)
def test_a_wrong_key(key: str, refused: Callable[..., str]) -> None:
    refused(key=key)


@pytest.mark.parametrize(
    "name", ["timeout", "api_kei", "base_url", "verify", KEY.replace("-", "_")]
)
def test_an_unknown_option(name: str, refused: Callable[..., str]) -> None:
    refused(**{name: 1})


@pytest.mark.parametrize("host", [None, 5, HOST.encode(), Hostile(), [HOST]])
def test_a_host_of_another_type(host: object) -> None:
    for make in makers(host, KEY, {}).values():
        check(make)


@pytest.mark.parametrize("key", [None, 5, KEY.encode(), Hostile(), [KEY], {KEY}, {"key": KEY}])
def test_a_key_of_another_type(key: object) -> None:
    for make in makers(HOST, key, {}).values():
        check(make)
    check(lambda: untyped_key(key))


@pytest.mark.parametrize(
    "call",
    [
        lambda: untyped_client(KEY),
        lambda: untyped_client(HOST, KEY, KEY),
        lambda: untyped_client(api_key=KEY),
        lambda: untyped_settings(KEY),
        lambda: untyped_settings(HOST, KEY, None),
        lambda: untyped_key(KEY, KEY),
    ],
)
def test_too_few_or_too_many_arguments(call: Make) -> None:
    check(call)


@pytest.mark.parametrize(("name", "value"), OPTIONS)
def test_a_wrong_change_of_good_settings(name: str, value: object) -> None:
    settings = untyped_settings(HOST, KEY)
    assert name in check(lambda: settings.replace(**{name: value}))
    check(lambda: settings.replace(**{name: KEY}))
    if name in ("retry", "timeouts") and value is not None:
        client: Any = LuccaTrainingClient.from_settings(settings)
        assert name in check(lambda: client.with_options(**{name: value}))
        check(lambda: client.with_options(**{name: KEY}))


def test_the_refusal_still_tells_where_it_was_raised() -> None:
    """A traceback without any frame of ours would be of no use to anybody."""
    with pytest.raises(ConfigurationError) as caught:
        LuccaTrainingClient(HOST, KEY, max_concurrency=0)
    assert "max_concurrency must be an int of at least 1, not 0" in str(caught.value)
    names = [frame.f_code.co_filename for frame in frames(caught.value)]
    assert any(Path(name).is_relative_to(PACKAGE) for name in names)


def test_what_is_made_well_shows_no_key() -> None:
    settings = Settings(HOST, KEY, rate_limit=RateLimit(5, 1.0))
    client = LuccaTrainingClient.from_settings(settings)
    for text in (repr(settings), repr(client), str(settings), repr(ApiKey(KEY)), str(ApiKey(KEY))):
        assert KEY not in text
        assert not re.search("[0-9a-f]{8}-", text)
