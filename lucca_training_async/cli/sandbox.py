"""The ``sandbox`` command: an embedded Lucca for a terminal, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys

from ..sandbox import Sandbox
from ..sandbox.data import DOCUMENTED_ID
from ..settings import RateLimit

_EXAMPLE = f"/talent-training/api/v2/realized-trainings/{DOCUMENTED_ID}"


def run(*, port: int, api_key: str, limit: RateLimit | None, size: int) -> int:
    """Serve until SIGINT or SIGTERM; the exit code."""
    sandbox = Sandbox(port=port, api_key=api_key, rate_limit=limit, size=size)
    # Ctrl-C is how this command ends, even where it comes before (or, on Windows, without)
    # the handlers below.
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(_serve(sandbox, port, limit))
    return 0


async def _serve(sandbox: Sandbox, port: int, limit: RateLimit | None) -> int:
    stopped = asyncio.Event()
    with contextlib.suppress(NotImplementedError):
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(sandbox)
        except OSError as error:
            # asyncio's own message differs from one Python to the next.
            reason = os.strerror(error.errno) if error.errno else str(error)
            print(f"can't listen on port {port}: {reason}", file=sys.stderr)
            return 1
        print(greeting(sandbox.url, sandbox.api_key, limit), flush=True)
        await stopped.wait()
    return 0


def _client(limit: RateLimit | None) -> str:
    """What is to find it: the client has a budget of its own, which is Lucca's by default."""
    if limit == RateLimit():
        return "LuccaTrainingClient.from_env()"
    if limit is None:
        return "LuccaTrainingClient.from_env(rate_limit=None)"
    own = f"RateLimit({limit.requests}, {limit.period:g})"
    return f"LuccaTrainingClient.from_env(rate_limit={own})"


def greeting(url: str, api_key: str, limit: RateLimit | None) -> str:
    """What to know about a running sandbox, in lines that can be pasted into a shell."""
    budget = "none" if limit is None else f"{limit.requests} requests per {limit.period:g} s"
    header = shlex.quote(f"Authorization: lucca application={api_key}")
    return f"""\
A sandbox of Lucca's Training API is running until Ctrl-C.

  url      {url}
  api key  {api_key}
  budget   {budget}

Try it:

  curl -H {header} {url}{_EXAMPLE}

Let {_client(limit)} find it:

  export LUCCA_HOST={url}
  export LUCCA_API_KEY={shlex.quote(api_key)}
"""
