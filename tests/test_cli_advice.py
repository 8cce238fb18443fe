"""What is told to do about an error, by table; the words are those that the library writes."""

from __future__ import annotations

import errno
import re
import ssl
from datetime import datetime, timedelta
from typing import Any, cast

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from lucca_training_async import (
    ApiKey,
    AuthenticationError,
    ConfigurationError,
    DecodeError,
    InvalidIdError,
    LuccaConnectionError,
    LuccaError,
    LuccaTimeoutError,
    NotFoundError,
    OutageError,
    PermissionDeniedError,
    RateLimitedError,
    ResponseError,
    ServerError,
    Settings,
    SharedBudgetError,
    Timeouts,
)
from lucca_training_async._http.trouble import trouble
from lucca_training_async.cli.advice import TABLE, advice, until

URL_ = "https://acme.ilucca.net/x"
PLACE = ConnectionKey("acme.ilucca.net", 443, True, True, None, None, None)


def met(error: Exception) -> LuccaError:
    """What the client raises for what aiohttp does."""
    told = trouble(error, Timeouts(), ApiKey("key"))
    kind = LuccaTimeoutError if told.timed_out else LuccaConnectionError
    return kind(f"no answer: {told.told} [{URL_}]", url=URL_)


def connector(number: int) -> Exception:
    return aiohttp.ClientConnectorError(PLACE, OSError(number, "in another language"))


def certificate(message: str) -> Exception:
    error = ssl.SSLCertVerificationError()
    error.verify_message = message
    return aiohttp.ClientConnectorCertificateError(PLACE, error)


def proxy(status: int) -> Exception:
    return aiohttp.ClientHttpProxyError(cast(Any, None), (), status=status)


def answered(status: int, kind: type[ResponseError] = ResponseError, **more: Any) -> ResponseError:
    return kind(f"{status}", url=URL_, status=status, **more)


def refused_setting(host: str, **options: Any) -> LuccaError:
    with pytest.raises(ConfigurationError) as caught:
        Settings(host, "key", **options)
    return caught.value


@pytest.mark.parametrize(
    ("error", "name", "todo"),
    [
        (refused_setting("acme.lucca.fr"), "not a host of Lucca's", r"ilucca\.ch.*--allow-any"),
        (
            refused_setting("acme.ilucca.net", shared_budget="nonsense"),
            "shared budget can't work",
            "--shared-budget",
        ),
        (refused_setting("https://acme.ilucca.net/path"), "a setting can't work", "option"),
        (SharedBudgetError("gone"), "shared budget can't be reached", "Start the server"),
        (answered(401, AuthenticationError), "key refused", "LUCCA_API_KEY"),
        (answered(403, PermissionDeniedError), "no right", "role"),
        (answered(404, NotFoundError), "not found", "role"),
        (answered(429, RateLimitedError), "request budget spent", "--shared-budget"),
        (OutageError("no", url=URL_), "outage", "Wait"),
        (
            OutageError("no", url=URL_, last_seen=answered(503, ServerError)),
            "Lucca is down",
            "try again in some minutes",
        ),
        (met(aiohttp.ConnectionTimeoutError()), "no connection in time", "firewall"),
        (met(aiohttp.SocketTimeoutError()), "no answer in time", "slow or down"),
        (met(TimeoutError()), "no answer in time", "slow or down"),
        (
            LuccaConnectionError(
                "no answer: the name 'x' can't be resolved; HTTPS_PROXY is set and not used: "
                "pass trust_env=True if it should be [x]",
                url=URL_,
            ),
            "a proxy is set and not used",
            "--trust-env",
        ),
        (
            met(aiohttp.ClientConnectorDNSError(PLACE, OSError(-2, "no such name"))),
            "name not found",
            "spelt right, and the region.*DNS",
        ),
        (
            met(certificate("certificate has expired")),
            "certificate expired or not yet valid",
            "clock",
        ),
        (
            met(certificate("certificate is not yet valid")),
            "certificate expired or not yet valid",
            "clock",
        ),
        (
            met(certificate("self-signed certificate")),
            "certificate not trusted",
            "SSL_CERT_FILE.*Don't turn",
        ),
        (
            met(aiohttp.ClientConnectorSSLError(PLACE, OSError(1, "tls"))),
            "no TLS",
            "443",
        ),
        (
            met(aiohttp.ClientProxyConnectionError(PLACE, OSError(errno.ECONNREFUSED, ""))),
            "proxy not reached",
            "NO_PROXY",
        ),
        (met(proxy(407)), "proxy refused", "user and password"),
        (met(connector(errno.ECONNREFUSED)), "port refused", "host and port"),
        (met(connector(errno.ENETUNREACH)), "no way there", "network"),
        (met(aiohttp.ServerDisconnectedError()), "connection broke", "Try again"),
        (met(aiohttp.ClientPayloadError()), "connection broke", "Try again"),
        (answered(500, ServerError), "Lucca is down", "support"),
        (answered(502, ServerError, transient=True), "Lucca is down", "support"),
        (answered(302), "redirect", "not followed.*region"),
        (answered(408), "Lucca took too long", "again"),
        (answered(404, transient=True), "not Lucca", "region.*login page"),
        (answered(400), "refused", "newest version"),
        (answered(101), "not Lucca", "region"),
        (DecodeError("", path="$", excerpt="", url=URL_), "not Lucca", "login page"),
        (InvalidIdError("no"), "failed", "docs/errors.md"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_advice(error: LuccaError, name: str, todo: str) -> None:
    found = advice(error)
    assert found.name == name
    assert re.search(todo, found.todo)


def test_each_row_is_of_use() -> None:
    assert all(row.todo.endswith((".", "?")) and row.todo.isascii() for row in TABLE)
    assert TABLE[-1].kind is LuccaError


NOW = datetime(2026, 1, 1, 12, 0, 0)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (answered(429, RateLimitedError, retry_after=30.0), "until 12:00:30 (in 30 s)"),
        (
            answered(503, ServerError, retry_after=86_400.0),
            "until 2026-01-02 12:00:00 (in 86400 s)",
        ),
        (answered(503, ServerError, retry_after=1e12), "for more than a year"),
        (OutageError("", url=URL_, retry_after=2.0), "until 12:00:02 (in 2 s)"),
        (answered(503, ServerError), None),
        (SharedBudgetError(""), None),
    ],
)
def test_until(error: LuccaError, told: str | None) -> None:
    assert until(error, NOW) == told


def test_a_429_that_does_not_say() -> None:
    told = until(answered(429, RateLimitedError), NOW + timedelta(hours=1))
    assert told is not None
    assert "wait a minute" in told
