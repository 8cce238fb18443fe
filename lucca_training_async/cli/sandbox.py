"""The ``sandbox`` command: an embedded Lucca for a terminal, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shlex
import signal
import sys
import time
from pathlib import Path

from ..models import MAX_ID
from ..sandbox import Arrival, Sandbox
from ..sandbox.data import DOCUMENTED_ID
from ..settings import RateLimit
from .connection import WrongUseError, exit_codes
from .given import chance, chooser, ids, records
from .options import Command, add_budget, api_key, number
from .terminal import shown, tell

_EXAMPLE = f"/talent-training/api/v2/realized-trainings/{DOCUMENTED_ID}"
# What is printed in README and docs is from one of this size.
_SMALL_TENANT = 1_200

_CODES = {
    0: "ended by Ctrl-C or SIGTERM",
    1: "the port can't be listened on",
    2: "an option or a file can't work",
}
_EPILOG = f"""\
faults (--fault NAME:RATE):
  too_many_requests, internal_error, unavailable, error,
  slow, drop, truncate, html, bad_json, answer
Some take a value: slow=SECONDS, error=STATUS,
answer=STATUS (with an empty body), and in Retry-After
unavailable=SECONDS and too_many_requests=SECONDS.
A rate is from 0 to 1, or from 0% to 100%.

Each request is logged on stderr, when it is answered:
  12:00:01 GET /talent-training/.../235 200
  12:00:02 GET /talent-training/.../236 500 (error 500)

{exit_codes(_CODES)}

examples:
  lucca-training-async sandbox --port 8080
  lucca-training-async sandbox --missing 3,7,10-20
  lucca-training-async sandbox --fault drop:0.01 \\
      --fault slow=3:5% --seed 1
  lucca-training-async sandbox --data mine.jsonl --size 0
"""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=number(int, 0, 65_535),
        default=0,
        metavar="N",
        help="where to listen (default: a free port)",
    )
    parser.add_argument(
        "--api-key",
        type=api_key,
        default="sandbox-api-key",
        metavar="K",
        help="the key to accept (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=number(int, 0, MAX_ID),
        default=_SMALL_TENANT,
        metavar="N",
        help="how many realized trainings there are (default: %(default)s)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="realized trainings beside those, as JSON lines",
    )
    parser.add_argument(
        "--missing", type=ids, metavar="IDS", help="ids that are not there, such as 3,7,10-20"
    )
    parser.add_argument(
        "--fault",
        type=chance,
        action="append",
        default=[],
        metavar="NAME:RATE",
        help="let some of the requests meet a fault; may be repeated",
    )
    parser.add_argument(
        "--seed",
        type=number(int, 0, MAX_ID),
        metavar="N",
        help="draw the same faults each time (default: at random)",
    )
    parser.add_argument("--quiet", action="store_true", help="no log of requests")
    add_budget(parser, RateLimit(), optional=True)


def _run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; the exit code."""
    # Ctrl-C is how this command ends, even where it comes before (or, on Windows, without)
    # the handlers below.
    try:
        return asyncio.run(_serve(_sandbox(args), args.port, _limit(args)))
    except WrongUseError as error:
        tell(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        return 0


def _limit(args: argparse.Namespace) -> RateLimit | None:
    return None if args.limit is None else RateLimit(args.limit, args.period)


def _sandbox(args: argparse.Namespace) -> Sandbox:
    sandbox = Sandbox(
        port=args.port,
        api_key=args.api_key,
        rate_limit=_limit(args),
        size=args.size,
        missing=args.missing or (),
        fault=chooser(args.fault, args.seed) if args.fault else None,
        on_answer=None if args.quiet else log,
    )
    for record in records(args.data) if args.data else ():
        sandbox.put(record)
    return sandbox


async def _serve(sandbox: Sandbox, port: int, limit: RateLimit | None) -> int:
    stopped = asyncio.Event()
    with contextlib.suppress(NotImplementedError):
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signal_number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(sandbox)
        except OSError as error:
            # asyncio's own message differs from one Python to the next.
            reason = os.strerror(error.errno) if error.errno else str(error)
            tell(f"can't listen on port {port}: {reason}")
            return 1
        print(greeting(sandbox.url, sandbox.api_key, limit), flush=True)
        await stopped.wait()
    return 0


def log(arrival: Arrival) -> None:
    """A line on stderr for a request that is over."""
    # Whether anybody reads it is nothing to those who are answered.
    with contextlib.suppress(OSError, ValueError):
        print(f"{time.strftime('%H:%M:%S')} {log_line(arrival)}", file=sys.stderr, flush=True)


def log_line(arrival: Arrival) -> str:
    """What was asked, and what came of it."""
    asked = f"{arrival.path}?{arrival.query}" if arrival.query else arrival.path
    status = "cut off" if arrival.status is None else str(arrival.status)
    fault = f" ({arrival.fault})" if arrival.fault else ""
    # The path is decoded, and may hold whatever moves a terminal's cursor.
    asked = shown(asked.replace("\n", "\ufffd"), sys.stderr)
    return f"{arrival.method} {asked} {status}{fault}"


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


COMMAND = Command(
    "sandbox",
    summary="Serve an embedded Lucca on a local port until Ctrl-C",
    epilog=_EPILOG,
    add_options=_add_options,
    run=_run,
)
