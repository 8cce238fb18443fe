"""Run where only the package is installed, by ``nox -s package``: does it come whole, and work?"""

import asyncio
import importlib.metadata
import importlib.resources
import sys
from decimal import Decimal
from pathlib import Path

import lucca_training_async
from lucca_training_async import LuccaTrainingClient
from lucca_training_async.sandbox import Sandbox

SOURCES = Path(__file__).resolve().parent.parent


async def hours() -> Decimal:
    async with (
        Sandbox(rate_limit=None, size=300) as sandbox,
        LuccaTrainingClient(sandbox.url, sandbox.api_key, rate_limit=None) as client,
    ):
        result = await client.realized_trainings.get_many(range(1, 301))
        assert len(result.items) == 300
        return (await client.realized_trainings.get(235)).duration_in_hours


def main(name: str) -> None:
    package = Path(lucca_training_async.__file__).parent
    # Never the sources themselves; an environment of nox's is below them, but not among them.
    assert package != SOURCES / "lucca_training_async"
    version = lucca_training_async.__version__
    assert name.startswith(f"lucca_training_async-{version}"), f"{name} holds {version}"
    metadata = importlib.metadata.metadata("lucca-training-async")
    assert metadata["Version"] == version
    assert metadata["License-Expression"] == "MIT"
    files = importlib.resources.files("lucca_training_async")
    for needed in ("py.typed", "_budget/ledger.lua", "sandbox/__init__.py"):
        assert files.joinpath(needed).is_file(), needed
    assert asyncio.run(hours()) == 14
    print(f"{name}: version {version}, in {package}")


if __name__ == "__main__":
    main(sys.argv[1])
