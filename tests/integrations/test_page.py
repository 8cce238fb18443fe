"""The examples on the page about other tools."""

from __future__ import annotations

import pytest

from lucca_training_async.sandbox import Sandbox

from ..test_examples import EXAMPLES, INTEGRATIONS


def test_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    # As large as the one that the command serves, which is what a reader has.
    with Sandbox(rate_limit=None, size=1_200) as sandbox:
        monkeypatch.setenv("LUCCA_HOST", sandbox.url)
        monkeypatch.setenv("LUCCA_API_KEY", sandbox.api_key)
        monkeypatch.setenv("SOURCES__LUCCA__HOST", sandbox.url)
        monkeypatch.setenv("SOURCES__LUCCA__API_KEY", sandbox.api_key)
        for example in EXAMPLES.parse(INTEGRATIONS).examples():
            example.evaluate()


def test_there_are_examples() -> None:
    text = INTEGRATIONS.read_text()
    assert len(list(EXAMPLES.parse(INTEGRATIONS).examples())) == 10
    for tool in ("import pandas", "import polars", "import duckdb", "import dlt"):
        assert tool in text
