"""The aiohttp session: made lazily or borrowed, bound to one event loop, closed once.

With ``pool`` and ``trouble`` the only module that knows aiohttp's client. What aiohttp raises
becomes one of our errors outside of the ``except`` block, so that no aiohttp exception (they
carry the request's headers) is ever chained to ours.
"""

from __future__ import annotations

import asyncio

import aiohttp
from yarl import URL

from .._version import __version__
from ..errors import ClientClosedError, LuccaConnectionError, LuccaTimeoutError, UsageError
from ..settings import Settings, Timeouts
from .answers import Reply, is_success
from .body import BodyTooLargeError, UndecodableError, most_of, read_body
from .pool import Dispatch, Pool, broken
from .trouble import Trouble, trouble, unused_proxy

USER_AGENT = f"lucca-training-async/{__version__} aiohttp/{aiohttp.__version__}"
_HEADERS = {
    "Accept": "application/json",
    # The cap on a body is one on what is decoded; without a decoder the two are the same.
    "Accept-Encoding": "identity",
    "User-Agent": USER_AGENT,
}


class NoConnectionError(Exception):
    """The pool of a given session had no free connection in time; nothing was sent."""


class Session:
    """Sends one request over the aiohttp session and reads the answer to its end."""

    def __init__(self, settings: Settings) -> None:
        self.max_concurrency: int = settings.max_concurrency
        self._settings = settings
        self._api_key = settings.api_key
        self._given = settings.session
        self._middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = ()
        self._pool: Pool | None = None
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
        self._pool = Pool(session)

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

    async def get(self, url: URL, timeouts: Timeouts, *, attempt: int) -> Reply:
        """Send one GET.

        Raises:
            LuccaConnectionError: No complete answer came.
            NoConnectionError: A given session had no connection to send it over.
        """
        pool = self._pool = self._pool or self._new_pool()
        dispatch = Dispatch(pool, self._api_key, timeouts, is_given=self._given is not None)
        pool.in_use += 1
        try:
            reply = await self._get(pool, dispatch, url, timeouts)
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            # aiohttp cancels its own waits (for a host name, for
            # a connection) when its session is closed.
            met = Trouble("the session was closed", unreached=not dispatch.sent)
        except Exception as error:
            if dispatch.is_given and not dispatch.sent and dispatch.ran_out(error):
                raise NoConnectionError from None
            met = trouble(broken(error), timeouts, self._api_key)
        else:
            reply.pool = pool
            return reply
        finally:
            pool.in_use -= 1
            self._close_if_retired(pool)
        if dispatch.sent and met.transient:
            # Others of its age may have died in the same silence.
            self.retire(pool)
        raise self._error(met, dispatch, url, attempt)

    async def _get(self, pool: Pool, dispatch: Dispatch, url: URL, timeouts: Timeouts) -> Reply:
        response: aiohttp.ClientResponse | None = None
        body = bytearray()
        try:
            async with asyncio.timeout(dispatch.first_limit) as dispatch.limit:
                response = await pool.session.get(
                    url,
                    headers=_HEADERS,
                    timeout=dispatch.timeout,
                    allow_redirects=False,
                    raise_for_status=False,
                    auto_decompress=False,
                    middlewares=(*self._middlewares, dispatch.send),
                )
                reply = Reply(response.status, response.headers, b"", url)
                if response.status == 101:
                    return reply  # it speaks another protocol from here on
                encodings = _encodings(response)
                most = most_of(response.status, self._settings)
                await read_body(response.content, encodings, most, body)
        except (aiohttp.ClientError, OSError, UndecodableError):
            # Status and headers count; the body only explains.
            if response is None or is_success(response.status):
                raise
            reply = Reply(response.status, response.headers, bytes(body), url, is_whole=False)
        except BodyTooLargeError as error:
            assert response is not None
            reply = Reply(response.status, response.headers, error.beginning, url)
            reply.cut_at = error.most
        else:
            reply.body = bytes(body)
            reply.is_framed = response.content_length is not None or _is_chunked(response)
        finally:
            # Gives the connection back if the body was read to its end, else closes it.
            if response is not None:
                response.close()
        return reply

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
            sent=dispatch.sent and not met.unreached,
        )

    # -- pools of connections

    def _new_pool(self) -> Pool:
        return Pool(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.max_concurrency),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=self._settings.trust_env,
            )
        )

    def retire(self, pool: object) -> None:
        """Use these connections no more; those of a given session are its owner's.

        They are closed when the last request over them is done.
        """
        if self._given is None and pool is self._pool and self._pool is not None:
            retired, self._pool = self._pool, None
            retired.is_retired = True
            self._close_if_retired(retired)

    def _close_if_retired(self, pool: Pool) -> None:
        if pool.is_retired and not pool.in_use and not pool.session.closed:
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
        """Close the aiohttp session if it is ours."""
        if self._given is None and self._pool is not None:
            await self._pool.session.close()
        if self._closing:
            await asyncio.wait(self._closing)


def _encodings(response: aiohttp.ClientResponse) -> list[str]:
    named = ",".join(response.headers.getall("Content-Encoding", ()))
    return [
        name for part in named.lower().split(",") if (name := part.strip()) not in ("", "identity")
    ]


def _is_chunked(response: aiohttp.ClientResponse) -> bool:
    return "chunked" in response.headers.get("Transfer-Encoding", "").lower()


def _is_being_cancelled() -> bool:
    """Whether a CancelledError is meant for this task, not for something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
