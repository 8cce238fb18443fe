"""The sandbox's realized trainings: the same id always gives the same record."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

# The example in Lucca's developer documentation.
DOCUMENTED_ID = 235
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
_COURSES = [
    ("Sécurité incendie", 2, "https://prevention.example", "Beginner"),
    ("Secourisme au travail", 2, "https://prevention.example", "Beginner"),
    ("Advanced SQL", 3, "https://donnees.example", "Expert"),
    ("Management d'équipe", 4, None, "Middle"),
    ("RGPD : les fondamentaux", 5, "https://juridique.example", None),
]
_FIRST_DAY = date(2023, 1, 2)


def realized_training(id: int) -> dict[str, Any]:
    """The record as Lucca would write it in JSON."""
    if id == DOCUMENTED_ID:
        return _DOCUMENTED
    draw = Random(id)
    course = draw.randrange(len(_COURSES))
    title, category_id, provider_url, level = _COURSES[course]
    starts_on = _FIRST_DAY + timedelta(days=draw.randrange(1000))
    # Hundredths as an int over 100: the shortest repr of the float is the exact decimal.
    hours = draw.choice([7, 14, draw.randrange(25, 3500) / 100])
    return {
        "id": id,
        "ownerId": draw.randrange(1, 1000),
        "training": {
            "id": course + 1,
            "title": title,
            "categoryId": category_id,
            "providerUrl": provider_url,
            "level": level,
        },
        "trainingDemandId": draw.choice([None, draw.randrange(1, 10_000)]),
        "sessionId": draw.randrange(1, 500),
        "sessionStartsOn": starts_on.isoformat(),
        "sessionEndsOn": (starts_on + timedelta(days=draw.randrange(3))).isoformat(),
        "hasAttended": draw.random() < 0.95,
        "durationInHours": hours,
    }
