"""Promises of the repository itself: its commands, its layout, its imports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import lucca_training_async

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci" / "run").read_text()
NOXFILE = (ROOT / "noxfile.py").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text()
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
FORMS = [path for path in TEMPLATES if path.name != "config.yml"]
DEVELOPMENT: list[str] = PROJECT["optional-dependencies"]["dev"]


def test_ci_runs_the_readmes_test_command() -> None:
    (command,) = re.findall(r"^python3 -m venv .*pytest -n auto$", README, re.MULTILINE)
    assert command in map(str.strip, CI.splitlines())


def test_the_core_depends_on_four_packages() -> None:
    names = [re.split(r"[><=]", dependency)[0] for dependency in PROJECT["dependencies"]]
    assert names == ["aiohttp", "attrs", "cattrs", "tenacity"]


def test_the_core_imports_without_any_extra() -> None:
    extras: dict[str, list[str]] = PROJECT["optional-dependencies"]
    wanted = [requirement for extra in extras.values() for requirement in extra]
    names = {re.split(r"[><=[]", dependency)[0].replace("-", "_") for dependency in wanted}
    # Coverage measures that process too, and ourselves we do need.
    absent = names - {"coverage", "lucca_training_async"}
    assert absent > {"rich", "dlt"}
    code = f"""
import sys
for name in {absent}:
    sys.modules[name] = None
import lucca_training_async, lucca_training_async.sandbox
assert "lucca_training_async.cli" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_the_public_names_of_the_issue_are_there() -> None:
    promised = """
        LuccaTrainingClient RealizedTraining TrainingSummary TrainingLevel RetryPolicy RateLimit
        Timeouts Outcome BulkResult LuccaError ConfigurationError InvalidIdError
        LuccaConnectionError LuccaTimeoutError ResponseError BadRequestError AuthenticationError
        PermissionDeniedError NotFoundError RateLimitedError ServerError DecodeError
    """.split()
    assert set(promised) <= set(lucca_training_async.__all__)
    assert sorted(lucca_training_async.__all__) == lucca_training_async.__all__
    for name in lucca_training_async.__all__:
        assert getattr(lucca_training_async, name) is not None


def test_the_version_stands_in_pyproject_alone() -> None:
    version = PROJECT["version"]
    assert lucca_training_async.__version__ == version
    sources = [*(ROOT / "lucca_training_async").rglob("*.py"), ROOT / "docs" / "conf.py"]
    # But for where something came with it.
    told = {
        path.name: path.read_text().replace(f"versionadded:: {version}", "") for path in sources
    }
    assert [name for name, text in told.items() if version in text] == []


def test_every_place_that_names_a_python_agrees() -> None:
    supported = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    minors = [int(python.removeprefix("3.")) for python in supported]
    assert minors == list(range(minors[0], minors[-1] + 1))
    oldest = supported[0]
    assert PROJECT["requires-python"] == f">={oldest}"
    # Neither checker takes it from requires-python, as Ruff does.
    assert PYPROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PYPROJECT["tool"]["pyright"]["pythonVersion"] == oldest
    assert "target-version" not in PYPROJECT["tool"]["ruff"]
    pages = [README, *(page.read_text() for page in (ROOT / "docs").glob("*.md"))]
    assert set(re.findall(r"Python\s+(3\.\d+)", "\n".join(pages))) == {oldest}


def test_the_workflow_tests_every_python_and_runs_every_session() -> None:
    (matrix,) = re.findall(r"^ +python: (\[.*\])$", WORKFLOW, re.MULTILINE)
    supported = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    also: list[str] = PYPROJECT["tool"]["lucca-training-async"]["pythons-where-present"]
    assert json.loads(matrix) == [*supported, *also]
    (others,) = re.findall(r"python-version: \|\n +(\S+)\n +(\S+)\n", WORKFLOW)
    assert others == (supported[0], supported[-1])
    default = NOXFILE.partition("nox.options.sessions = [")[2].partition("]\n")[0]
    (run,) = re.findall(r"-s ((?:\w+ ?)+)$", WORKFLOW, re.MULTILINE)
    assert ["tests", *run.split()] == re.findall(r"\w+", default)


def test_every_version_that_a_tool_is_asked_for_in_is_that_of_pyproject() -> None:
    for text, tool in ((WORKFLOW, "nox"), (HOOKS, "ruff")):
        asked = set(re.findall(rf"{tool}[>=][^\"]+", text))
        assert asked == {it for it in DEVELOPMENT if it.startswith(f"{tool}>")}


def test_the_changelog_begins_with_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    assert versions[0] == PROJECT["version"]


def test_every_session_is_told_to_contributors() -> None:
    guide = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
    sessions = set(re.findall(r"^@nox\.session.*\ndef (\w+)", NOXFILE, re.MULTILINE))
    told = re.findall(r"^\| (`\w+.*?) \|", guide, re.MULTILINE)
    assert sessions == set(re.findall(r"`(\w+)", " ".join(told)))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_an_issue_form_is_one(form: Path) -> None:
    read: dict[str, Any] = yaml.safe_load(form.read_text())
    assert read["name"]
    assert read["description"]
    questions = [part for part in read["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in questions}) == len(questions)
    assert all(part["attributes"]["label"] for part in questions)
    assert any(part.get("validations") == {"required": True} for part in questions)


def test_only_the_upload_may_prove_who_it_is() -> None:
    workflow: dict[str, Any] = yaml.safe_load(WORKFLOW)
    assert workflow["permissions"] == {"contents": "read"}
    jobs: dict[str, dict[str, Any]] = workflow["jobs"]
    assert {name for name, job in jobs.items() if "permissions" in job} == {"publish"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert set(jobs["publish"]["needs"]) == set(jobs) - {"publish"}
    assert "secrets." not in WORKFLOW


@pytest.mark.parametrize("text", [NOXFILE, CI], ids=["noxfile.py", ".ci/run"])
def test_the_supported_pythons_are_derived(text: str) -> None:
    assert re.findall(r"3\.\d+|py3\d+", text) == []


def test_nox_is_as_new_in_the_noxfile_as_in_pyproject() -> None:
    (needed,) = re.findall(r'^nox\.needs_version = "(.+)"$', NOXFILE, re.MULTILINE)
    assert f"nox{needed}" in DEVELOPMENT


@pytest.mark.parametrize("path", sorted((ROOT / "lucca_training_async").rglob("*.py")), ids=str)
def test_every_file_is_small_and_says_why_it_exists(path: Path) -> None:
    text = path.read_text()
    assert text.startswith('"""')
    assert len(text.splitlines()) <= 350


def test_every_file_of_the_documentation_is_reachable() -> None:
    toctree = re.findall(r"^\w+$", (ROOT / "docs" / "index.md").read_text(), re.MULTILINE)
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert pages <= set(toctree)


def is_an_error(name: str) -> bool:
    public = getattr(lucca_training_async, name)
    return isinstance(public, type) and issubclass(public, lucca_training_async.LuccaError)


def test_every_public_name_is_in_the_reference() -> None:
    pages = (ROOT / "docs" / "api").glob("*.rst")
    reference = "\n".join(page.read_text() for page in pages)
    directive = r"^\.\. (?:auto\w+|py:data):: lucca_training_async\.(\w+)"
    documented = re.findall(directive, reference, re.MULTILINE)
    public = set(lucca_training_async.__all__) - {"__version__"}
    assert public <= set(documented)
    # The page of all areas says where each of them is.
    overview = (ROOT / "docs" / "api.md").read_text()
    errors = {name for name in public if is_an_error(name)}
    assert [name for name in sorted(public - errors) if f"`{name}`" not in overview] == []
