"""A home in `FastAPI <https://fastapi.tiangolo.com>`_; needs the extra ``fastapi``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, TypeAlias, TypedDict

from fastapi import Depends, FastAPI
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection

from ..client import LuccaTrainingClient
from ..errors import UsageError
from ._disconnect import CancelOnDisconnect, cancel_on_disconnect
from ._exact_numbers import ExactNumbers
from ._problem_details import HANDLERS

__all__ = [
    "LuccaClient",
    "LuccaState",
    "get_lucca_client",
    "install_error_handlers",
    "lucca_lifespan",
]

_STATE = "lucca"


class LuccaState(TypedDict):
    """What the lifespan adds to the state of each request: ``request.state.lucca``.

    Attributes:
        lucca: The client.
    """

    lucca: LuccaTrainingClient


def lucca_lifespan(
    make_client: Callable[[], LuccaTrainingClient] | None = None,
    lifespan: Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]] | None = None,
) -> Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]:
    """A lifespan with one client in it, which is closed at its end.

    Args:
        make_client: Called at the start, in each worker process; None takes
            :meth:`LuccaTrainingClient.from_env <lucca_training_async.LuccaTrainingClient>`.
        lifespan: Another lifespan, which runs within: what it yields is kept, and the client
            is open until it has ended.

    Raises:
        ConfigurationError: At the start: a setting can't work.
        UsageError: At the start: ``lifespan`` yields a ``lucca`` of its own.
    """

    @asynccontextmanager
    async def with_client(app: Any) -> AsyncGenerator[Mapping[str, Any], None]:
        async with (make_client or LuccaTrainingClient.from_env)() as client:
            mine = LuccaState(lucca=client)
            if lifespan is None:
                yield mine
                return
            async with lifespan(app) as state:
                if state is not None and _STATE in state:
                    raise UsageError(f"the lifespan yields a {_STATE!r} of its own")
                yield {**(state or {}), **mine}

    return with_client


async def get_lucca_client(connection: HTTPConnection) -> LuccaTrainingClient:
    """The client of the lifespan, for a route of HTTP or WebSocket; tests override it.

    If :func:`install_error_handlers` was called, a route of HTTP that asks for it is cancelled
    when its client has gone.

    Raises:
        UsageError: The application has no :func:`lucca_lifespan`, or it was not started.
    """
    client = getattr(connection.state, _STATE, None)
    if not isinstance(client, LuccaTrainingClient):
        raise UsageError(
            "there is no client: make the application with FastAPI(lifespan=lucca_lifespan()), "
            "and start it (with TestClient(app) as web: ...)"
        )
    cancel_on_disconnect(connection)
    return client


LuccaClient: TypeAlias = Annotated[LuccaTrainingClient, Depends(get_lucca_client)]
"""The client, as a parameter of a route."""


def install_error_handlers(app: FastAPI) -> None:
    """Let routes of this application raise what the client raises, and return its records.

    Call it before the application starts; handlers of the application's own are kept.

    - An error becomes ``application/problem+json`` (RFC 9457) with the status that it comes to,
      ``Retry-After`` where waiting helps, and nothing of what Lucca wrote. It is logged.
      :class:`~lucca_training_async.ConfigurationError` and
      :class:`~lucca_training_async.UsageError` are left alone: they are faults of the program.
    - The hours of records that a route returns are JSON numbers with all their digits.
    - A request that has asked for the client is cancelled when its own client has gone.

    Raises:
        UsageError: The application has started.
    """
    if app.middleware_stack is not None:
        raise UsageError("call install_error_handlers before the application starts")
    for kind, handler in HANDLERS.items():
        app.exception_handlers.setdefault(kind, handler)
    # The innermost of all, also of those that are added later: none has touched the body yet.
    app.user_middleware += [Middleware(CancelOnDisconnect), Middleware(ExactNumbers)]
