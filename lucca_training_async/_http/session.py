"""The aiohttp session: made lazily or borrowed, bound to one event loop, closed once.

With ``pool`` and ``trouble`` the only module that knows aiohttp's client. What aiohttp raises
becomes one of our errors outside of the ``except`` block, so that no aiohttp exception (they
carry the request's headers) is ever chained to ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import aiohttp
from yarl import URL

from .._budget import Admission, Owner, is_being_cancelled
from .._version import __version__
from ..errors import ClientClosedError, LuccaConnectionError, LuccaTimeoutError, UsageError
from ..settings import Settings, Timeouts
from .answers import Reply, is_success
from .body import BodyTooLargeError, UndecodableError, most_of, read_body
from .head import RememberingConnector, head_of
from .pool import NOBODY, CheckedRequest, Dispatch, Limits, Pool, broken, on_its_way
from .trouble import Trouble, trouble, unused_proxy

USER_AGENT = f"lucca-training-async/{__version__} aiohttp/{aiohttp.__version__}"
_BODILESS = (204, 205, 304)
_LONGEST_EXPLANATION = 2.0
_HEADERS = {
    "Accept": "application/json",
    # The cap on a body is one on what is decoded; without a decoder the two are the same.
    "Accept-Encoding": "identity",
    "User-Agent": USER_AGENT,
}


class NotSentError(Exception):
    """It was kept back: for want of a connection, as too late, or because its owner has ended."""


class Session:
    """Sends one request over the aiohttp session and reads the answer to its end."""

    def __init__(self, settings: Settings) -> None:
        self.max_concurrency: int = settings.max_concurrency
        self._settings = settings
        self._api_key = settings.api_key
        self._given = settings.session
        # Our own session has them as its own, which spares aiohttp to merge them.
        self._headers = None if settings.session is None else _HEADERS
        self._middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = ()
        self._pool: Pool | None = None
        self._pools: set[Pool] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        if settings.session is not None:
            self._adopt(settings.session)

    def _adopt(self, session: aiohttp.ClientSession) -> None:
        limits = (
            [session.connector.limit, session.connector.limit_per_host] if session.connector else []
        )
        self.max_concurrency = min([self.max_concurrency, *filter(None, limits)])
        # Middlewares given with a request replace the session's own; aiohttp has no public
        # way to read them back.
        self._middlewares = tuple(getattr(session, "_middlewares", ()))
        self._pool = Pool(session, is_shared=True)

    def bind(self) -> asyncio.AbstractEventLoop:
        """The running loop, which must be the one that the client was first used in.

        Raises:
            ClientClosedError: The client is closed.
            UsageError: The given session is closed, or one of them belongs to another loop.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop and not self._closed:
            self._first_use(loop)
        self.check_open()
        return loop

    def check_open(self) -> None:
        """Raise if the client (ClientClosedError) or the given session (UsageError) is closed."""
        if self._closed:
            raise ClientClosedError("this client is closed")
        if self._given is not None and self._given.closed:
            raise UsageError("the aiohttp session given to this client is closed")

    def _first_use(self, loop: asyncio.AbstractEventLoop) -> None:
        # ClientSession.loop is deprecated, and there is no other way to learn this before
        # aiohttp fails in the middle of a request.
        home = self._loop or getattr(self._given, "_loop", None)
        if home is not None and home is not loop:
            raise UsageError(
                "this client belongs to another event loop: "
                "make one client per loop, inside the loop that uses it"
            )
        self._loop = loop

    # -- one request

    def limits(self, timeouts: Timeouts) -> Limits:
        """The limits of a request over this session; to be made once, not for every request."""
        return Limits.of(timeouts, is_given=self._given is not None)

    def dispatch(self, limits: Limits, owner: Owner, admission: Admission) -> Dispatch:
        """For one request, of which it tells how far it has got."""
        pool = self._pool = self._pool or self._new_pool()
        return Dispatch(pool, self._api_key, limits, owner, admission)

    async def get(self, url: URL, dispatch: Dispatch, *, attempt: int) -> Reply:
        """Send one GET.

        Raises:
            LuccaConnectionError: No complete answer came.
            NotSentError: It was kept back.
        """
        pool, limits = dispatch.pool, dispatch.limits
        pool.in_use += 1
        token = on_its_way.set(dispatch)
        try:
            return await self._exchange(dispatch, url)
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            # aiohttp cancels its own waits (for a host name, for
            # a connection) when its session is closed.
            met = Trouble("the session was closed")
        except Exception as error:
            if dispatch.was_kept_back(error):
                raise NotSentError from None
            met = trouble(broken(error), limits.timeouts, self._api_key)
        finally:
            on_its_way.reset(token)
            # A timer of aiohttp's may keep the context that it was made in.
            dispatch.owner = NOBODY
            pool.in_use -= 1
            if pool.is_retired:
                self._close_if_unused(pool)
        if dispatch.sent and met.transient:
            # Others of its age may have died in the same silence.
            self.retire(pool)
        raise self._error(met, dispatch, url, attempt)

    async def _exchange(self, dispatch: Dispatch, url: URL) -> Reply:
        try:
            response = await (
                self._responding(dispatch, url)
                if self._given is None
                else self._head(dispatch, url)
            )
        except aiohttp.ClientResponseError:
            head = head_of(dispatch.beginning)
            if head is None or is_success(head[0]):
                raise
            return Reply(*head, b"", url, is_whole=False, pool=dispatch.pool)
        headers = response.headers
        reply = Reply(response.status, headers, b"", url, pool=dispatch.pool)
        try:
            size = headers.get("Content-Length")
            if (
                self._given is None
                and size is not None
                and int(size) <= self._settings.max_body_bytes
                and is_success(reply.status)
                and "Content-Encoding" not in headers
            ):
                reply.body = await response.read()
                return reply
            reply.is_framed = size is not None or _is_chunked(response) or reply.status in _BODILESS
            until = None if dispatch.limit is None else dispatch.limit.when()
            await self._read(reply, response, until)
        except BaseException:
            response.close()
            raise
        # If the body was read to its end, the connection is back in its pool already.
        response.close()
        return reply

    async def _head(self, dispatch: Dispatch, url: URL) -> aiohttp.ClientResponse:
        # Others use its connections too; waiting for one is no part of the attempt.
        dispatch.owner.other_waits.add(dispatch.end_wait)
        try:
            async with asyncio.timeout(dispatch.limits.timeouts.pool) as dispatch.limit:
                return await self._responding(dispatch, url)
        finally:
            dispatch.owner.other_waits.discard(dispatch.end_wait)

    def _responding(self, dispatch: Dispatch, url: URL) -> Awaitable[aiohttp.ClientResponse]:
        return dispatch.pool.session.get(
            url,
            headers=self._headers,
            timeout=dispatch.limits.for_aiohttp,
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            middlewares=(*self._middlewares, dispatch.send),
        )

    async def _read(
        self, reply: Reply, response: aiohttp.ClientResponse, until: float | None
    ) -> None:
        """Read what may be of any size, encoded, or but an explanation."""
        if reply.status == 101:
            return  # it speaks another protocol from here on
        body = bytearray()
        most = most_of(reply.status, self._settings)
        if not is_success(reply.status):
            # It closes the gate or ends a run: that must not wait for an explanation.
            soon = asyncio.get_running_loop().time() + _LONGEST_EXPLANATION
            until = soon if until is None else min(until, soon)
        try:
            async with asyncio.timeout_at(until):
                await read_body(response.content, _encodings(response), most, body)
        except BodyTooLargeError as error:
            reply.cut_at = error.most
        except (aiohttp.ClientError, OSError, UndecodableError):
            # Status and headers count; the body only explains.
            if is_success(reply.status):
                raise
            reply.is_whole = False
        reply.body = bytes(body)

    def _error(
        self, met: Trouble, dispatch: Dispatch, url: URL, attempt: int
    ) -> LuccaConnectionError:
        told = met.told
        if (proxy := unused_proxy(url)) and self._given is None and not self._settings.trust_env:
            told += f"; {proxy} is set and not used: pass trust_env=True if it should be"
        kind = LuccaTimeoutError if met.timed_out else LuccaConnectionError
        return kind(
            f"no answer: {told} [{url}]",
            url=str(url),
            attempts=attempt,
            transient=met.transient,
            sent=dispatch.sent,
        )

    # -- pools of connections

    def _new_pool(self) -> Pool:
        pool = Pool(
            aiohttp.ClientSession(
                connector=RememberingConnector(limit=self.max_concurrency),
                cookie_jar=aiohttp.DummyCookieJar(),
                request_class=CheckedRequest,
                headers=_HEADERS,
                trust_env=self._settings.trust_env,
            )
        )
        self._pools.add(pool)
        return pool

    def retire(self, pool: object) -> None:
        """Send nothing more over the connections that there are.

        Our own are closed when the last request over them is done. Those of a given session
        are closed, one by one, when it offers them to us.
        """
        if not isinstance(pool, Pool) or pool is not self._pool:
            return
        if pool.is_shared:
            pool.distrust()
        else:
            self._pool = None
            pool.is_retired = True
            self._close_if_unused(pool)

    def _close_if_unused(self, pool: Pool) -> None:
        if not pool.in_use and pool in self._pools:
            self._pools.discard(pool)
            task = asyncio.get_running_loop().create_task(pool.session.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    # -- its end

    @property
    def closed(self) -> bool:
        return self._closed

    def mark_closed(self) -> bool:
        """Let nothing more be sent; whether this is the client's own loop.

        A client whose loop has been closed may be closed in any other.

        Raises:
            UsageError: The client's own loop still lives, and is another one.
        """
        home = self._loop
        at_home = home is None or home is asyncio.get_running_loop()
        if home is not None and not at_home and not home.is_closed():
            raise UsageError("close the client in the event loop that used it")
        self._closed = True
        return at_home

    async def aclose(self) -> None:
        """Close the aiohttp sessions that are ours, those with requests under way included."""
        pools, self._pools = self._pools, set()
        for pool in pools:
            await pool.session.close()
        loop = asyncio.get_running_loop()
        if closing := [task for task in self._closing if task.get_loop() is loop]:
            await asyncio.wait(closing)


def _encodings(response: aiohttp.ClientResponse) -> list[str]:
    named = ",".join(response.headers.getall("Content-Encoding", ()))
    return [
        name for part in named.lower().split(",") if (name := part.strip()) not in ("", "identity")
    ]


def _is_chunked(response: aiohttp.ClientResponse) -> bool:
    return "chunked" in response.headers.get("Transfer-Encoding", "").lower()
