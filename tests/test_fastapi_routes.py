"""Which routes run in a thread: those that a cancelled request must not take their things from."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING or pytest.importorskip("starlette"):
    from lucca_training_async.integrations._disconnect import (
        _is_in_a_thread,  # pyright: ignore[reportPrivateUsage]
    )


class Routes:
    def plain(self) -> None: ...

    async def awaited(self) -> None: ...

    def __call__(self) -> None: ...


class Awaited:
    async def __call__(self) -> None: ...


def plain() -> None: ...


async def awaited() -> None: ...


async def streamed() -> AsyncIterator[int]:
    yield 1


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    return call


@pytest.mark.parametrize(
    ("endpoint", "is_in_a_thread"),
    [
        (plain, True),
        (Routes().plain, True),
        (Routes(), True),
        (functools.partial(plain), True),
        (functools.partial(functools.partial(Routes().plain)), True),
        (wrapped(plain), True),
        (awaited, False),
        (Routes().awaited, False),
        (Awaited(), False),
        (functools.partial(awaited), False),
        (wrapped(awaited), False),
        (streamed, False),
        (Routes, False),  # Starlette's endpoints, whose methods are looked up later
        (None, False),
    ],
)
def test_a_route_is_in_a_thread_as_fastapi_sees_it(endpoint: object, is_in_a_thread: bool) -> None:
    assert _is_in_a_thread(endpoint) is is_in_a_thread
