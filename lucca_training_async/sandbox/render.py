"""Records as JSON text, odd ones too: what users give may be no JSON that Lucca would write."""

from __future__ import annotations

from ..models import dumps, plain_dumps


def render(value: object) -> str:
    """The JSON text of a value; a Decimal is the number that it is.

    Raises:
        TypeError: It holds what JSON can't tell.
    """
    try:
        return plain_dumps(value, allow_nan=True)
    except TypeError:
        # Python knows no way to write a Decimal; most records have none.
        return dumps(value, allow_nan=True)
