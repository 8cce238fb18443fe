"""The caller's own functions: plain ones, since nobody would await what an async one gives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import (
    isasyncgen,
    isasyncgenfunction,
    isawaitable,
    isclass,
    iscoroutine,
    iscoroutinefunction,
    isroutine,
)
from typing import Any, cast


def fault_of_function(name: str, function: object) -> str | None:
    """Why this can't be called as a plain function, or None if it is one, or None."""
    if function is None:
        return None
    function = _innermost(function)
    call: object = getattr(type(function), "__call__", None)  # noqa: B004  # it is looked at
    if not callable(function):
        return f"{name} must be a plain function, not {type(function).__name__}"
    if _is_async(function) or _is_async(call):
        return f"{name} must be a plain function, not an async one"
    return None


def check_plain_function(name: str, function: object) -> None:
    """Refuse what would give a coroutine that nobody awaits.

    Raises:
        TypeError: ``function`` is not None, and no plain function.
    """
    if fault := fault_of_function(name, function):
        raise TypeError(fault)


def name_of(function: object) -> str:
    """What it is called where it is written; its own repr may tell what is bound to it."""
    function = _innermost(function)
    named = function if isroutine(function) or isclass(function) else type(function)
    return "None" if function is None else f"{named.__module__}.{named.__qualname__}"


def _innermost(function: object) -> object:
    while isinstance(function, functools.partial):
        function = cast("functools.partial[object]", function).func
    return function


def _is_async(function: object) -> bool:
    return iscoroutinefunction(function) or isasyncgenfunction(function)


def call_plain(name: str, function: Callable[[Any], object], argument: object) -> None:
    """Call it, and refuse what no look at it beforehand has shown to be async."""
    result = function(argument)
    if isawaitable(result) or isasyncgen(result):
        if iscoroutine(result):
            result.close()
        raise TypeError(f"{name} must be a plain function; this one gave {type(result).__name__}")
