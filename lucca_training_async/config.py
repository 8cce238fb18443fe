"""Where requests go, with which key and how long they may take; checked before any is sent."""

from __future__ import annotations

import ipaddress
import re
from typing import NoReturn

import attrs
from yarl import URL

from ._validators import optional_positive_seconds
from .errors import ConfigurationError

# Lucca's developer documentation, "Hosts": production, test and demo accounts, and sandboxes.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_LUCCA_HOST = re.compile(
    rf"{_LABEL}\.ilucca(?:-test|-demo)?\.(?:net|ch)"
    rf"|{_LABEL}-{_LABEL}\.sandbox\.(?:eu1|eu2|ch1)\.luccasoftware\.com"
)
# RFC 1035, section 2.3.4, for the lengths; an underscore is found in private networks.
_ANY_HOST = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_][a-z0-9_-]{0,62}(?:\.[a-z0-9_][a-z0-9_-]{0,62})*|[0-9a-f:.]*:[0-9a-f:.]*"
)
_HEADER_PREFIX = "lucca application="
_SHORTEST_SECRET = 8


@attrs.frozen
class Timeouts:
    """Limits of one attempt, in seconds; None lifts one.

    They start when the request is about to be sent: time spent waiting for the request
    budget or for a free place doesn't count. Lucca itself aborts a request after 5 s.

    Attributes:
        total: From connecting until the last byte of the body.
        connect: For TCP and TLS to be established.
        read: The longest silence between two reads.

    Raises:
        ConfigurationError: A value is not positive and finite.
    """

    total: float | None = attrs.field(default=15.0, validator=optional_positive_seconds)
    connect: float | None = attrs.field(default=5.0, validator=optional_positive_seconds)
    read: float | None = attrs.field(default=None, validator=optional_positive_seconds)


class ApiKey:
    """The API key, where a repr, a format or a pickle can't find it by accident."""

    __slots__ = ("_header", "_redactable")

    def __init__(self, key: object) -> None:
        checked = _checked_key(key)
        self._header = _HEADER_PREFIX + checked
        # Nobody's secret is shorter than that, and cutting it out would garble text that
        # has nothing to do with it.
        self._redactable = checked if len(checked) >= _SHORTEST_SECRET else ""

    def header(self) -> str:
        """The value of the Authorization header (Lucca documentation, "Authentication")."""
        return self._header

    def redact(self, text: str) -> str:
        """The text without the key, for text that came from the other side.

        A server or proxy that echoes request headers must not put the key into an error.
        """
        return text.replace(self._redactable, "[api key]") if self._redactable else text

    def redact_bytes(self, body: bytes) -> bytes:
        """As :meth:`redact`, for a body."""
        return body.replace(self._redactable.encode(), b"[api key]") if self._redactable else body

    def __repr__(self) -> str:
        return "<ApiKey hidden>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled")


def _checked_key(key: object) -> str:
    if not isinstance(key, str):
        raise ConfigurationError(f"the API key must be a str, not {type(key).__name__}")
    if not key:
        raise ConfigurationError("the API key is empty")
    if "\n" in key or "\r" in key:
        raise ConfigurationError("the API key holds a line break; was it read from a file?")
    if key.lower().startswith(_HEADER_PREFIX):
        raise ConfigurationError(
            f"pass the API key alone: the client adds {_HEADER_PREFIX!r} itself"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError("the API key holds a space or a character no HTTP header can hold")
    return key


def base_url(host: object, *, allow_any_host: bool = False) -> URL:
    """The origin that requests go to.

    Args:
        host: A bare host, or a URL without user info, path, query or fragment.
        allow_any_host: Accept a host outside the patterns Lucca documents.

    Raises:
        ConfigurationError: The host can't be used. The message repeats the input only
            once it is known to hold no user info and no query.
    """
    if not isinstance(host, str):
        raise ConfigurationError(f"the host must be a str, not {type(host).__name__}")
    text = host.strip()
    if not text:
        raise ConfigurationError("the host is empty")
    try:
        url = URL(text if "://" in text else f"https://{text}")
        name, port = url.raw_host, url.explicit_port
    except ValueError:
        raise ConfigurationError("the host is not a valid host or URL") from None
    if url.raw_user is not None or url.raw_password is not None:
        raise ConfigurationError("the host must not hold a user name or password")
    if url.raw_path not in ("", "/") or url.raw_query_string or url.raw_fragment:
        raise ConfigurationError("the host must not hold a path, query or fragment")
    if not name or not _ANY_HOST.fullmatch(name):
        raise ConfigurationError("the host is not a valid host or URL")

    loopback = _is_loopback(name)
    if url.scheme != "https" and not (url.scheme == "http" and loopback):
        raise ConfigurationError(
            f"{url.scheme}:// is refused: but for loopback, the API key travels over https only"
        )
    if not (loopback or allow_any_host or _LUCCA_HOST.fullmatch(name)):
        # A name without a dot is no host, but perhaps the key: the arguments are swapped.
        told = repr(name) if "." in name else "this"
        raise ConfigurationError(
            f"{told} is not a host that Lucca documents (such as 'acme.ilucca.net' or "
            "'acme-trial.sandbox.eu1.luccasoftware.com'); pass allow_any_host=True if it is right"
        )
    return URL.build(scheme=url.scheme, host=name, port=port)


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
