"""What an export asks for, as it is written down beside it, and what differs from another run's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import attrs

_OPTIONS = {
    "host": "--host",
    "owner": "--owner",
    "training": "--training",
    "attended": "--attended",
    "ended_from": "--ended-from",
    "ended_to": "--ended-to",
    "ids": "--ids",
    "update": "--update",
}


@attrs.frozen(kw_only=True)
class Question:
    """What is asked for: by the list and its filters, or by ids.

    Attributes:
        host: Whom.
        owner: Only of these employees; None for all.
        training: Only of these trainings; None for all.
        attended: Only (not) attended ones; None for both.
        ended_from: The first day; None for no bound.
        ended_to: The last day; None for no bound.
        ids: What the ids are told apart by; None where none are given.
        update: Whether the last complete export is brought up to date.
    """

    host: str
    owner: tuple[int, ...] | None = None
    training: tuple[int, ...] | None = None
    attended: bool | None = None
    ended_from: date | None = None
    ended_to: date | None = None
    ids: str | None = None
    update: bool = False

    @property
    def filters(self) -> dict[str, Any]:
        """The arguments of ``client.realized_trainings.list``."""
        return {
            "owner_ids": self.owner,
            "training_ids": self.training,
            "has_attended": self.attended,
            "ended_from": self.ended_from,
            "ended_to": self.ended_to,
        }

    @property
    def has_filters(self) -> bool:
        """Whether it asks for less than all there is."""
        return any(value is not None for value in self.filters.values())

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "host": self.host,
            "owner": None if self.owner is None else sorted(set(self.owner)),
            "training": None if self.training is None else sorted(set(self.training)),
            "attended": self.attended,
            "ended_from": None if self.ended_from is None else self.ended_from.isoformat(),
            "ended_to": None if self.ended_to is None else self.ended_to.isoformat(),
            "ids": self.ids,
            "update": self.update,
        }


def differences(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> list[str]:
    """The options by which two questions differ, both as JSON holds them."""
    return [option for name, option in _OPTIONS.items() if theirs.get(name) != mine.get(name)]
