"""The examples in README and docs run, each by itself, and print what is written below them."""

from __future__ import annotations

import ast
import asyncio
import builtins
import codeop
import inspect
import io
import sys
from collections.abc import Callable, Iterator
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


# There, what stands in a cell may await without a function around it.
WITH_CELLS = {"README.md", "notebooks.md"}


def run_alone(example: Example) -> None:
    """Run a block by itself, since readers copy one, not those before it; and keep its output."""
    example.namespace = {}
    output = io.StringIO()
    with redirect_stdout(output):
        if Path(example.path).name not in WITH_CELLS or not run_cell(str(example.parsed)):
            run_python(example)
    example.document.namespace["output"] = output.getvalue()


def run_cell(code: str) -> bool:
    """Run what awaits at the top, as a notebook does; whether it does so."""
    compiled = compile(code, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if not compiled.co_flags & inspect.CO_COROUTINE:
        return False
    asyncio.run(FunctionType(compiled, {"__builtins__": builtins})())
    return True


def compare_with_output(example: Example) -> None:
    assert str(example.parsed) == example.document.namespace.pop("output")


EXAMPLES = Sybil(
    parsers=[
        CodeBlockParser("python", run_alone),
        CodeBlockParser("text", compare_with_output),
    ]
)


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
        for example in EXAMPLES.parse(path).examples():
            example.evaluate()
            if "export_hours" in example.namespace:
                assert example.namespace["export_hours"]([235, 236]) == "21"


def pasted(code: str) -> Iterator[str]:
    """The statements that ``python -m asyncio`` makes of it, line by line."""
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    lines: list[str] = []
    for line in [*code.splitlines(), ""]:
        lines.append(line)
        if not line and len(lines) == 1:
            lines = []
        elif compiler("\n".join(lines), symbol="single") is not None:
            yield "\n".join(lines)
            lines = []
    assert lines == []


def test_what_awaits_in_the_readme_can_be_pasted() -> None:
    blocks = [str(it.parsed) for it in EXAMPLES.parse(ROOT / "README.md").examples()]
    statements = [list(pasted(it)) for it in blocks if it.startswith("from lucca_training_async")]
    assert [len(it) for it in statements] == [2, 4]


def test_there_are_examples() -> None:
    counts = {path.name: len(list(EXAMPLES.parse(path).examples())) for path in DOCUMENTS}
    assert counts["README.md"] >= 4
    assert counts["bulk.md"] >= 6


def test_every_block_of_code_is_run_by_some_test() -> None:
    """What is in "py" needs more around it, and is run by tests of its own."""
    pages = {path.name for path in DOCUMENTS if "```py\n" in path.read_text()}
    assert pages == {"README.md", "backend.md", "export.md", "testing.md"}
