"""The caller's own functions: plain ones, since nobody would await what an async one gives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import isasyncgen, isasyncgenfunction, isawaitable, iscoroutine, iscoroutinefunction
from typing import Any, cast


def check_plain_function(name: str, function: object) -> None:
    """Refuse what would give a coroutine that nobody awaits.

    Raises:
        TypeError: ``function`` is not None, and no plain function.
    """
    if function is None:
        return
    while isinstance(function, functools.partial):
        function = cast("functools.partial[object]", function).func
    call: object = getattr(type(function), "__call__", None)  # noqa: B004  # it is looked at
    if not callable(function):
        raise TypeError(f"{name} must be a plain function, not {type(function).__name__}")
    if _is_async(function) or _is_async(call):
        raise TypeError(f"{name} must be a plain function, not an async one")


def _is_async(function: object) -> bool:
    return iscoroutinefunction(function) or isasyncgenfunction(function)


def call_plain(name: str, function: Callable[[Any], object], argument: object) -> None:
    """Call it, and refuse what no look at it beforehand has shown to be async."""
    result = function(argument)
    if isawaitable(result) or isasyncgen(result):
        if iscoroutine(result):
            result.close()
        raise TypeError(f"{name} must be a plain function; this one gave {type(result).__name__}")
