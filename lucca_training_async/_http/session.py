"""The aiohttp session: made lazily or borrowed, bound to one event loop, closed once.

This is the only module that calls aiohttp's client. What aiohttp raises becomes one of our
errors outside of the ``except`` block, so that no aiohttp exception (they carry the
request's headers) is ever chained to ours.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version

import aiohttp
from yarl import URL

from ..errors import ClientClosedError, LuccaConnectionError, LuccaTimeoutError, UsageError
from ..settings import Settings, Timeouts
from .answers import Reply, quoted

USER_AGENT = f"lucca-training-async/{version('lucca-training-async')} aiohttp/{aiohttp.__version__}"


def client_timeout(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    """Our limits in aiohttp's terms."""
    return aiohttp.ClientTimeout(
        total=timeouts.total, sock_connect=timeouts.connect, sock_read=timeouts.read
    )


class Session:
    """Sends one request over the aiohttp session and reads the answer to its end."""

    def __init__(self, settings: Settings) -> None:
        self.max_concurrency: int = settings.max_concurrency
        self._api_key = settings.api_key
        self._session = settings.session
        self._owned = settings.session is None
        self._headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        self._middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = (self._send,)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        if settings.session is not None:
            self._adopt(settings.session)

    def _adopt(self, session: aiohttp.ClientSession) -> None:
        # Waiting for a connection of a smaller pool would count against the timeout.
        limits = (
            [session.connector.limit, session.connector.limit_per_host] if session.connector else []
        )
        self.max_concurrency = min([self.max_concurrency, *filter(None, limits)])
        # Middlewares given with a request replace the session's own; aiohttp has no public
        # way to read them back.
        self._middlewares = (*getattr(session, "_middlewares", ()), self._send)
        if not session.auto_decompress:
            self._headers["Accept-Encoding"] = "identity"

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
        if self._session is not None and self._session.closed:
            raise UsageError("the aiohttp session given to this client is closed")

    def _first_use(self, loop: asyncio.AbstractEventLoop) -> None:
        # ClientSession.loop is deprecated, and there is no other way to learn this before
        # aiohttp fails in the middle of a request.
        home = self._loop or getattr(self._session, "_loop", None)
        if home is not None and home is not loop:
            raise UsageError(
                "this client belongs to another event loop: "
                "make one client per loop, inside the loop that uses it"
            )
        self._loop = loop
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.max_concurrency),
                cookie_jar=aiohttp.DummyCookieJar(),
            )

    async def _send(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """The innermost middleware: sign the request, and let it be sent only once.

        Signing it here keeps the key out of the variables and traces of aiohttp, and beats
        whatever else a given session would authorize with (its ``auth``, a netrc file).

        aiohttp resends a GET by itself when a kept-alive connection breaks. Lucca would
        count two requests where the budget has one, so the break is reported and our own
        retry decides.
        """
        request.headers["Authorization"] = self._api_key.header()
        try:
            return await handler(request)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise aiohttp.ClientConnectionError(str(error) or type(error).__name__) from error

    async def get(self, url: URL, limits: aiohttp.ClientTimeout, *, attempt: int) -> Reply:
        """Send one GET.

        Raises:
            LuccaConnectionError: No complete answer came.
        """
        assert self._session is not None
        try:
            response = await self._session.get(
                url,
                headers=self._headers,
                timeout=limits,
                allow_redirects=False,
                raise_for_status=False,
                middlewares=self._middlewares,
            )
            # No ``async with``: read() gives the connection back at the end of the body, and
            # closes it if anything, a cancellation included, keeps it from getting there.
            return Reply(response.status, response.headers, await response.read(), url)
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            # aiohttp cancels its own waits (for a host name, for
            # a connection) when its session is closed.
            kind, transient, reason = LuccaConnectionError, True, self._told(error)
        except Exception as error:
            # Besides aiohttp's errors and the system's, a given session's middlewares may
            # raise anything: it is this request that has failed, and not the whole run.
            kind = LuccaTimeoutError if isinstance(error, TimeoutError) else LuccaConnectionError
            transient = _is_transient(error)
            reason = self._told(error)
        raise kind(
            f"no answer: {reason} [{url}]",
            url=str(url),
            attempts=attempt,
            transient=transient,
        )

    def _told(self, error: BaseException) -> str:
        text = str(error)
        name = type(error).__name__
        return quoted(f"{name}: {text}" if text else name, self._api_key)

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
        if self._owned and self._session is not None:
            await self._session.close()


def _is_being_cancelled() -> bool:
    """Whether a CancelledError is meant for this task, not for something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _is_transient(error: Exception) -> bool:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return False
    return isinstance(error, (aiohttp.ClientError, OSError))
