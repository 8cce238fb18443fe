"""The examples in README and docs run, each by itself, and print what is written below them."""

from __future__ import annotations

import ast
import asyncio
import builtins
import inspect
import io
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

from lucca_training_async.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
# It needs what tests/integrations needs, and runs there.
INTEGRATIONS = ROOT / "docs" / "integrations.md"
# It needs what not everybody has, and runs in tests/test_watching_page.py.
WATCHING = ROOT / "docs" / "watching.md"
ELSEWHERE = {INTEGRATIONS, WATCHING}
DOCUMENTS = [ROOT / "README.md", *sorted({*(ROOT / "docs").glob("*.md")} - ELSEWHERE)]

run_python = PythonEvaluator()


def run_and_keep_output(example: Example) -> None:
    # Alone: readers copy one block, not those before it.
    example.namespace = {}
    output = io.StringIO()
    with redirect_stdout(output):
        run_python(example)
    example.document.namespace["output"] = output.getvalue()


def run_cell(example: Example) -> None:
    """What a notebook does with a cell: it awaits at the top."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(str(example.parsed), example.path, "exec", flags)
    cell = FunctionType(code, {"__builtins__": builtins})
    output = io.StringIO()

    async def run() -> None:
        if inspect.iscoroutine(awaited := cell()):
            await awaited

    with redirect_stdout(output):
        asyncio.run(run())
    example.document.namespace["output"] = output.getvalue()


def compare_with_output(example: Example) -> None:
    assert str(example.parsed) == example.document.namespace.pop("output")


PARSERS = [
    CodeBlockParser("python", run_and_keep_output),
    CodeBlockParser("text", compare_with_output),
]
EXAMPLES = Sybil(parsers=PARSERS)
# Other pages have in "py" what tests of their own run.
WITH_CELLS = Sybil(parsers=[*PARSERS, CodeBlockParser("py", run_cell)])


class Celery:
    """In the place of Celery's, which brings more than one example is worth."""

    def __init__(self, name: str, broker: str) -> None: ...

    def task(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function


@pytest.fixture(autouse=True)
def a_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("celery")
    vars(module)["Celery"] = Celery
    monkeypatch.setitem(sys.modules, "celery", module)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_examples(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The examples call asyncio.run themselves, so the sandbox needs a loop elsewhere.
    monkeypatch.chdir(tmp_path)
    # A page has a client that outlives its event loop, on purpose.
    keep_alive = path.name != "notebooks.md"
    with Sandbox(rate_limit=None, size=1_200, keep_alive=keep_alive) as sandbox:
        monkeypatch.setenv("LUCCA_HOST", sandbox.url)
        monkeypatch.setenv("LUCCA_API_KEY", sandbox.api_key)
        if path.name == "processes.md":  # elsewhere, each client has a budget of its own
            monkeypatch.setenv("LUCCA_SHARED_BUDGET", f"sqlite://{tmp_path}/lucca.db")
        pages = WITH_CELLS if path.name == "notebooks.md" else EXAMPLES
        for example in pages.parse(path).examples():
            example.evaluate()
            if "export_hours" in example.namespace:
                assert example.namespace["export_hours"]([235, 236]) == "21"


def test_there_are_examples() -> None:
    counts = {path.name: len(list(EXAMPLES.parse(path).examples())) for path in DOCUMENTS}
    assert counts["README.md"] >= 4
    assert counts["bulk.md"] >= 6


def test_every_block_of_code_is_run_by_some_test() -> None:
    """What is in "py" is told of where it is run: the README's, by a test of the backend."""
    pages = {path.name for path in DOCUMENTS if "```py\n" in path.read_text()}
    assert pages == {"README.md", "notebooks.md", "testing.md"}
