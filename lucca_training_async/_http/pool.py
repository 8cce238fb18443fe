"""One aiohttp session's connections, and the last step before a request goes out over one.

aiohttp picks a connection and writes the request to it in one go. In between is where all
counts that we need: whether the connection still lives, whether the request has already
been sent once, and when its time begins. So the request's own ``send`` is wrapped.
"""

from __future__ import annotations

import asyncio
import select
import weakref
from typing import Any

import aiohttp
import attrs

from ..settings import ApiKey, Timeouts
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
    _used: weakref.WeakSet[Any] = attrs.field(factory=weakref.WeakSet[Any], init=False)

    def is_usable(self, connection: Any) -> bool:
        """Whether a request may be sent over this connection; from now on it has been used.

        A new one may be used whatever comes over it: or a server that hangs up on everybody
        would be connected to for ever.
        """
        protocol = connection.protocol
        if protocol in self._used:
            return _is_idle(connection.transport)
        self._used.add(protocol)
        return True


class _DeadConnectionError(aiohttp.ClientConnectionError):
    """The other side has closed this connection; nothing was written to it."""


class Dispatch:
    """One request on its last step.

    Args:
        pool: What it is sent over.
        key: What it is signed with.
        timeouts: Its limits.
        is_given: Whether the session is shared with others, so that it may have to wait for
            a connection, which is no part of the attempt.

    Attributes:
        sent: Whether it may have left.
        limit: Its time limit, while it runs.
        first_limit: Seconds until it has to be sent, or None.
        timeout: What is left to aiohttp.
    """

    def __init__(self, pool: Pool, key: ApiKey, timeouts: Timeouts, *, is_given: bool) -> None:
        self._pool = pool
        self._key = key
        self._timeouts = timeouts
        self.is_given = is_given
        self.sent = False
        self.limit: asyncio.Timeout | None = None
        self.first_limit = timeouts.pool if is_given else timeouts.total
        self.timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=timeouts.connect, sock_read=timeouts.read
        )

    def ran_out(self, error: Exception) -> bool:
        """Whether it was our limit that has ended it."""
        return isinstance(error, TimeoutError) and self.limit is not None and self.limit.expired()

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
        write = request.send

        async def send(connection: Any) -> aiohttp.ClientResponse:
            if self.sent:
                raise RefusedToSendError
            if not self._pool.is_usable(connection):
                raise _DeadConnectionError
            self.sent = True
            if self.is_given and self.limit is not None:
                total = self._timeouts.total
                now = asyncio.get_running_loop().time()
                self.limit.reschedule(None if total is None else now + total)
            return await write(connection)

        setattr(request, "send", send)  # noqa: B010  # a method, on this one request only
        while True:
            try:
                return await handler(request)
            except _DeadConnectionError:
                continue  # nothing was lost but a connection: take the next
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                raise _Broken(error) from None


class _Broken(aiohttp.ClientConnectionError):
    """A break that aiohttp must not see, or it would send the request again."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def broken(error: Exception) -> Exception:
    """The break itself."""
    return error.error if isinstance(error, _Broken) else error


def _is_idle(transport: Any) -> bool:
    """Whether nothing has come over a connection since its last answer.

    What can be read there is its end, or an answer that nobody has asked for: after either,
    no answer over it could be trusted.
    """
    if transport is None or transport.is_closing():
        return False
    socket = transport.get_extra_info("socket")
    number = -1 if socket is None else socket.fileno()
    if number < 0:
        return socket is None
    if not hasattr(select, "poll"):  # Windows
        return not select.select([number], [], [], 0)[0]
    polled = select.poll()
    polled.register(number, select.POLLIN)
    return not polled.poll(0)
