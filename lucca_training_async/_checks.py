"""Checks of single settings, so that a bad one fails where it is written.

What they raise repeats a value only where it can hold no secret.
"""

from __future__ import annotations

import ipaddress
import math
import re
from typing import Any, TypeGuard

from attrs import Attribute
from yarl import URL

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


def is_int(value: object) -> TypeGuard[int]:
    """Whether the value is an int; ``True`` is not one here."""
    return isinstance(value, int) and not isinstance(value, bool)


def positive_int(owner: object, attribute: Attribute[Any], value: object) -> None:
    if not is_int(value) or value < 1:
        raise ConfigurationError(
            f"{_name(owner, attribute)} must be an int of at least 1, not {_told(value)}"
        )


def fewer_than_requests(owner: Any, attribute: Attribute[Any], value: object) -> None:
    if not is_int(value) or not 0 <= value < owner.requests:
        raise ConfigurationError(
            f"{_name(owner, attribute)} must be an int of at least 0 and less than requests, "
            f"which is {owner.requests}, not {_told(value)}"
        )


def positive_seconds(owner: object, attribute: Attribute[Any], value: object) -> None:
    if not _is_finite_number(value) or value <= 0:
        raise ConfigurationError(
            f"{_name(owner, attribute)} must be a positive, finite number of seconds, "
            f"not {_told(value)}"
        )


def non_negative_seconds(owner: object, attribute: Attribute[Any], value: object) -> None:
    if not _is_finite_number(value) or value < 0:
        raise ConfigurationError(
            f"{_name(owner, attribute)} must be a finite number of seconds, 0 or more, "
            f"not {_told(value)}"
        )


def optional_positive_seconds(owner: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None:
        positive_seconds(owner, attribute, value)


def instance_of(*classes: type) -> Any:
    """Attrs' own validator of that name, but with our error and without the value."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, classes):
            expected = " or ".join("None" if cls is type(None) else cls.__name__ for cls in classes)
            raise ConfigurationError(
                f"{attribute.name} must be a {expected}, not {type(value).__name__}"
            )

    return check


def _is_finite_number(value: object) -> TypeGuard[float]:
    try:
        return (is_int(value) or isinstance(value, float)) and math.isfinite(value)
    except OverflowError:  # an int beyond any float
        return False


def _told(value: object) -> str:
    """A number as it is; of anything else, which may hold a secret, the type."""
    if value is not None and not isinstance(value, (int, float)):
        return f"a {type(value).__name__}"
    try:
        return repr(value)
    except ValueError:  # an int of more digits than Python prints
        return "a huge int"


def _name(owner: object, attribute: Attribute[Any]) -> str:
    return f"{type(owner).__name__}.{attribute.name}"


def base_url(host: object, *, allow_any_host: bool = False) -> URL:
    """The origin that requests go to.

    Args:
        host: A bare host, or a URL without user info, path, query or fragment.
        allow_any_host: Accept a host outside the patterns Lucca documents.

    Raises:
        ConfigurationError: The host can't be used. The message doesn't repeat it.
    """
    if not isinstance(host, str):
        raise ConfigurationError(f"the host must be a str, not {type(host).__name__}")
    text = host.strip()
    if not text:
        raise ConfigurationError("the host is empty")
    url = _parsed(text if "://" in text else f"https://{text}")
    if url is None:
        raise ConfigurationError("the host is not a valid host or URL")
    name, port = url.raw_host, url.explicit_port
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
        # It isn't repeated: if the arguments are swapped, it is the key.
        raise ConfigurationError(
            "this is not a host that Lucca documents (such as 'acme.ilucca.net' or "
            "'acme-trial.sandbox.eu1.luccasoftware.com'); pass allow_any_host=True if it is right"
        )
    return URL.build(scheme=url.scheme, host=name, port=port)


def _parsed(text: str) -> URL | None:
    """The URL; None in place of an exception, whose frames would hold the text."""
    try:
        url = URL(text)
        _ = url.explicit_port
    except ValueError:
        return None
    return url


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def fault_of_key(key: object, prefix: str) -> str | None:
    """Why a value can't be an API key, in words that don't repeat it; None if it can be one."""
    if not isinstance(key, str):
        return f"the API key must be a str, not {type(key).__name__}"
    if not key:
        return "the API key is empty"
    if "\n" in key or "\r" in key:
        return "the API key holds a line break; was it read from a file?"
    if key.lower().startswith(prefix):
        return f"pass the API key alone: the client adds {prefix!r} itself"
    if not key.isascii() or not key.isprintable() or " " in key:
        return "the API key holds a space or a character no HTTP header can hold"
    return None
