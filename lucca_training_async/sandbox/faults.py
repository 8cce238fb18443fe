"""What can go wrong with one request, on demand."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Self

import attrs
from aiohttp import web


def problem(
    status: int,
    detail: str,
    *,
    errors: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error answer as Lucca writes it: Problem Details (RFC 9457)."""
    body = {
        "type": f"https://httpstatuses.io/{status}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return web.Response(
        status=status,
        text=json.dumps(body | ({"errors": errors} if errors else {})),
        content_type="application/problem+json",
        headers=headers,
    )


@attrs.frozen
class Fault:
    """One request's misfortune: given the request and its normal answer, what is sent instead.

    Attributes:
        name: How reports call it.
        apply: Makes the answer, or breaks the connection.
    """

    name: str
    apply: Callable[[web.Request, web.Response], Awaitable[web.StreamResponse]]

    @classmethod
    def answer(
        cls,
        status: int = 200,
        body: str | bytes = b"",
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> Self:
        """Any answer at all."""
        data = body.encode() if isinstance(body, str) else body

        async def apply(_: web.Request, __: web.Response) -> web.StreamResponse:
            return web.Response(
                status=status, body=data, content_type=content_type, headers=headers
            )

        return cls(name or f"answer {status}", apply)

    @classmethod
    def error(
        cls, status: int, *, retry_after: float | str | None = None, detail: str = "injected"
    ) -> Self:
        """An error with Problem Details, and Retry-After if given (seconds or an HTTP-date)."""
        headers = {} if retry_after is None else {"Retry-After": _header(retry_after)}

        async def apply(_: web.Request, __: web.Response) -> web.StreamResponse:
            return problem(status, detail, headers=headers)

        return cls(f"error {status}", apply)

    @classmethod
    def too_many_requests(cls, retry_after: float | str | None = 1) -> Self:
        """429, as if another integration of the tenant had spent the budget."""
        return cls.error(429, retry_after=retry_after, detail="The budget is spent.")

    @classmethod
    def internal_error(cls) -> Self:
        """500."""
        return cls.error(500)

    @classmethod
    def unavailable(cls, retry_after: float | str | None = None) -> Self:
        """503."""
        return cls.error(503, retry_after=retry_after)

    @classmethod
    def slow(cls, seconds: float) -> Self:
        """The normal answer, late."""

        async def apply(_: web.Request, normal: web.Response) -> web.StreamResponse:
            await asyncio.sleep(seconds)
            return normal

        return cls(f"slow {seconds:g} s", apply)

    @classmethod
    def drop(cls) -> Self:
        """The connection breaks before the answer."""

        async def apply(request: web.Request, normal: web.Response) -> web.StreamResponse:
            _cut(request)
            return normal

        return cls("dropped connection", apply)

    @classmethod
    def truncate(cls) -> Self:
        """The connection breaks in the middle of the body."""

        async def apply(request: web.Request, normal: web.Response) -> web.StreamResponse:
            body = normal.body
            assert isinstance(body, bytes)
            partial = web.StreamResponse(
                status=normal.status, headers={"Content-Type": normal.content_type}
            )
            partial.content_length = len(body)
            await partial.prepare(request)
            await partial.write(body[: len(body) // 2])
            # Let the half body leave before the connection goes.
            await asyncio.sleep(0)
            _cut(request)
            return partial

        return cls("truncated body", apply)

    @classmethod
    def html(cls) -> Self:
        """200 with a page, as a captive portal or a maintenance screen gives."""
        return cls.answer(
            body="<!doctype html><title>Maintenance</title><p>Back soon.",
            content_type="text/html",
            name="HTML 200",
        )

    @classmethod
    def bad_json(cls) -> Self:
        """200 with a body that is almost JSON."""
        return cls.answer(body='{"id": 235, "ownerId": ', name="bad JSON")


def _header(retry_after: float | str) -> str:
    return retry_after if isinstance(retry_after, str) else f"{retry_after:g}"


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()
