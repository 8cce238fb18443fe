"""The sandbox's realized trainings: the same id always gives the same record, at little cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from .catalogue import COURSES, training
from .demands import DEMANDS

# The example in Lucca's developer documentation.
DOCUMENTED_ID: Final = 235
_DOCUMENTED: dict[str, Any] = {
    "id": DOCUMENTED_ID,
    "ownerId": 416,
    "training": {
        "id": 45,
        "title": "Mastering French: From Basics to Fluency",
        "categoryId": 1,
        "providerUrl": "https://elan-francais.fr",
        "level": "Beginner",
    },
    "trainingDemandId": 4356,
    "sessionId": 12,
    "sessionStartsOn": "2025-01-04",
    "sessionEndsOn": "2025-01-04",
    "hasAttended": True,
    "durationInHours": 14,
}
_FIRST_DAY = date(2023, 1, 2)
_DAYS = [(_FIRST_DAY + timedelta(days=days)).isoformat() for days in range(1003)]
_OWNERS = 999
# Odd numbers whose bits are well mixed, one for each thing that is drawn: a million records must
# be filtered in a second, and a random generator for each would take ten.
_OWNER, _COURSE, _STARTS, _LASTS = 2654435761, 2246822519, 3266489917, 668265263
_ATTENDED, _HOURS, _DEMAND, _SESSION = 374761393, 2870177451, 3935559001, 4279128247


def _owner(id: int) -> int:
    return (id * _OWNER >> 9) % _OWNERS + 1


def _course(id: int) -> int:
    return (id * _COURSE >> 9) % COURSES + 1


def _starts(id: int) -> int:
    return (id * _STARTS >> 9) % 1000


def _ends(id: int) -> int:
    return (id * _STARTS >> 9) % 1000 + (id * _LASTS >> 9) % 3


def _attended(id: int) -> bool:
    return (id * _ATTENDED >> 9) % 20 != 0


def _hours(id: int) -> float:
    draw, kind = divmod(id * _HOURS >> 9, 3)
    # Hundredths as an int over 100: the shortest repr of the float is the exact decimal.
    return (7, 14, (25 + draw % 3475) / 100)[kind]


def realized_training(id: int) -> dict[str, Any]:
    """The record as Lucca would write it in JSON."""
    if id == DOCUMENTED_ID:
        return _DOCUMENTED
    course = training(_course(id))
    demand = (id * _DEMAND >> 9) % (2 * DEMANDS) + 1
    return {
        "id": id,
        "ownerId": _owner(id),
        "training": {
            "id": course["id"],
            "title": course["title"],
            "categoryId": course["category"]["id"],
            "providerUrl": course["provider"]["websiteHref"],
            "level": course["level"],
        },
        "trainingDemandId": demand if demand <= DEMANDS else None,
        "sessionId": (id * _SESSION >> 9) % 499 + 1,
        "sessionStartsOn": _DAYS[_starts(id)],
        "sessionEndsOn": _DAYS[_ends(id)],
        "hasAttended": _attended(id),
        "durationInHours": _hours(id),
    }


def matching(ids: Sequence[int], filters: Mapping[str, Any]) -> list[int]:
    """Those ids whose records pass the filters, without making the records.

    Not for the documented one, which follows no rule.
    """
    found = list(ids)
    if "ownerIds" in filters:
        owners: frozenset[int] = filters["ownerIds"]
        found = [key for key in found if _owner(key) in owners]
    if "trainingId" in filters:
        courses: frozenset[int] = filters["trainingId"]
        found = [key for key in found if _course(key) in courses]
    if "hasAttended" in filters:
        attended: bool = filters["hasAttended"]
        found = [key for key in found if _attended(key) is attended]
    if "sessionEndOnAfter" in filters:
        after = (filters["sessionEndOnAfter"] - _FIRST_DAY).days
        found = [key for key in found if _ends(key) > after]
    if "sessionEndOnBefore" in filters:
        before = (filters["sessionEndOnBefore"] - _FIRST_DAY).days
        found = [key for key in found if _ends(key) < before]
    return found
