"""The sandbox's catalogue: the courses that its realized trainings and demands refer to."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

# The courses in the examples of Lucca's developer documentation.
_MASTERING_FRENCH = 45
_ANGULAR = 15

_SUBJECTS = [
    ("Sécurité incendie", 2),
    ("Secourisme au travail", 2),
    ("Advanced SQL", 3),
    ("Python pour l'analyse de données", 3),
    ("Management d'équipe", 4),
    ("Conduite du changement", 4),
    ("RGPD", 5),
    ("Droit du travail", 5),
    ("Business English", 1),
    ("Español profesional", 1),
]
_FORMS = [
    ("les fondamentaux", "Beginner"),
    ("en pratique", "Beginner"),
    ("remise à niveau", None),
    ("cas réels", "Middle"),
    ("perfectionnement", "Middle"),
    ("pour les responsables", "Expert"),
]
_YEARS = [2021, 2022, 2023, 2024, 2025]
_CATEGORIES = {
    1: ("Languages", "Langues", "Idiomas"),
    2: ("Health and safety", "Santé et sécurité", "Salud y seguridad"),
    3: ("Data", "Données", "Datos"),
    4: ("Management", "Management", "Gestión"),
    5: ("Law", "Juridique", "Derecho"),
    6: ("Development", "Développement", "Desarrollo"),
}
_PROVIDERS = {
    1: ("Prévention Plus", "https://prevention.example"),
    2: ("Atelier des données", "https://donnees.example"),
    3: ("Juridique & Co", "https://juridique.example"),
    4: ("École interne", None),
    9: ("Google", "https://google.com"),
    12: ("L'Élan Français", "https://elan-francais.fr"),
}
_PROVIDER_OF = {1: 12, 2: 1, 3: 2, 4: 4, 5: 3, 6: 9}

COURSES: Final = len(_SUBJECTS) * len(_FORMS) * len(_YEARS)


@cache
def training(id: int) -> dict[str, Any]:
    """The course as Lucca's catalogue (v1) would write it; there is one for 1 to ``COURSES``."""
    if id == _MASTERING_FRENCH:
        title = "Mastering French: From Basics to Fluency"
        return _course(id, title, 1, "Beginner", archived=False)
    if id == _ANGULAR:
        return _course(id, "Angular (advanced)", 6, "Middle", archived=False)
    rest, subject = divmod(id - 1, len(_SUBJECTS))
    year, form = divmod(rest, len(_FORMS))
    name, category = _SUBJECTS[subject]
    words, level = _FORMS[form]
    title = f"{name} : {words} ({_YEARS[year]})"
    return _course(id, title, category, level, archived=year == 0)


def _course(
    id: int, title: str, category: int, level: str | None, *, archived: bool
) -> dict[str, Any]:
    english, french, spanish = _CATEGORIES[category]
    provider = _PROVIDER_OF[category]
    provider_name, href = _PROVIDERS[provider]
    course: dict[str, Any] = {
        "id": id,
        "state": "Archived" if archived else "Ready",
        "type": "Internal" if href is None else "External",
        "title": title,
        "subtitle": f"{french}, {7 * (1 + id % 3)} h" if id % 4 else None,
        "description": f"{title}. Organisé par {provider_name}, évaluation comprise.",
        "provider": {"id": provider, "name": provider_name, "websiteHref": href},
        "level": level,
        "isCertifying": id % 7 == 0,
        "isMandatory": category == 2,
        "category": {
            "id": category,
            "name": english,
            "t9n": {"name": {"Fr": french, "Es": spanish}},
        },
    }
    # Lucca doesn't say whether what is optional is null or absent: here it is either.
    if id % 5 == 0:
        del course["description"]
    return course
