"""The sandbox's training demands: who asked for which course of the catalogue."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import Any, Final

from .catalogue import COURSES, training

DEMANDS: Final = 450
# The example in Lucca's developer documentation.
DOCUMENTED_DEMAND: Final = 410
_OWNER_OF_THE_EXAMPLE = 416
_NAMES = ["Ada", "Zoé", "Iñigo", "Jürgen", "Maëlle", "Noor", "Étienne"]
_SURNAMES = ["Dupont", "O'Neill", "Garcia", "Müller", "Le Gall"]
_STATES = [
    ("Requested", "PendingRegistration"),
    ("Registered", "Registered"),
    ("Realized", "Realized"),
    ("Invalid", "Refused"),
]
_PRIORITIES = ["Low", "High", "Medium"]
_FIRST_DAY = date(2023, 1, 1)


@cache
def training_demand(id: int) -> dict[str, Any]:
    """The demand as Lucca would write it in JSON; there is one for 1 to ``DEMANDS``."""
    documented = id == DOCUMENTED_DEMAND
    course = training(15 if documented else id * 7 % COURSES + 1)
    provider = course["provider"]
    state, status = _STATES[0 if documented else id % len(_STATES)]
    made = _FIRST_DAY + timedelta(days=0 if documented else id * 2)
    owner = _employee(_OWNER_OF_THE_EXAMPLE if documented else id * 3 % 999 + 1)
    demand: dict[str, Any] = {
        "id": id,
        "training": {"id": course["id"], "title": course["title"], "level": course["level"]},
        "provider": {
            "id": provider["id"],
            "name": provider["name"],
            "url": provider["websiteHref"],
        },
        "author": {key: owner[key] for key in ("id", "firstName", "lastName")} | {"type": "Owner"},
        "owner": owner,
        "plan": {"id": 2, "name": "2024 Plan", "startOn": "2024-01-01"},
        "createdAt": f"{made}T09:34:43.6529455+00:00",
        "session": None,
        "registeredOn": None,
        "prioritization": _priority(id, made),
        "state": state,
        "status": status,
    }
    if documented or state in ("Registered", "Realized"):
        starts = made + timedelta(days=60)
        demand["session"] = {
            "id": 169 if documented else id % 499 + 1,
            "startOn": starts.isoformat(),
            "endOn": (starts + timedelta(days=2)).isoformat(),
            # Hundredths as an int over 100: the shortest repr of the float is the exact decimal.
            "durationInHours": 21 if documented else (700 + id) / 100,
            "location": {"name": "Nantes"},
        }
        demand["registeredOn"] = (made + timedelta(days=30)).isoformat()
    # Lucca doesn't say whether what is optional is null or absent: here it is either.
    if not documented and id % 5 == 0:
        del demand["plan"]
    return demand


def _employee(id: int) -> dict[str, Any]:
    documented = id == _OWNER_OF_THE_EXAMPLE
    return {
        "id": id,
        "firstName": "John" if documented else _NAMES[id % len(_NAMES)],
        "lastName": "Doe" if documented else _SURNAMES[id % len(_SURNAMES)],
        "establishmentId": 1 if documented else id % 4 + 1,
        "departmentId": 12 if documented else id % 15 + 1,
        "picture": {"href": f"https://pictures.example/{id}"} if id % 2 == 0 else None,
        "manager": {"id": 7, "firstName": "Grace", "lastName": "Hopper"},
    }


def _priority(id: int, made: date) -> dict[str, Any] | None:
    documented = id == DOCUMENTED_DEMAND
    if id % 6 == 0 and not documented:
        return None
    level = 1 if documented else id % 3
    return {
        "id": level + 1,
        "name": _PRIORITIES[level],
        "level": _PRIORITIES[level],
        "lastModifiedAt": f"{made + timedelta(days=108)}T08:17:29.4241633+00:00",
    }
