"""Records as JSON text, odd ones too: what users give may be no JSON that Lucca would write."""

from __future__ import annotations

import json
import re

from ..models import dumps


def render(value: object) -> str:
    """The JSON text of a value; a Decimal is the number that it is.

    Raises:
        TypeError: It holds what JSON can't tell.
    """
    try:
        text = json.dumps(value, ensure_ascii=False)
    except TypeError:
        # Python knows no way to write a Decimal; most records have none.
        return dumps(value, allow_nan=True)
    # Half of a character, which JSON can escape and UTF-8 can't hold.
    return json.dumps(value) if re.search("[\ud800-\udfff]", text) else text
