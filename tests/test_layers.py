"""The house: who may import whom, and where public names say that they live."""

from __future__ import annotations

import ast
import inspect
import pickle
import typing
from pathlib import Path

import pytest

import lucca_training_async
import lucca_training_async.sandbox

PACKAGE = Path(lucca_training_async.__file__).parent
# From the ground up. A room imports from those below it, and from itself.
FLOORS = [
    ["errors"],
    ["_attempt", "_callbacks"],
    ["_budget_url", "_checks", "_redaction", "_version", "ledger", "settings", "models"],
    ["_budget"],
    ["_cache"],
    ["_http"],
    ["_bulk"],
    ["_lists"],
    ["resources"],
    ["client"],
    ["integrations"],
    ["cli"],
]
# Beside the house: what they import of it, besides themselves.
ANNEXES = {
    "sandbox": {"settings", "models"},
    "_standalone": {"LuccaTrainingClient", "RetryPolicy", "sandbox"},
    "__init__": {
        *("_budget", "_bulk", "_lists", "client", "errors", "models", "resources", "settings"),
        *("_attempt", "_version"),
    },
    "__main__": {"cli"},
}
BELOW_CLI = {room for floor in FLOORS for room in floor} | {"sandbox", "__init__"}


def rooms_imported_by(path: Path) -> set[str]:
    """The rooms of the package that a module names in an import, at any depth of it."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    here = ["lucca_training_async", *parts[: -1 if parts[-1] != "__init__" else len(parts) - 1]]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            # ``from .. import errors`` names the room in what it imports.
            modules = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            if module.startswith("lucca_training_async."):
                found.add(module.split(".")[1])
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def allowed(room: str) -> set[str]:
    if room in ANNEXES:
        return ANNEXES[room] | {room}
    level = next(level for level, floor in enumerate(FLOORS) if room in floor)
    below = {room for floor in FLOORS[: level + 1] for room in floor}
    return below | ({"sandbox", "__version__"} if room == "cli" else set())


MODULES = sorted(PACKAGE.rglob("*.py"))


def test_there_are_modules_to_look_at() -> None:
    assert len(MODULES) > 25
    assert {room_of(path) for path in MODULES} >= {"_budget", "_http", "_bulk", "resources"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    assert rooms_imported_by(path) <= allowed(room_of(path))


def test_only_one_module_uses_aiohttps_client() -> None:
    users = [
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if room_of(path) != "sandbox" and "import aiohttp" in path.read_text()
    ]
    # The settings name the type of a session that is given; they call nothing.
    http = [f"_http/{name}.py" for name in ("head", "pool", "session", "trouble")]
    assert users == [*http, "settings.py"]
    assert "aiohttp.ClientSession(" not in (PACKAGE / "settings.py").read_text()


PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (lucca_training_async, lucca_training_async.sandbox)
    for name in module.__all__
}
CLASSES = {name: public for name, public in PUBLIC.items() if inspect.isclass(public)}


def test_there_are_public_classes() -> None:
    assert len(CLASSES) > 35


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_lives_where_it_is_imported_from(name: str) -> None:
    cls = CLASSES[name]
    assert f"{cls.__module__}.{cls.__qualname__}" == name
    assert pickle.loads(pickle.dumps(cls)) is cls


@pytest.mark.parametrize("name", CLASSES)
def test_the_annotations_of_a_public_class_can_be_looked_up(name: str) -> None:
    """FastAPI, cattrs and Sphinx do so by the module that the class says it is of."""
    typing.get_type_hints(CLASSES[name])
    if not issubclass(CLASSES[name], Exception):
        typing.get_type_hints(CLASSES[name].__init__)
