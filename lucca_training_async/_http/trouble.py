"""What went wrong on the way, in our own words.

aiohttp's exceptions are never quoted: their texts hold whatever the other side sent (half a
header of it, perhaps with our key), a proxy's password, or a status that nobody answered.
"""

from __future__ import annotations

import os
import urllib.request
from functools import singledispatch

import aiohttp
import attrs
from yarl import URL

from ..settings import ApiKey, Timeouts
from .answers import quoted
from .body import UndecodableError


@attrs.frozen
class Trouble:
    """A request that brought no complete answer.

    Attributes:
        told: What happened.
        transient: Whether another attempt may succeed.
        timed_out: Whether a limit of ours ended it.
    """

    told: str
    transient: bool = True
    timed_out: bool = False


class RefusedToSendError(aiohttp.ClientError):
    """A given session's middleware asked for a second request in the place of one."""


@singledispatch
def trouble(error: Exception, timeouts: Timeouts, key: ApiKey) -> Trouble:
    """What an exception of aiohttp's, of the system's, or of somebody's middleware means."""
    # A middleware's: its own words are the caller's, and help to find it.
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Trouble(quoted(told, key), transient=False)


@trouble.register
def _(_: RefusedToSendError, *__: object) -> Trouble:
    return Trouble(
        "a middleware of the given session sent more than one request for this one; the budget "
        "has room for one",
        transient=False,
    )


@trouble.register
def _(error: aiohttp.ClientHttpProxyError, *_: object) -> Trouble:
    transient = error.status not in (401, 403, 407)
    return Trouble(f"the proxy refused with status {error.status}", transient)


@trouble.register
def _(error: aiohttp.ClientConnectorCertificateError, *_: object) -> Trouble:
    # OpenSSL's own words for what it found.
    found = getattr(error.certificate_error, "verify_message", "") or "it is for another host"
    told = f"certificate verify failed for {_place(error)}: {found}"
    return Trouble(told, transient=False)


@trouble.register
def _(error: aiohttp.ClientConnectorDNSError, *_: object) -> Trouble:
    return Trouble(f"the name {error.host!r} can't be resolved")


@trouble.register
def _(_: aiohttp.ClientProxyConnectionError, *__: object) -> Trouble:
    return Trouble("Cannot connect to the proxy")


@trouble.register
def _(error: aiohttp.ClientConnectorSSLError, *_: object) -> Trouble:
    return Trouble(f"no TLS connection with {_where(error)}")


@trouble.register
def _(error: aiohttp.ClientConnectorError, *_: object) -> Trouble:
    why = _system_reason(error.os_error)
    return Trouble(f"Cannot connect to {_where(error)} ({why})")


@trouble.register
def _(_: aiohttp.ConnectionTimeoutError, timeouts: Timeouts, __: object) -> Trouble:
    told = f"no connection within {_seconds(timeouts.connect)}"
    return Trouble(told, timed_out=True)


@trouble.register
def _(_: aiohttp.SocketTimeoutError, timeouts: Timeouts, __: object) -> Trouble:
    return Trouble(f"silence for {_seconds(timeouts.read)}", timed_out=True)


@trouble.register
def _(_: TimeoutError, timeouts: Timeouts, __: object) -> Trouble:
    return Trouble(f"no complete answer within {_seconds(timeouts.total)}", timed_out=True)


@trouble.register
def _(_: aiohttp.ServerDisconnectedError, *__: object) -> Trouble:
    return Trouble("the server closed the connection before it had answered")


@trouble.register
def _(_: aiohttp.ClientPayloadError, *__: object) -> Trouble:
    return Trouble("the body breaks off")


@trouble.register
def _(error: UndecodableError, *_: object) -> Trouble:
    return Trouble(str(error))


@trouble.register
def _(_: aiohttp.ClientResponseError, *__: object) -> Trouble:
    return Trouble("the answer can't be parsed as HTTP")


@trouble.register
def _(_: aiohttp.InvalidURL, *__: object) -> Trouble:
    return Trouble("the URL can't be requested", transient=False)


@trouble.register
def _(error: aiohttp.ClientError, *_: object) -> Trouble:
    return Trouble(f"the connection broke ({type(error).__name__})")


@trouble.register
def _(error: OSError, *_: object) -> Trouble:
    return Trouble(f"the connection broke ({_system_reason(error)})")


@trouble.register
def _(error: aiohttp.ClientOSError, *_: object) -> Trouble:
    return Trouble(f"the connection broke ({_system_reason(error)})")


def _place(error: aiohttp.ClientConnectorCertificateError) -> str:
    port: int | None = error.port
    return f"{error.host}:{port}"


def _where(error: aiohttp.ClientConnectorError) -> str:
    return f"{error.host}:{error.port}"


def _system_reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__


def _seconds(seconds: float | None) -> str:
    return "its limit" if seconds is None else f"{seconds:g} s"


def unused_proxy(url: URL) -> str | None:
    """The environment variable that names a proxy for this URL, or None; never its value."""
    proxies = urllib.request.getproxies_environment()
    if url.host is None or urllib.request.proxy_bypass(url.host):
        return None
    return f"{url.scheme.upper()}_PROXY" if url.scheme in proxies else None
