"""One aiohttp session's connections, and the last step before a request goes out over one.

aiohttp picks a connection and writes the request to it in one go. In between is where all
counts that we need: whether the connection still lives, whether the request has already
been sent once, and when its time begins. So ``send`` of the request is where we look: by a
class of our own in our own session, by wrapping it in a given one (which costs more: an
attribute of its own makes every access to the request slower).
"""

from __future__ import annotations

import asyncio
import select
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Self

import aiohttp
import attrs

from ..settings import ApiKey, Timeouts
from .head import RememberingHandler
from .trouble import RefusedToSendError


@attrs.define(eq=False)
class Pool:
    """An aiohttp session.

    Attributes:
        session: The session.
        in_use: How many requests are under way over it.
        is_retired: Whether it is to be closed when there are none.
    """

    session: aiohttp.ClientSession
    in_use: int = 0
    is_retired: bool = False
    # By the identity of their protocols, each for as long as it lives.
    _used: dict[int, tuple[weakref.ref[Any], Callable[[int], object]]] = attrs.field(
        factory=dict[int, tuple["weakref.ref[Any]", Callable[[int], object]]], init=False
    )

    def is_usable(self, connection: Any) -> bool:
        """Whether a request may be sent over this connection; from now on it has been used.

        A new one may be used whatever comes over it: or a server that hangs up on everybody
        would be connected to for ever.
        """
        protocol = connection.protocol
        number = id(protocol)
        used = self._used.get(number)
        if used is not None:
            return not used[1](0)
        forget = weakref.ref(protocol, lambda _: self._used.pop(number, None))
        self._used[number] = forget, _poll_of(protocol.transport)
        return True


@attrs.frozen
class Limits:
    """The limits of one attempt, made ready for aiohttp.

    Attributes:
        timeouts: Ours.
        for_aiohttp: What is left to aiohttp: in a given session, where its clock would begin
            with the wait for a connection, not the total.
    """

    timeouts: Timeouts
    for_aiohttp: aiohttp.ClientTimeout

    @classmethod
    def of(cls, timeouts: Timeouts, *, is_given: bool) -> Self:
        total = None if is_given else timeouts.total
        return cls(
            timeouts,
            aiohttp.ClientTimeout(
                total=total, sock_connect=timeouts.connect, sock_read=timeouts.read
            ),
        )


class _DeadConnectionError(aiohttp.ClientConnectionError):
    """The other side has closed this connection; nothing was written to it."""


@attrs.define(eq=False)
class Dispatch:
    """One request on its last step.

    Attributes:
        pool: What it is sent over.
        key: What it is signed with.
        limits: Its limits.
        sent: Whether it may have left.
        limit: In a given session, when it has to be sent; from then on, when it has to be
            answered.
    """

    pool: Pool
    _key: ApiKey
    limits: Limits
    sent: bool = False
    limit: asyncio.Timeout | None = None
    _protocol: RememberingHandler | None = None

    @property
    def beginning(self) -> bytes:
        """How its answer begins, as far as that is known."""
        return b"" if self._protocol is None else self._protocol.beginning

    def ran_out_before_sending(self, error: Exception) -> bool:
        """Whether a given session had no connection in time."""
        return (
            isinstance(error, TimeoutError)
            and not self.sent
            and self.limit is not None
            and self.limit.expired()
        )

    async def send(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """The innermost middleware: sign the request, and let it be sent only once.

        Signing it here keeps the key out of the variables and traces of aiohttp, and beats
        whatever else a given session would authorize with (its ``auth``, a netrc file).

        aiohttp resends a GET by itself when a kept-alive connection breaks, and so may a
        middleware of a given session. Lucca would count two requests where the budget has
        one, so the break is reported and our own retry decides.
        """
        request.headers["Authorization"] = self._key.header()
        if not isinstance(request, CheckedRequest):
            self._check_sending_of(request)
        while True:
            try:
                return await handler(request)
            except _DeadConnectionError:
                continue  # nothing was lost but a connection: take the next
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                raise _Broken(error) from None

    def _check_sending_of(self, request: aiohttp.ClientRequest) -> None:
        """For a given session, which makes requests of a class of its own."""
        write = request.send

        async def send(connection: Any) -> aiohttp.ClientResponse:
            self.before_sending(connection)
            return await write(connection)

        setattr(request, "send", send)  # noqa: B010  # a method, on this one request only

    def before_sending(self, connection: Any) -> None:
        """The last moment at which a request can be kept from going out over a connection."""
        if self.sent:
            raise RefusedToSendError
        if not self.pool.is_usable(connection):
            raise _DeadConnectionError
        self.sent = True
        protocol = connection.protocol
        if isinstance(protocol, RememberingHandler):
            protocol.beginning = b""
            self._protocol = protocol
        if self.limit is not None:
            total = self.limits.timeouts.total
            now = asyncio.get_running_loop().time()
            self.limit.reschedule(None if total is None else now + total)


on_its_way: ContextVar[Dispatch] = ContextVar("on_its_way")


class CheckedRequest(aiohttp.ClientRequest):
    """A request of the client's own session.

    It finds its dispatch in the context of the task that sends it.
    """

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        on_its_way.get().before_sending(conn)
        return await super().send(conn)


class _Broken(aiohttp.ClientConnectionError):
    """A break that aiohttp must not see, or it would send the request again."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def broken(error: Exception) -> Exception:
    """The break itself."""
    return error.error if isinstance(error, _Broken) else error


def _poll_of(transport: Any) -> Callable[[int], object]:
    """A function that tells, within so many milliseconds, what has come over a connection.

    Between two requests that is nothing at all, or its end, or an answer that nobody has
    asked for: after either, no answer over it could be trusted.
    """
    socket = transport.get_extra_info("socket")
    number = -1 if socket is None else socket.fileno()
    if number < 0:
        return lambda _: None
    if not hasattr(select, "poll"):  # Windows
        return lambda _: select.select([number], [], [], 0)[0]
    polled = select.poll()
    polled.register(number, select.POLLIN)
    return polled.poll
