"""What a browser is told when a call of Lucca's fails: our words alone, as RFC 9457 has it."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Iterator
from http import HTTPStatus
from typing import Annotated, Any, cast

import attrs
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field, TypeAdapter, ValidationError
from starlette.requests import HTTPConnection

from ..errors import (
    ClientClosedError,
    DecodeError,
    InvalidIdError,
    NotFoundError,
    OutageError,
    RateLimitedError,
    RequestError,
    SharedBudgetError,
)
from ..models import MAX_ID

logger = logging.getLogger("lucca_training_async")

# A period of Lucca's budget: after it, all that is taken now is free again.
_RETRY_AFTER = 60
# WebSocket close codes (RFC 6455 and its registry): internal error, try again later.
_INTERNAL_ERROR, _TRY_AGAIN_LATER = 1011, 1013

_an_id = TypeAdapter(Annotated[int, Field(ge=1, le=MAX_ID)])


@attrs.frozen
class Problem:
    """What is answered.

    Attributes:
        status: The status code.
        detail: Our own words; nothing of the error's.
        retry_after: Whole seconds after which it is worth trying again, or None.
    """

    status: HTTPStatus
    detail: str
    retry_after: int | None = None

    def response(self) -> Response:
        body = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        headers = None if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return JSONResponse(body, self.status, headers, "application/problem+json")


def problem_of(error: Exception) -> Problem:
    """What an error comes to, for somebody who did nothing wrong but for the id."""
    seconds: float | None = getattr(error, "retry_after", None)
    match error:
        case NotFoundError():
            return Problem(HTTPStatus.NOT_FOUND, "There is no such record.")
        case RateLimitedError():
            return _unavailable("Too many requests are made of Lucca just now.", seconds)
        case OutageError():
            return _unavailable("Lucca does not answer just now.", seconds)
        case DecodeError():
            return Problem(HTTPStatus.BAD_GATEWAY, "Lucca's answer can't be used.")
        case RequestError(transient=True):
            return _unavailable("Lucca can't be reached just now.", seconds)
        case RequestError():
            return Problem(HTTPStatus.BAD_GATEWAY, "Lucca refuses what is asked.")
        case SharedBudgetError():
            return _unavailable("Nothing can be asked of Lucca just now.")
        case ClientClosedError():
            return _unavailable("This server is shutting down.")
        case _:
            return _unavailable("It took too long.")


def _unavailable(detail: str, seconds: float | None = None) -> Problem:
    is_told = seconds is not None and math.isfinite(seconds)
    wait = max(1, math.ceil(seconds)) if is_told and seconds is not None else _RETRY_AFTER
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, wait)


async def answer(connection: HTTPConnection, error: Exception) -> Response | None:
    """The handler of all errors that are not the id's."""
    problem = problem_of(error)
    _log(connection, problem, error)
    if isinstance(connection, WebSocket):
        is_for_now = problem.retry_after is not None
        code = _TRY_AGAIN_LATER if is_for_now else _INTERNAL_ERROR
        await connection.close(code, problem.detail)
        return None
    return problem.response()


def _log(connection: HTTPConnection, problem: Problem, error: Exception) -> None:
    """Once, for those who run the server; the errors are without the key."""
    if problem.status is HTTPStatus.NOT_FOUND:
        return
    passes = problem.retry_after is not None
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    logger.log(
        logging.WARNING if passes else logging.ERROR,
        "%r is answered with %d: %s",
        connection.scope.get("path"),
        problem.status,
        told,
    )


async def answer_group(connection: HTTPConnection, group: Exception) -> Response | None:
    """As the error in it that is the hardest to mend; of others' errors too: not at all."""
    errors = list(_leaves(group))
    if not all(isinstance(error, tuple(HANDLERS)) for error in errors):
        raise group
    requests = [error for error in errors if not isinstance(error, InvalidIdError)]
    if not requests:
        return await answer_invalid_id(connection, errors[0])
    return await answer(connection, max(requests, key=_hardness))


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for each in cast("ExceptionGroup[Exception]", error).exceptions:
            yield from _leaves(each)
    else:
        yield error


def _hardness(error: Exception) -> tuple[bool, int]:
    problem = problem_of(error)
    return problem.status is HTTPStatus.BAD_GATEWAY, problem.retry_after or 0


async def answer_invalid_id(connection: HTTPConnection, error: Exception) -> Response | None:
    """As FastAPI answers a parameter that is out of its range, whoever has said how."""
    refusal = RequestValidationError(_faults(connection))
    if isinstance(connection, WebSocket):
        await connection.close(_INTERNAL_ERROR, "An id is out of its range.")
        return None
    request = cast(Request, connection)
    handlers: dict[Any, Any] = cast(FastAPI, request.app).exception_handlers
    handler = handlers.get(RequestValidationError, request_validation_exception_handler)
    response = handler(request, refusal)
    return cast(Response, await response if isinstance(response, Awaitable) else response)


def _faults(connection: HTTPConnection) -> list[Any]:
    """Of the first parameter that is a number, and none that an id could be."""
    parameters = [
        *(("path", name, value) for name, value in connection.path_params.items()),
        *(("query", name, value) for name, value in connection.query_params.multi_items()),
    ]
    for place, name, value in parameters:
        for fault in _faults_of(value):
            if fault["type"] in ("greater_than_equal", "less_than_equal"):
                return [{**fault, "loc": (place, name)}]
    told = f"Input should be an id, an integer from 1 to {MAX_ID}"
    return [{"type": "value_error", "loc": (), "msg": told, "input": None}]


def _faults_of(value: object) -> list[Any]:
    try:
        _an_id.validate_python(value)
    except ValidationError as error:
        return list(error.errors(include_url=False))
    return []


# Each is a handler to Starlette, whose own types differ from version to version.
HANDLERS: dict[type[Exception], Any] = {
    InvalidIdError: answer_invalid_id,
    RequestError: answer,
    SharedBudgetError: answer,
    ClientClosedError: answer,
    # That of asyncio.timeout().
    TimeoutError: answer,
    # That of BulkResult.raise_for_failures().
    ExceptionGroup: answer_group,
}
