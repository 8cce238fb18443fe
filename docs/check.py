"""Checks the built site, ``python docs/check.py docs/_build/html``, as ``nox -s docs`` does.

Sphinx warns of a page or a heading that is not there. What it doesn't look at is here: the links as
they are in the HTML, what the reference shows, what the search finds, and that a page asks no other
host for anything.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What is a class, a function or a part of one, by the words of Sphinx.
WITH_SOURCE = {"class", "exception", "function", "method", "property"}
PRIVATE = re.compile(r"lucca_training_async\._\w+")
# What a reader looks for, and where it must be found: by a title or the index, and by the text.
SEARCHED = {"429": "troubleshooting", "404": "troubleshooting", "rate limit": "api/errors"}
IN_THE_TEXT = {"rate limit": "budget"}


class Page(HTMLParser):
    """What of a page can be linked to, what it links to, what it loads, and its text.

    Of the reference also the names, and those whose source there is and that have no link to it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.classes: list[str] = []
        self.signatures: list[str] = []
        self.without_source: set[str] = set()
        self._kinds: list[str] = []
        self._text: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = "".join(self._text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value is not None}
        self.ids.update(values[name] for name in ("id", "name") if name in values)
        classes = values.get("class", "").split()
        self.classes += classes
        if tag == "dl":
            self._kinds.append(classes[1] if classes[:1] == ["py"] else "")
        if tag == "dt" and "sig" in classes and "id" in values:
            self.signatures.append(values["id"])
            # A variable or an attribute has no source of its own.
            if self._kinds[-1] in WITH_SOURCE:
                self.without_source.add(values["id"])
        if "viewcode-link" in classes:
            self.without_source.discard(self.signatures[-1])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in ("script", "img") and "src" in values:
            self.loads.append(values["src"])
        if tag == "link" and values.get("rel") in ("stylesheet", "icon"):
            self.loads.append(values["href"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "dl":
            self._kinds.pop()

    def handle_data(self, data: str) -> None:
        self._text.append(data)


@cache
def read(path: Path) -> Page:
    """The page, read once."""
    return Page(path)


def faults(site: Path) -> Iterator[str]:
    """What is wrong, one line for each."""
    pages = [path for path in sorted(site.rglob("*.html")) if "_modules" not in path.parts]
    for path in pages:
        name, page = path.relative_to(site), read(path)
        yield from (f"{name}: {told}" for told in broken_links(path, page))
        for loaded in page.loads:
            if urlsplit(loaded).netloc:
                yield f"{name}: it asks another host for {loaded}"
        if name.parts[0] == "api" and (found := PRIVATE.search(page.text)):
            yield f"{name}: it shows a private name, {found[0]}"
    reference = [read(path) for path in (site / "api").glob("*.html")]
    if not all("versionadded" in page.classes for page in reference if page.signatures):
        yield "api: a page without any versionadded"
    for page in reference:
        yield from (f"api: {name} has no [source]" for name in sorted(page.without_source))
    yield from (f"the search does not find {told}" for told in not_found(site))


def broken_links(path: Path, page: Page) -> Iterator[str]:
    """The links of a page to places of this site that are not there."""
    for link in {*page.links, *page.loads}:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file():
            yield f"there is no {link}"
        elif target.suffix == ".html" and unquote(parts.fragment) not in {"", *read(target).ids}:
            yield f"there is no such place: {link}"


def not_found(site: Path) -> Iterator[str]:
    """What the search ought to find, and does not.

    Sphinx's search leaves numbers out, but for titles and entries of the index.
    """
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").rstrip(";\n").removesuffix(")"))
    for term, document in SEARCHED.items():
        number = index["docnames"].index(document)
        in_titles = [place[0] for place in index["alltitles"].get(term, [])]
        in_entries = [place[0] for place in index["indexentries"].get(term, [])]
        if number not in (*in_titles, *in_entries):
            yield f"{term!r} in {document}"
    for term, document in IN_THE_TEXT.items():
        number = index["docnames"].index(document)
        for word in term.split():
            found = index["terms"].get(word, [])
            if number not in (found if isinstance(found, list) else [found]):
                yield f"{term!r} in the text of {document}"


if __name__ == "__main__":
    wrong = list(faults(Path(sys.argv[1]).resolve()))
    for fault in wrong:
        print(fault)  # noqa: T201  # it is what this is for
    sys.exit(1 if wrong else 0)
