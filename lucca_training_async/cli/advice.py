"""What to do next about an error, as a table: for people who see it on a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs

from ..errors import (
    AuthenticationError,
    ConfigurationError,
    DecodeError,
    LuccaConnectionError,
    LuccaError,
    LuccaTimeoutError,
    NotFoundError,
    OutageError,
    PermissionDeniedError,
    RateLimitedError,
    ResponseError,
    ServerError,
    SharedBudgetError,
)

_HOSTS = (
    "production is ACCOUNT.ilucca.net, or ACCOUNT.ilucca.ch for a Swiss account; a test account "
    "is ACCOUNT.ilucca-test.net, a demo ACCOUNT.ilucca-demo.net (or .ch); a sandbox is "
    "ACCOUNT-NAME.sandbox.eu1.luccasoftware.com (or eu2, ch1)"
)
_OTHER = "answers, but not as Lucca does"
_NOT_LUCCA = (
    "Whatever answers there is not Lucca's Training API. Check the host, the account's name and "
    f"the region: {_HOSTS}. If the host is right, a proxy, a firewall, a login page or a "
    "maintenance page stands in front of it."
)


@attrs.frozen
class Row:
    """One line of the table: of which errors it tells what, and what to do.

    Attributes:
        name: What has happened, in a few words.
        kind: The class of the error.
        pattern: What its message has in it; the words are those of ``_http.trouble``.
        statuses: Its status, if it has one that decides.
        also: What else must hold of the error.
        todo: What to do next.
        is_of_one_list: Whether another list may be answered all the same.
        host: What it shows of the host.
        is_key_known: Whether it shows that Lucca knows the key.
    """

    name: str
    kind: type[LuccaError]
    todo: str
    pattern: str = ""
    statuses: range = range(1000)
    also: Callable[[LuccaError], bool] = lambda _: True
    is_of_one_list: bool = False
    host: str = "no answer"
    is_key_known: bool = False

    def is_about(self, error: LuccaError) -> bool:
        return (
            isinstance(error, self.kind)
            and getattr(error, "status", 0) in self.statuses
            and re.search(self.pattern, str(error)) is not None
            and self.also(error)
        )


def _is_page(error: LuccaError) -> bool:
    return bool(getattr(error, "transient", False))


# The first that fits.
TABLE = (
    Row(
        "not a host of Lucca's",
        ConfigurationError,
        f"Check the domain and the region: {_HOSTS}. If it is right all the same (a gateway of "
        "yours), pass --allow-any-host.",
        "not a host that Lucca documents",
    ),
    Row(
        "shared budget can't work",
        ConfigurationError,
        "Correct --shared-budget or LUCCA_SHARED_BUDGET, or leave it out.",
        "shared_budget",
    ),
    Row(
        "a setting can't work",
        ConfigurationError,
        "Correct the option or the variable that it names.",
    ),
    Row(
        "shared budget can't be reached",
        SharedBudgetError,
        "Start the server that keeps it, or correct --shared-budget or LUCCA_SHARED_BUDGET.",
    ),
    Row(
        "key refused",
        AuthenticationError,
        "Is the key whole, of this very account and host, and not revoked? Take a new one from "
        "Lucca's administrator if in doubt, and put it into LUCCA_API_KEY or the key file.",
        host="answers",
    ),
    Row(
        "no right",
        PermissionDeniedError,
        "The key is known, and its role may not read this: have Lucca's administrator give the "
        "key's role the right to read it.",
        is_of_one_list=True,
        host="answers",
        is_key_known=True,
    ),
    Row(
        "not found",
        NotFoundError,
        "Either there is no such thing in this account, or the key's role may not see it: ask "
        "Lucca's administrator whether the account has Training, and what the role may see.",
        is_of_one_list=True,
        host="answers",
        is_key_known=True,
    ),
    Row(
        "request budget spent",
        RateLimitedError,
        "Wait, and try again. All integrations of the tenant share one budget: if this happens "
        "often, give each its part (--limit), or let them share it (--shared-budget).",
        host="answers",
    ),
    Row(
        "outage",
        OutageError,
        "Another process that shares the budget has found nobody answering. Wait, and try again.",
    ),
    Row(
        "no connection in time",
        LuccaTimeoutError,
        "Something swallows the packets: a firewall, a VPN that is off, or a proxy that has to be "
        "used (set HTTPS_PROXY and pass --trust-env). Is the host right?",
        "no connection within",
    ),
    Row(
        "no answer in time",
        LuccaTimeoutError,
        "The connection stands and no answer comes: Lucca is slow or down, or a proxy holds it "
        "back. Try again in a minute.",
    ),
    Row(
        "a proxy is set and not used",
        LuccaConnectionError,
        "Pass --trust-env, so that the proxy of the environment is used.",
        "is set and not used",
    ),
    Row(
        "name not found",
        LuccaConnectionError,
        f"Is the account's name spelt right, and the region? {_HOSTS[0].upper()}{_HOSTS[1:]}. If "
        "other names can't be resolved either, it is this machine's DNS or network.",
        "can't be resolved",
    ),
    Row(
        "certificate expired or not yet valid",
        LuccaConnectionError,
        "Set this machine's clock, if it is wrong. If it is right, whoever runs that host (or a "
        "proxy in between) has to renew the certificate.",
        "certificate verify failed.*(expired|not yet valid)",
    ),
    Row(
        "certificate not trusted",
        LuccaConnectionError,
        "Either this is another host than you think, or a company proxy opens TLS: then add its "
        "authority to this machine's (SSL_CERT_FILE names a file of them). Don't turn the check "
        "off: the key would go to whoever is in between.",
        "certificate verify failed",
    ),
    Row(
        "no TLS",
        LuccaConnectionError,
        "What listens there speaks no TLS, or another version: check host and port. Lucca's "
        "port is 443, which needs no mention.",
        "no TLS connection",
    ),
    Row(
        "proxy not reached",
        LuccaConnectionError,
        "Check HTTPS_PROXY: its host, its port. If no proxy is needed, leave out --trust-env, or "
        "name the host in NO_PROXY.",
        "Cannot connect to the proxy",
    ),
    Row(
        "proxy refused",
        LuccaConnectionError,
        "The proxy of HTTPS_PROXY lets nobody through to this host: it wants a user and password "
        "(http://USER:PASSWORD@PROXY:PORT), or has to be told to allow it.",
        "the proxy refused",
    ),
    Row(
        "port refused",
        LuccaConnectionError,
        "The machine is there, and nothing listens on that port: check host and port. Lucca's "
        "port is 443, which needs no mention. A sandbox has to be started first.",
        "Cannot connect to .*[Rr]efused",
    ),
    Row(
        "no way there",
        LuccaConnectionError,
        "This machine finds no way to the host: check the network, a VPN, a firewall.",
        "Cannot connect to ",
    ),
    Row(
        "connection broke",
        LuccaConnectionError,
        "Try again. If it goes on, something between here and Lucca cuts connections: a proxy, a "
        "firewall, or a service that is no HTTP server.",
    ),
    Row(
        "Lucca is down",
        ServerError,
        "Lucca fails, or is being maintained: try again in some minutes. If it goes on, tell "
        "Lucca's support the time and the request id, if there is one.",
        is_of_one_list=True,
        host="answers with an error",
    ),
    Row(
        "redirect",
        ResponseError,
        f"Redirects are not followed, since the key would follow them. {_NOT_LUCCA}",
        statuses=range(300, 400),
        host=_OTHER,
    ),
    Row(
        "Lucca took too long",
        ResponseError,
        "Lucca gave the request up: try again in a minute.",
        statuses=range(408, 409),
        host="answers",
    ),
    Row("not Lucca", ResponseError, _NOT_LUCCA, also=_is_page, host=_OTHER),
    Row(
        "refused",
        ResponseError,
        "Lucca takes the request for a wrong one. Is this the newest version of this package?",
        statuses=range(400, 500),
        is_of_one_list=True,
        host="answers",
    ),
    Row("not Lucca", ResponseError, _NOT_LUCCA, host=_OTHER),
    Row("not Lucca", DecodeError, _NOT_LUCCA, host=_OTHER),
    Row("failed", LuccaError, "Read the message, and docs/errors.md."),
)


def advice(error: LuccaError) -> Row:
    """What an error is called for people, and what to do about it."""
    if isinstance(error, OutageError) and error.last_seen is not None:
        return advice(error.last_seen)
    return next(row for row in TABLE if row.is_about(error))


def until(error: LuccaError, now: datetime) -> str | None:
    """When to try again, if the other side has said so; None if it hasn't."""
    seconds = getattr(error, "retry_after", None)
    if seconds is None:
        if not isinstance(error, RateLimitedError):
            return None
        return "it isn't said for how long; Lucca counts requests in any 60 s, so wait a minute"
    if seconds > 366 * 86_400:
        return "for more than a year"
    end = now + timedelta(seconds=seconds)
    moment = f"{end:%H:%M:%S}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    return f"until {moment} (in {seconds:.0f} s)"
