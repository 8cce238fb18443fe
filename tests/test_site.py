"""The pages and README as they are in the repository, as a forge shows them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

import lucca_training_async
from lucca_training_async import LuccaError, errors, ledger, sandbox
from lucca_training_async.integrations import fastapi

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# What a forge shows; the reference is for the site alone.
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
# What Sphinx alone understands, and a forge shows as code: where no reader is led to, or, in the
# reference, what the page says of itself.
DIRECTIVES = {"index.md": {"toctree"}, "api.md": {"toctree"}, "changelog.md": {"include"}}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Of the headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text()), re.MULTILINE)
    shown = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in shown}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if not re.match(r"\w+:", target):
            path, _, anchor = unquote(target).partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        assert path.exists(), path
        if anchor:
            assert anchor in anchors(path), f"{path.name}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_forge_shows_the_page_as_it_is(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"\{[\w:+-]+\}`", text) == [], "a role of Sphinx's"
    assert re.findall(r"^\(.+\)=$", text, re.MULTILINE) == [], "a label of Sphinx's"
    directives = set(re.findall(r"^(?:`{3,}|:{3,})\{([\w-]+)\}", text, re.MULTILINE))
    assert directives == DIRECTIVES.get(page.name, set())


def test_no_page_leads_to_what_a_forge_can_not_show() -> None:
    reached = {path for page in PAGES for path, _ in links(page)}
    assert reached & {DOCS / "index.md", DOCS / "changelog.md"} == set()


def test_the_pages_have_the_examples_as_they_are() -> None:
    page = (DOCS / "backend.md").read_text()
    blocks = re.findall(r"^```py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    examples = [DOCS / "examples" / name for name in ("backend.py", "test_backend.py")]
    assert blocks == [example.read_text() for example in examples]


def test_the_readme_leads_to_every_page() -> None:
    reached = {path for path, _ in links(ROOT / "README.md")}
    left_out = {DOCS / "index.md", DOCS / "changelog.md"}
    assert {*DOCS.glob("*.md")} - left_out - reached == set()


def test_the_readme_shows_the_demo() -> None:
    picture = (DOCS / "demo.svg").read_text()
    assert "](docs/demo.svg)" in (ROOT / "README.md").read_text()
    assert "Every&#160;id&#160;has&#160;exactly&#160;one&#160;outcome." in picture
    assert "@font-face" not in picture


def public_names() -> set[str]:
    rooms = {"ledger": ledger, "sandbox": sandbox}
    inner = {
        f"{room}.{name}"
        for room, module in rooms.items()
        for name, value in vars(module).items()
        if not name.startswith("_")
        and isinstance(value, type)
        and value.__module__.startswith(module.__name__)
    }
    added = {f"integrations.fastapi.{name}" for name in fastapi.__all__}
    return {*lucca_training_async.__all__, *inner, *added} - {"__version__"}


def test_every_public_name_has_a_version_since_when_it_is_there() -> None:
    versions: dict[str, list[str]] = tomllib.loads((DOCS / "since.toml").read_text())
    told = [name for names in versions.values() for name in names]
    assert len(told) == len(set(told))
    assert public_names() - set(told) == set()


def test_what_has_a_version_is_there() -> None:
    versions: dict[str, list[str]] = tomllib.loads((DOCS / "since.toml").read_text())
    reference = "\n".join(page.read_text() for page in (DOCS / "api").glob("*.rst"))
    for name in [name for names in versions.values() for name in names]:
        owner = name.split(".")[0] if name[0].isupper() else ".".join(name.split(".")[:-1])
        assert owner in reference, name
    # Variables have no docstring to which it could be added.
    for name, directive in re.findall(
        r":data:: lucca_training_async\.([\w.]+)\n((?:\n|   .*\n)*)", reference
    ):
        assert (name in versions["0.2"]) is ("versionadded:: 0.2" in directive), name


def tree(error: type[LuccaError], depth: int = 0) -> Iterator[str]:
    also = [base.__name__ for base in error.__bases__ if not issubclass(base, LuccaError)]
    told = f" ({', '.join(also)})" if also and also != ["Exception"] else ""
    yield f"   {'    ' * depth}{error.__name__}{told}"
    for below in vars(errors).values():
        if isinstance(below, type) and error in below.__bases__:
            yield from tree(below, depth + 1)


def test_the_tree_of_exceptions_is_as_it_is_told() -> None:
    page = (DOCS / "api" / "errors.rst").read_text()
    told = page.partition(".. code-block:: text\n\n")[2].partition("\n\n")[0]
    assert told.splitlines() == list(tree(LuccaError))


INDEX = {
    "docnames": ["api/errors", "budget", "index", "troubleshooting"],
    "alltitles": {"429": [[3, "t429"]]},
    "indexentries": {"404": [[3, "t404", False]], "rate limit": [[0, "limit", False]]},
    "terms": {"rate": 1, "limit": [0, 1]},
}
SITE = {
    "index.html": '<a href="api/errors.html#there">x</a><script src="x.js"></script>',
    "troubleshooting.html": '<h1 id="here">x</h1><a href="#here">x</a><a href="https://x">y</a>',
    "api/errors.html": '<dl class="py exception"><dt class="sig" id="there">'
    'lucca_training_async.LuccaError<a class="viewcode-link" href="../index.html">x</a></dt></dl>'
    '<a class="versionadded" href="../index.html">x</a>',
    "x.js": "",
    "searchindex.js": f"Search.setIndex({json.dumps(INDEX)})",
}


@pytest.mark.parametrize(
    ("name", "part", "instead", "fault"),
    [
        ("index.html", "", "", None),
        ("index.html", "api/errors.html", "errors.html", "there is no errors.html#there"),
        ("index.html", "#there", "#gone", "there is no such place: api/errors.html#gone"),
        ("troubleshooting.html", "#here", "#gone", "there is no such place: #gone"),
        ("index.html", "x.js", "y.js", "there is no y.js"),
        ("index.html", "x.js", "https://cdn/x.js", "asks another host for https://cdn/x.js"),
        ("api/errors.html", "async.L", "async._http.L", "a private name, lucca_training_async._ht"),
        ("api/errors.html", "viewcode-link", "", "api: there has no [source]"),
        ("api/errors.html", "versionadded", "", "api: a page without any versionadded"),
        ("searchindex.js", "429", "430", "the search does not find '429' in troubleshooting"),
        ("searchindex.js", "rate limit", "x", "not find 'rate limit' in api/errors"),
        ("searchindex.js", '"rate": 1', '"rate": 2', "'rate limit' in the text of budget"),
    ],
)
def test_a_fault_of_the_built_site_is_found(
    name: str, part: str, instead: str, fault: str | None, tmp_path: Path
) -> None:
    for path, text in SITE.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        written = text.replace(part, instead, 1) if path == name and part else text
        (tmp_path / path).write_text(written, "utf-8")
    command = [sys.executable, str(DOCS / "check.py"), str(tmp_path)]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert told.returncode == (0 if fault is None else 1)
    assert len(told.stdout.splitlines()) == told.returncode
    assert (fault or "") in told.stdout
