"""A budget that processes on several machines share, on a Redis server (or Valkey).

The rules of ``tenant.py`` once more, in ``ledger.lua``, since a server runs nothing else in one
atomic step. Its clock is the server's, so that the clocks of the machines don't matter; what comes
back is in seconds from then, and becomes the time of this machine.

Everything may be told twice, so that a connection which has died in silence costs one try more.
"""

from __future__ import annotations

import importlib.resources
import json
import math
import os
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, cast

import attrs

from .._budget_url import shown
from ..errors import ConfigurationError
from ..ledger import Cause, Wait
from .pace import Pace
from .steps import (
    PATIENCE,
    Close,
    Leave,
    Meet,
    Restore,
    Settle,
    Step,
    Take,
    UnreachableError,
    uptime,
)
from .tenant import Member, Slot, Tenant

_KEPT_FOR = 40 * 86_400_000
"""Milliseconds; longer than a monthly job is silent, which would take it for a loss."""
_OLDEST = 5
_ADVICE = {
    ("FORMAT", "WRONGTYPE"): (
        "the keys lucca:* were written by something else, or another version of this package: give "
        "the shared budget a database of its own (…/1)"
    ),
    ("DB index",): "the server has no database of that number: end the URL in another, such as /0",
    ("MOVED", "CROSSSLOT"): "this is a cluster: the shared budget needs a server that is none",
    (
        *("NOAUTH", "WRONGPASS", "AUTH", "Authentication required"),
        *("invalid password", "invalid username-password"),
    ): (
        "mend user and password in the URL: redis://user:password@host:6379/0, and in a password / "
        "is %2F, # is %23, ? is %3F, @ is %40 and % is %25"
    ),
    ("NOPERM", "unknown command", "ACL failure", "executing the script can't", "no permissions"): (
        "the shared budget needs a server that lets this user run scripts (EVALSHA, SCRIPT LOAD) "
        "over the keys lucca:*, in them TIME, HGETALL, HSET, ZRANGE, ZADD, DEL and PEXPIRE, and "
        "SELECT if the URL names a database"
    ),
}
"""What to do where a server says what it will say again, by words that are in it."""
_DEFAULT_PERIOD = 60.0


class RedisStore:
    """Keeps tenants on a server; see :class:`~lucca_training_async._budget.steps.Store`.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py reads it.
        clock: This machine's, in seconds.
        server_clock: In place of the server's own.
    """

    def __init__(
        self,
        url: str,
        clock: Callable[[], float] = uptime,
        server_clock: Callable[[], float] | None = None,
    ) -> None:
        self.name: str = shown(url)
        self.clock: Callable[[], float] = clock
        self._server_clock = server_clock
        # In a closure, where no repr and no reporter of crashes finds a password.
        self._connect: Callable[[], Any] = lambda: _client(url)
        self._client: Any = None
        self._script: Any = None
        self._has_worked = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    async def apply(self, host: str, steps: Sequence[Step]) -> tuple[Tenant, Wait | None]:
        from redis.exceptions import RedisError

        self._open()
        try:
            told = await self._run(host, steps)
        except (RedisError, OSError) as error:
            failure = self._failure(error)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            if self._has_worked or isinstance(error, ConfigurationError):
                raise
            failure = self._wrong_url(error)  # some options are only met when they are used
        else:
            self._has_worked = True
            return _tenant(told, self.clock()), _wait(told["answer"])
        raise failure

    async def aclose(self) -> None:
        client, self._client, self._script = self._client, None, None
        if client is not None:
            # All that is to be closed, under a name that all versions of redis-py have.
            await client.connection_pool.disconnect()

    def _open(self) -> None:
        """The client; not yet a connection."""
        if self._client is not None:
            return
        lua = importlib.resources.files(__name__.rpartition(".")[0]).joinpath("ledger.lua")
        try:
            client = self._connect()
            script = client.register_script(lua.read_text("utf-8"))
        except Exception as error:  # redis-py has one of its own for each option
            # The text may hold a password, as an option may.
            failure = self._wrong_url(error)
        else:
            self._client, self._script = client, script
            return
        raise failure

    def _wrong_url(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"{self.name}: redis-py does not take this URL ({type(error).__name__}): mend its "
            "options, which follow the question mark"
        )

    async def _run(self, host: str, steps: Sequence[Step]) -> dict[str, Any]:
        from redis import exceptions

        if not self._has_worked:
            await self._check_version()
        keys = [f"lucca:{{{host}}}:slots", f"lucca:{{{host}}}:state"]
        now = "" if self._server_clock is None else f"{self._server_clock():.6f}"
        waited = max((_period(step) for step in steps), default=0.0) or _DEFAULT_PERIOD
        told = json.dumps([_told(step) for step in steps])
        arguments = [told, secrets.token_hex(8), waited, _KEPT_FOR, now]
        try:
            answer = await self._script(keys=keys, args=arguments)
        except exceptions.TimeoutError:
            raise
        except exceptions.ConnectionError:
            # The server has been restarted, perhaps, since we spoke last.
            answer = await self._script(keys=keys, args=arguments)
        with suppress(ValueError):
            return cast("dict[str, Any]", json.loads(answer))
        raise exceptions.InvalidResponse("no JSON")

    async def _check_version(self) -> None:
        from redis.exceptions import ResponseError

        with suppress(ResponseError):  # not everybody may ask
            info = await self._client.info("server")
            version = str(info.get("redis_version", _OLDEST))
            major = re.match(r"\d+", version)
            if major is not None and int(major[0]) < _OLDEST:
                raise ConfigurationError(
                    f"{self.name} is Redis {version}, and a shared budget needs {_OLDEST} or "
                    "later: update the server"
                )

    def _failure(self, error: Exception) -> Exception:
        from redis.exceptions import InvalidResponse

        if isinstance(error.__cause__, TypeError) and not self._has_worked:
            return self._wrong_url(error.__cause__)  # as some redis-py wrap it
        # Over some connections, redis-py wraps it.
        is_nonsense = isinstance(error.__cause__, InvalidResponse)
        if is_nonsense or isinstance(error, InvalidResponse):
            # Not what it says: that may be anything.
            told = f"{self.name} answers, but not as a Redis server does"
            advice: str | None = "there is no Redis server: mend host and port"
        else:
            told, advice = f"{self.name}: {_text_of(error)}", _advice_on(error)
        if self._has_worked or advice is None:
            return UnreachableError(told)
        return ConfigurationError(f"{told}; {advice}")


def _text_of(error: Exception) -> str:
    """Only what the server says, or has not said: an error of the system may tell of the URL."""
    text = str(error).removesuffix(".")
    if not text or isinstance(error, OSError):
        return type(error).__name__
    # redis-py tells the address twice, which is in our name of the server.
    told = re.match(r"Error (-?\d+) connecting to .*?\. (.+)", text)
    if told is None:
        return text
    says_nothing = told[2].startswith("Connect call failed") or told[2] == told[1]
    return os.strerror(int(told[1])) if says_nothing else told[2]


def _advice_on(error: Exception) -> str | None:
    """What to do where the server will say so again; None where it may not."""
    from redis import exceptions

    # Of their texts, redis-py drops the first word; while it connects, it has one class for all.
    kinds = {
        exceptions.AuthenticationError: "NOAUTH",
        exceptions.NoPermissionError: "NOPERM",
        exceptions.MovedError: "MOVED",
        exceptions.ClusterCrossSlotError: "CROSSSLOT",
    }
    text = str(error)
    # A path may hold any word; redis-py begins so where nobody has answered.
    if isinstance(error, OSError) or text.startswith("Error "):
        return None
    text += "".join(f" {word}" for kind, word in kinds.items() if isinstance(error, kind))
    found = (advice for words, advice in _ADVICE.items() if any(word in text for word in words))
    return next(found, None)


def _client(url: str) -> Any:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    client = cast("Any", Redis).from_url(
        url,
        decode_responses=True,
        max_connections=1,
        protocol=2,  # that of Redis 5, which knows no other
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )
    # As the pool will make one: it finds out whether there are such options.
    client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    return client


def _period(step: Step) -> float:
    return step.ask.period if isinstance(step, Take | Meet) else 0.0


def _told(step: Step) -> dict[str, Any]:
    match step:
        case Take(ask):
            return {"kind": "take", **_known(ask)}
        case Meet(ask):
            return {"kind": "meet", **_known(ask)}
        case Close(seconds, cause):
            return {"kind": "close", "seconds": seconds, "cause": cause.value}
        case Restore(client, slots):
            kept = {token: _known(slot) for token, slot in slots.items()}
            return {"kind": "restore", "client": client, "slots": kept}
        case Settle() | Leave():
            return {"kind": type(step).__name__.lower(), **_known(step)}
        case _:
            raise TypeError(f"no step: {step!r}")


def _known(value: attrs.AttrsInstance) -> dict[str, Any]:
    """Without what is None, which Lua would take for something."""
    told = attrs.asdict(value, value_serializer=lambda _, __, it: _plain(it))
    return {name: known for name, known in told.items() if known is not None}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _tenant(told: dict[str, Any], now: float) -> Tenant:
    def after(seconds: Any) -> float | None:
        return None if seconds is False else now + seconds

    slots = {
        token: Slot(client, now + free_in, int(number), after(held_for))
        for token, client, free_in, number, held_for in told["slots"]
    }
    members = {
        name: Member(
            now + seen_in,
            None if requests is False else int(requests),
            period,
            now + back_in,
            after(waits_since),
            is_bulk,
        )
        for name, seen_in, requests, period, back_in, waits_since, is_bulk in told["members"]
    }
    allowed = told["allowed"]
    is_fresh, *moments = told["pace"]
    return Tenant(
        told["born"],
        now + told["born_at"],
        now,
        slots,
        members,
        int(told["round"]),
        None if allowed is False else int(allowed),
        now + told["opens_at"],
        Cause(told["closed_by"]),
        Pace(is_fresh, *(now + moment for moment in moments)),
    )


def _wait(answer: Any) -> Wait | None:
    if answer is False:
        return None
    seconds, closed, is_probing = answer
    cause = None if closed is False else Cause(closed)
    return Wait(math.inf if seconds < 0 else seconds, cause, is_probing)
