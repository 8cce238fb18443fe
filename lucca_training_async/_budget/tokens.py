"""The names of slots, which tell whose they are and for whom."""

from __future__ import annotations

from ..ledger import Lane

_BULK = "bulk-"


def token_of(client: str, number: int, lane: Lane) -> str:
    """The name of a slot, which tells whose it is and for whom."""
    return f"{client}:{'' if lane is Lane.INTERACTIVE else _BULK}{number}"


def is_bulk(token: str) -> bool:
    """Whether it is the name of a bulk request's slot."""
    return token.rpartition(":")[2].startswith(_BULK)
