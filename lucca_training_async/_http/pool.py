"""One aiohttp session's connections, and the last step before a request goes out over one.

aiohttp picks a connection and writes the request to it in one go. In between is where all
counts that we need: whether the connection still lives, whether the request has already
been sent once, and when its time begins. So ``send`` of the request is where we look: by a
class of our own in our own session, by wrapping it in a given one (which costs more: an
attribute of its own makes every access to the request slower).
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Self

import aiohttp
import attrs

from .._budget import Admission, Owner
from ..settings import ApiKey, Timeouts
from .head import Memory, memory_of
from .trouble import RefusedToSendError

# As many idle connections as aiohttp keeps by default.
_MOST_DEAD_STRANGERS = 100
NOBODY = Owner()


@attrs.define(eq=False)
class Pool:
    """An aiohttp session.

    Attributes:
        session: The session.
        in_use: How many requests are under way over it.
        is_retired: Whether it is to be closed when there are none.
        is_shared: Whether the session is a given one, which others may be using.
    """

    session: aiohttp.ClientSession
    in_use: int = 0
    is_retired: bool = False
    is_shared: bool = False
    _known: dict[int, _Connection] = attrs.field(factory=dict[int, "_Connection"], init=False)

    def connection(self, protocol: Any) -> _Connection:
        """What is known of a connection."""
        number = id(protocol)
        known = self._known.get(number)
        if known is None:
            forget = weakref.ref(protocol, lambda _: self._known.pop(number, None))
            known = self._known[number] = _Connection(
                forget, _poll_of(protocol.transport), memory_of(protocol)
            )
        return known

    def distrust(self) -> None:
        """Send nothing more over the connections there are."""
        for known in self._known.values():
            known.is_trusted = False


@attrs.define(eq=False)
class _Connection:
    """What is known of a connection.

    Attributes:
        forget: Lets it be forgotten with its protocol.
        poll: Tells what has come over it.
        memory: How the answer over it begins.
        is_trusted: Whether it may be used again.
        is_ours: Whether a request of ours has gone over it.
    """

    forget: weakref.ref[Any]
    poll: Callable[[int], object]
    memory: Memory
    is_trusted: bool = True
    is_ours: bool = False


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


class _EndedError(aiohttp.ClientError):
    """Its owner has been ended while it waited for a connection."""


class _TooLateError(aiohttp.ClientError):
    """This process has stood still for so long that its slot may be another's by now."""


class _DeadConnectionError(aiohttp.ClientConnectionError):
    """The other side has closed this connection; nothing was written to it."""


@attrs.define(eq=False)
class Dispatch:
    """One request on its last step.

    Attributes:
        pool: What it is sent over.
        key: What it is signed with.
        limits: Its limits.
        owner: On whose behalf it is sent.
        admission: What allows it.
        sent: Whether it may have left.
        limit: In a given session, when it has to be sent; from then on, when it has to be
            answered.
        is_late: Whether it was kept back since it was no longer allowed.
    """

    pool: Pool
    _key: ApiKey
    limits: Limits
    owner: Owner
    admission: Admission
    sent: bool = False
    limit: asyncio.Timeout | None = None
    is_late: bool = False
    _memory: Memory | None = None
    _dead_strangers: int = 0

    @property
    def beginning(self) -> bytes:
        """How its answer begins, as far as that is known."""
        return b"" if self._memory is None else self._memory.beginning

    def end_wait(self) -> None:
        """Wait no longer for a connection."""
        if self.limit is not None and not self.sent:
            with contextlib.suppress(RuntimeError):  # it ends in this very moment
                self.limit.reschedule(asyncio.get_running_loop().time())

    def was_kept_back(self, error: Exception) -> bool:
        """Whether it has not been sent: for want of a connection, too late, or its owner ended."""
        if self.sent:
            return False
        limit = self.limit if isinstance(error, TimeoutError) else None
        return isinstance(error, _EndedError | _TooLateError) or (
            limit is not None and limit.expired()
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
        if self.owner.ended is not None:
            raise _EndedError
        if not self.admission.is_valid:
            self.is_late = True
            raise _TooLateError
        known = self.pool.connection(connection.protocol)
        if not self._is_usable(known):
            raise _DeadConnectionError
        known.is_ours = self.sent = True
        self._memory = known.memory
        self._memory.beginning = b""
        if self.limit is not None:
            total = self.limits.timeouts.total
            now = asyncio.get_running_loop().time()
            self.limit.reschedule(None if total is None else now + total)

    def _is_usable(self, known: _Connection) -> bool:
        if known.is_ours:
            return known.is_trusted and not known.poll(0)
        if not self.pool.is_shared or self._dead_strangers >= _MOST_DEAD_STRANGERS:
            return True
        # In a given session it may be new, or have been used by somebody else. A server that
        # hangs up on everybody must not be connected to for ever.
        is_dead = bool(known.poll(0))
        self._dead_strangers += is_dead
        return not is_dead


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
