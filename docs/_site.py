"""What our site adds to Sphinx: links from code and to the source, and since when a name is there.

The pages are plain Markdown, so that a forge shows them as they are. What would be a role
elsewhere is therefore found here: a piece of code such as ``RetryPolicy.patience`` or
``client.realized_trainings.get_many`` is a link to the reference, the first time in its section.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext.intersphinx._shared import InventoryAdapter
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

PACKAGE = "lucca_training_async"
FOLDER = Path(__file__).parent
# How a client's attributes are written in the pages, and what they are.
SHORT = {
    "client.realized_trainings.": "RealizedTrainings.",
    "client.training_demands.": "TrainingDemands.",
    "client.trainings.": "Trainings.",
    "client.": "LuccaTrainingClient.",
}
# Where a class is found by its own account, and where its documentation has it.
ELSEWHERE = {
    "aiohttp.client.ClientSession": "aiohttp.ClientSession",
    "aiohttp.web_request.Request": "aiohttp.web.Request",
    "aiohttp.web_response.Response": "aiohttp.web.Response",
    "aiohttp.web_response.StreamResponse": "aiohttp.web.StreamResponse",
}
# What is written without its owner, since it is clear.
BARE = {
    "from_env": "LuccaTrainingClient.from_env",
    "raw_get": "LuccaTrainingClient.raw_get",
    "with_options": "LuccaTrainingClient.with_options",
    "changes": "RealizedTrainings.changes",
    "get_many": "RealizedTrainings.get_many",
    "stream": "RealizedTrainings.stream",
    "sync": "RealizedTrainings.sync",
    "raise_for_failures": "BulkResult.raise_for_failures",
    "fingerprint": "Record.fingerprint",
    "from_json": "Record.from_json",
    "to_dict": "Record.to_dict",
    "to_json": "Record.to_json",
    "lucca_source": "integrations.dlt.lucca_source",
    "lucca_lifespan": "integrations.fastapi.lucca_lifespan",
    "install_error_handlers": "integrations.fastapi.install_error_handlers",
    "get_lucca_client": "integrations.fastapi.get_lucca_client",
}
# The longest word of code for which a line of a telephone has room.
LINE = 36
_NAME = re.compile(r"[A-Za-z_][\w.]*")
# What a sentence of a docstring's section begins with.
_ITEM = r"^(\s+){}:"


class LinksFromCode(SphinxPostTransform):
    """A public name, written as code, is a link to the reference."""

    default_priority = 5

    def run(self, **_: Any) -> None:
        if self.env.current_document.docname.startswith("api/"):
            return
        for section in self.document.findall(nodes.section):
            told: set[str] = set()
            for literal in _own_literals(section):
                name = full_name(literal.astext())
                if name is not None and name not in told and self._link(literal, name):
                    told.add(name)

    def _link(self, literal: nodes.literal, name: str) -> bool:
        entry = self.env.domains.python_domain.objects.get(f"{PACKAGE}.{name}")
        code = literal.deepcopy()
        if entry is not None:
            here = self.env.current_document.docname
            link = make_refnode(
                self.app.builder, here, entry.docname, entry.node_id, code, f"{PACKAGE}.{name}"
            )
        elif "." in name and (uri := self._uri_elsewhere(name)):
            link = nodes.reference("", "", code, internal=False, refuri=uri)
        else:
            return False
        literal.replace_self(link)
        return True

    def _uri_elsewhere(self, name: str) -> str | None:
        for kind, items in InventoryAdapter(self.env).main_inventory.items():
            if kind.startswith("py:") and name in items:
                return items[name].uri
        return None


def _own_literals(section: nodes.section) -> list[nodes.literal]:
    return [
        literal
        for literal in section.findall(nodes.literal)
        if _section_of(literal) is section
        and not isinstance(literal.parent, nodes.title | nodes.reference)
    ]


def _section_of(node: nodes.Node) -> nodes.Node | None:
    parent = node.parent
    while parent is not None and not isinstance(parent, nodes.section):
        parent = parent.parent
    return parent


def full_name(text: str) -> str | None:
    """The public name that a piece of code stands for, below the package; None for other code."""
    text = re.sub(r"\(.*\)$", "", text)
    if not _NAME.fullmatch(text):
        return None
    text = text.removeprefix(f"{PACKAGE}.")
    for written, meant in SHORT.items():
        if text.startswith(written):
            return meant + text.removeprefix(written)
    if re.match(r"(Sandbox|Fault|Arrival)\b", text):
        return f"sandbox.{text}"
    # Any other word in lower case may be anything.
    return BARE.get(text, text if text[0].isupper() or "." in text else None)


@cache
def homes() -> dict[str, list[str]]:
    """In which modules there is a class or a function of a name, private ones included."""
    root = FOLDER.parent / PACKAGE
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        module = ".".join([PACKAGE, *path.relative_to(root).with_suffix("").parts])
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found[node.name].append(module.removesuffix(".__init__"))
    return found


def find_changelog(_: Sphinx, __: str, source: list[str]) -> None:
    """Let what a forge has above the pages be the page of ours that includes it."""
    source[0] = source[0].replace("](../CHANGELOG.md)", "](changelog.md)")


def find_source(_: Sphinx, module: str, name: str) -> str | None:
    """The module with the source, since public classes name the package above it as theirs."""
    found = homes().get(name.split(".")[0], [])
    # Where two modules have one, the reference has the other's public place.
    return next((home for home in found if home.startswith(f"{module}.")), None)


@cache
def since() -> dict[str, str]:
    """The version that has brought a name, of those that 0.1 did not have."""
    versions = tomllib.loads((FOLDER / "since.toml").read_text())
    del versions["0.1"]
    return {name: version for version, names in versions.items() for name in names}


def tell_since(_: Sphinx, __: str, name: str, ___: object, ____: object, lines: list[str]) -> None:
    """Say in a docstring since when there is what it tells of."""
    name = name.removeprefix(f"{PACKAGE}.")
    for part, version in _parts(name):
        for number, line in enumerate(lines):
            if match := re.match(_ITEM.format(part), line):
                # Within the item, which may go on in further lines.
                lines[number] = f"{match[0]} *(since {version})*{line[match.end() :]}"
    if name in since():
        # After the summary: at the end it would seem to be about the last attribute.
        end = lines.index("") if "" in lines else len(lines)
        lines[end:end] = ["", f".. versionadded:: {since()[name]}", ""]


def _parts(name: str) -> Iterator[tuple[str, str]]:
    for whole, version in since().items():
        owner, _, part = whole.rpartition(".")
        if owner == name:
            yield part, version


def hide_rooms(_: Sphinx, __: str, ___: str, ____: object, _____: object, lines: list[str]) -> None:
    """Leave out the private modules that napoleon has found in the types of attributes."""
    lines[:] = [re.sub(rf"{PACKAGE}\._[\w.]+\.(\w+)", r"\1", line) for line in lines]


def look_elsewhere(_: Sphinx, __: object, node: nodes.Element, ___: object) -> None:
    """Let intersphinx, which is asked next, look for the name that is documented."""
    node["reftarget"] = ELSEWHERE.get(node["reftarget"], node["reftarget"])


def mark_long_code(_: Sphinx, document: nodes.document, __: str) -> None:
    """Tell the style sheet which code has a word that must be broken, if the window is narrow."""
    for literal in document.findall(nodes.literal):
        if any(len(word) > LINE for word in literal.astext().split()):
            literal["classes"].append("long")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_post_transform(LinksFromCode)
    app.connect("source-read", find_changelog)
    app.connect("doctree-resolved", mark_long_code)
    app.connect("missing-reference", look_elsewhere, priority=100)
    app.connect("viewcode-follow-imported", find_source)
    # Before napoleon takes the docstring apart.
    app.connect("autodoc-process-docstring", tell_since, priority=400)
    app.connect("autodoc-process-docstring", hide_rooms, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
