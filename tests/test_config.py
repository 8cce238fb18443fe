"""Bad settings are refused where they are written, before a request is spent."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from lucca_training_async import (
    ConfigurationError,
    LuccaTrainingClient,
    RateLimit,
    RetryPolicy,
    Timeouts,
)
from lucca_training_async._checks import base_url
from lucca_training_async.settings import ApiKey

KEY = "1f2e3d4c-0000-1111-2222-333344445555"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("acme.ilucca.net", "https://acme.ilucca.net"),
        ("acme.ilucca-test.net", "https://acme.ilucca-test.net"),
        ("acme.ilucca-demo.ch", "https://acme.ilucca-demo.ch"),
        ("acme.ilucca.ch", "https://acme.ilucca.ch"),
        ("ACME.ilucca.NET", "https://acme.ilucca.net"),
        (" acme.ilucca.net\n", "https://acme.ilucca.net"),
        ("https://acme.ilucca.net", "https://acme.ilucca.net"),
        ("https://acme.ilucca.net/", "https://acme.ilucca.net"),
        ("https://acme.ilucca.net:443", "https://acme.ilucca.net"),
        (
            "acme-trial.sandbox.eu1.luccasoftware.com",
            "https://acme-trial.sandbox.eu1.luccasoftware.com",
        ),
        (
            "acme-trial.sandbox.ch1.luccasoftware.com",
            "https://acme-trial.sandbox.ch1.luccasoftware.com",
        ),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.8.9.10", "http://127.8.9.10"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://localhost:8443", "https://localhost:8443"),
    ],
)
def test_hosts_accepted(host: str, origin: str) -> None:
    assert str(base_url(host).origin()) == origin


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (None, "must be a str"),
        (b"acme.ilucca.net", "must be a str"),
        ("", "is empty"),
        ("  ", "is empty"),
        ("http://acme.ilucca.net", "https only"),
        ("ftp://acme.ilucca.net", "https only"),
        ("http://127.0.0.1.evil.example", "https only"),
        ("http://localhost.evil.example", "https only"),
        ("http://2130706433", "https only"),
        ("acme.ilucca.net/path", "path, query or fragment"),
        ("https://acme.ilucca.net/?q=1", "path, query or fragment"),
        ("https://acme.ilucca.net#f", "path, query or fragment"),
        ("https://user:pw@acme.ilucca.net", "user name or password"),
        ("https://acme.ilucca.net@evil.example", "user name or password"),
        ("https://acme.ilucca.net\\@evil.example", "not a valid host"),
        ("evil.example", "not a host that Lucca documents"),
        ("ilucca.net", "not a host that Lucca documents"),
        (".ilucca.net", "not a"),
        ("acme.ilucca.net.evil.example", "not a host that Lucca documents"),
        ("evil.example.ilucca-staging.net", "not a host that Lucca documents"),
        ("a.b.ilucca.net", "not a host that Lucca documents"),
        ("acme.ilucca.net.", "not a valid host"),
        ("acme..ilucca.net", "not a valid host"),
        ("a" * 64 + ".ilucca.net", "not a"),
        (".".join(["a" * 60] * 5) + ".ilucca.net", "not a valid host"),
        ("acme.sandbox.eu1.luccasoftware.com", "not a host that Lucca documents"),
        (KEY, "^this is not a host that Lucca documents"),
        ("acme.sandbox.us1.luccasoftware.com", "not a host that Lucca documents"),
        ("acmeXilucca.net", "not a host that Lucca documents"),
        ("acme.ilucca.net\r\nX: y", "not a valid host"),
        ("ac me.ilucca.net", "not a valid host"),
        ("https://", "not a valid host"),
        ("https://[::1", "not a valid host"),
        ("acme.ilucca.net:99999", "not a valid host"),
    ],
)
def test_hosts_refused(host: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        base_url(host)


@pytest.mark.parametrize(
    "host",
    [
        "https://user:hunter2-secret@acme.ilucca.net",
        "https://acme.ilucca.net/?key=hunter2-secret",
        "https://hunter2-secret@evil.example:bad",
    ],
)
def test_a_secret_in_the_host_is_not_repeated(host: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        base_url(host)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_any_host_is_accepted_on_request_but_over_https_only() -> None:
    assert str(base_url("proxy.example:8443", allow_any_host=True)) == "https://proxy.example:8443"
    assert str(base_url("my_proxy.corp", allow_any_host=True).origin()) == "https://my_proxy.corp"
    assert str(base_url("https://10.0.0.1", allow_any_host=True).origin()) == "https://10.0.0.1"
    with pytest.raises(ConfigurationError, match="https only"):
        base_url("http://proxy.example", allow_any_host=True)
    for unusable in (".proxy.example", "proxy..example", "a" * 64, "-proxy.example"):
        with pytest.raises(ConfigurationError, match="not a valid host"):
            base_url(unusable, allow_any_host=True)


@pytest.mark.parametrize("allow_any_host", [True, False])
def test_swapped_arguments_do_not_show_the_key(allow_any_host: bool) -> None:
    with pytest.raises(ConfigurationError) as caught:
        LuccaTrainingClient(KEY, "acme.ilucca.net ", allow_any_host=allow_any_host)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (None, "must be a str"),
        (b"key", "must be a str"),
        ("", "is empty"),
        (f"{KEY}\n", "line break"),
        (f"{KEY}\r\nX-Evil: 1", "line break"),
        (f" {KEY}", "a space or a character"),
        (f"{KEY}\x00", "a space or a character"),
        ("clé-secrète", "a space or a character"),
        (f"lucca application={KEY}", "API key alone"),
    ],
)
def test_keys_refused_without_repeating_them(key: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        LuccaTrainingClient("acme.ilucca.net", key)
    assert KEY not in str(caught.value)


def test_the_key_object_shows_and_pickles_nothing() -> None:
    key = ApiKey(KEY)
    assert KEY not in f"{key} {key!r}"
    with pytest.raises(TypeError):
        pickle.dumps(key)


@pytest.mark.parametrize(("key", "text"), [(KEY, "is [api key] ok"), ("short", "is short ok")])
def test_redaction_spares_text_that_a_short_key_would_garble(key: str, text: str) -> None:
    assert ApiKey(key).redact(f"is {key} ok") == text


BAD_NUMBERS: list[Any] = [0, -1, True, "5", float("nan"), float("inf"), [1]]
TOO_LARGE = 10**400


@pytest.mark.parametrize("value", [*BAD_NUMBERS, None, 1.5])
def test_integers_are_checked(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="RateLimit.requests"):
        RateLimit(value, 60.0)
    with pytest.raises(ConfigurationError, match="RetryPolicy.max_attempts"):
        RetryPolicy(max_attempts=value)
    with pytest.raises(ConfigurationError, match="max_concurrency"):
        LuccaTrainingClient("acme.ilucca.net", KEY, max_concurrency=value)


@pytest.mark.parametrize("value", [*BAD_NUMBERS, pytest.param(TOO_LARGE, id="huge")])
def test_seconds_are_checked(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="RateLimit.period"):
        RateLimit(50, value)
    for name in ("total", "connect", "read"):
        with pytest.raises(ConfigurationError, match=f"Timeouts.{name}"):
            Timeouts(**{name: value})
    for name in ("deadline", "backoff_initial", "backoff_max"):
        with pytest.raises(ConfigurationError, match=f"RetryPolicy.{name}"):
            RetryPolicy(**{name: value})
    if type(value) is not int or value != 0:
        with pytest.raises(ConfigurationError, match="RetryPolicy.retry_after_max"):
            RetryPolicy(retry_after_max=value)


def test_none_lifts_a_limit_where_that_has_a_meaning() -> None:
    assert Timeouts(total=None, connect=None, read=None).total is None
    assert RetryPolicy(deadline=None).deadline is None
    assert RetryPolicy(retry_after_max=0).retry_after_max == 0
    assert "acme" in repr(LuccaTrainingClient("acme.ilucca.net", KEY, rate_limit=None))


@pytest.mark.parametrize("name", ["timeouts", "retry", "rate_limit", "session"])
def test_arguments_of_another_type_are_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a"):
        LuccaTrainingClient("acme.ilucca.net", KEY, **{name: 5})  # type: ignore[arg-type]


def test_from_env_reads_both_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCCA_HOST", "acme.ilucca-test.net")
    monkeypatch.setenv("LUCCA_API_KEY", KEY)
    client = LuccaTrainingClient.from_env(rate_limit=RateLimit(10, 60.0))
    assert repr(client) == (
        "<LuccaTrainingClient https://acme.ilucca-test.net: 0 of 10 in use, 0 waiting, 0 in flight>"
    )


@pytest.mark.parametrize("missing", ["LUCCA_HOST", "LUCCA_API_KEY"])
def test_from_env_names_the_missing_variable(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setenv("LUCCA_HOST", "acme.ilucca.net")
    monkeypatch.setenv("LUCCA_API_KEY", KEY)
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv(missing)
        else:
            monkeypatch.setenv(missing, value)
        with pytest.raises(ConfigurationError, match=missing):
            LuccaTrainingClient.from_env()
