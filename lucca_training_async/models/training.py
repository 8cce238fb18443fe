"""A training: a course in the catalogue."""

# No ``from __future__ import annotations``: public classes carry the package as their
# ``__module__``, where names in annotations kept as text could not be looked up.

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from ._converter import register, register_open_enum
from ._record import Record
from .realized_training import TrainingLevel


class TrainingState(StrEnum):
    """The states that Lucca documents today; an archived training gets no new sessions."""

    READY = "Ready"
    ARCHIVED = "Archived"


class TrainingType(StrEnum):
    """The types that Lucca documents today: by who holds the training."""

    EXTERNAL = "External"
    INTERNAL = "Internal"


@attrs.frozen(kw_only=True)
class TrainingProvider:
    """Who holds trainings.

    Attributes:
        id: Its id.
        name: Its name.
        website_href: Its web page, where a training tells of it.
        url: The same, where a demand does.
    """

    id: int | None = None
    name: str | None = None
    website_href: str | None = None
    url: str | None = None


@attrs.frozen(kw_only=True)
class TrainingCategory:
    """What a training is about.

    Attributes:
        id: Its id.
        name: Its name.
        t9n: Its translations, as Lucca gives them: by member and language.
    """

    id: int | None = None
    name: str | None = None
    t9n: Mapping[str, Any] | None = attrs.field(default=None, hash=False)


@attrs.frozen(kw_only=True)
class Training(Record):
    """One course of the catalogue; an immutable attrs class.

    Source: Lucca's developer documentation, "List trainings" (v1).

    Attributes:
        id: Its id.
        state: A :class:`TrainingState`, or the plain string of a state added since.
        type: A :class:`TrainingType`, or the plain string of a type added since.
        title: Its title.
        subtitle: A short summary.
        description: What it is about.
        provider: Who holds it.
        level: A :class:`TrainingLevel`, or the plain string of a level added since.
        is_certifying: Whether it is accredited.
        is_mandatory: Whether the law asks for it.
        category: Its category.
    """

    id: int
    state: TrainingState | str | None = None
    type: TrainingType | str | None = None
    title: str | None = None
    subtitle: str | None = None
    description: str | None = None
    provider: TrainingProvider | None = None
    level: TrainingLevel | str | None = None
    is_certifying: bool | None = None
    is_mandatory: bool | None = None
    category: TrainingCategory | None = None


register_open_enum(TrainingState)
register_open_enum(TrainingType)
register(TrainingProvider, TrainingCategory, Training)
