"""The ``check`` command: whether host and key work, and for every failure what to do next.

Three requests at most, whatever happens: one for each list, none repeated.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, cast

import attrs

from .._attempt import Attempt
from .._budget import Budget
from ..client import LuccaTrainingClient
from ..errors import (
    AuthenticationError,
    DecodeError,
    LuccaError,
    RequestError,
)
from ..resources import Params
from ..settings import RetryPolicy, Settings, Timeouts
from .advice import advice, until
from .clock import Difference
from .connection import (
    EXIT_CODES,
    Exit,
    add_connection,
    exit_code,
    exit_codes,
    in_options,
    run_to_its_end,
    set_up_log,
    settings_of,
)
from .options import Command
from .terminal import aligned, shown, tell, width, wrapped

# A person waits, and each request is sent once: neither a failure nor a 429 is waited for.
_RETRY = RetryPolicy(max_attempts=1, retry_after_max=0.0)
_TIMEOUTS = Timeouts(total=10.0)
_COUNT: Params = {"fields.root": "count", "limit": 0}
_A_MOMENT = 1.0
_LEDGER = """\
the ledger can't be reached, and each client would keep to a part of its own
To do: start the server that keeps it, or correct --shared-budget or LUCCA_SHARED_BUDGET."""
_LIMITS = """\
the clients that share it have different limits, of which the strictest counts
To do: give all of them the same (--limit, and rate_limit in programs)."""
_CLOCKS = """\
they are apart
To do: set this machine's clock by a time server; certificates and logs depend on it."""

# Lucca's developer documentation, "List ..."; the first is what this package is about.
QUESTIONS = {
    "realized trainings": "/talent-training/api/v2/realized-trainings",
    "trainings (catalogue)": "/talent-training/api/v1/trainings",
    "training demands": "/talent-training/api/v2/training-demands",
}

_CODES: Mapping[int, str] = {
    **{code: told for code, told in EXIT_CODES.items() if code is not Exit.FAILURES},
    Exit.OK: "realized trainings can be read",
}
_EPILOG = f"""\
It asks three times at most: how many realized trainings,
trainings and training demands the key may read. Nothing
is changed in Lucca.

{exit_codes(_CODES)}

examples:
  export LUCCA_HOST=acme.ilucca.net
  lucca-training-async check       # asks for the key
  lucca-training-async check --api-key-file key.txt
"""


@attrs.frozen
class Answer:
    """What became of one question.

    Attributes:
        name: What it was about.
        count: How many records there are, if that was told.
        error: Why it isn't answered, or None.
        budget: The budget, just after it.
        clocks: What it tells of the clocks.
    """

    name: str
    count: int | None = None
    error: LuccaError | None = None
    budget: Budget = attrs.field(factory=lambda: Budget(None))
    clocks: Difference | None = None


@attrs.frozen
class Verdict:
    """What is told in the end.

    Attributes:
        rows: What was found, and how it is called.
        problems: Of what failed: why, and what to do; a paragraph each.
        last: It all, in a sentence.
        code: The exit code.
    """

    rows: Sequence[tuple[str, str]]
    problems: Sequence[str]
    last: str
    code: Exit


def _run(args: argparse.Namespace) -> int:
    # What the log warns of is in the report.
    set_up_log(args, usual=logging.ERROR)
    return run_to_its_end(
        lambda: _check(settings_of(args, retry=_RETRY, timeouts=_TIMEOUTS), is_quiet=args.quiet)
    )


async def _check(settings: Settings, *, is_quiet: bool) -> Exit:
    answers: list[Answer] = []
    for name, path in islice(QUESTIONS.items(), _most(settings)):
        answers.append(await _ask(settings, name, path, is_quiet=is_quiet))
        error = answers[-1].error
        if error is not None and not advice(error).is_of_one_list:
            break
    verdict = judge(settings, answers, datetime.now())
    if verdict.code is not Exit.OK or not is_quiet:
        rows = [(name, shown(value)) for name, value in verdict.rows]
        print(aligned(rows, width()))
        for text in (*verdict.problems, verdict.last):
            lines = [part for line in text.splitlines() for part in wrapped(line, width())]
            print("", *map(shown, lines), sep="\n")
    return verdict.code


def _most(settings: Settings) -> int | None:
    """How many questions the budget lets be asked at once; None for all of them."""
    # A shared one counts them by itself.
    limit = None if settings.shared_budget else settings.rate_limit
    return None if limit is None else limit.requests


async def _ask(settings: Settings, name: str, path: str, *, is_quiet: bool) -> Answer:
    # A client for each: one that has been answered before asks again for what was answered, to
    # see whose fault a failure is, and that would be a fourth request.
    attempts: list[Attempt] = []
    settings = settings.replace(on_attempt=attempts.append)
    async with LuccaTrainingClient.from_settings(settings) as client:
        wait = client.budget.next_slot_in or 0.0
        if wait > _A_MOMENT and not is_quiet:
            tell(f"the shared budget is used up: waiting for {wait:.0f} s", level="WARNING")
        try:
            answer = await client.raw_get(path, _COUNT)
        except RequestError as error:
            return Answer(name, error=error.with_traceback(None), budget=client.budget)
        answered = time.time()
        # Waiting for its turn is no part of it.
        clocks = Difference.of(answer.headers, answered - attempts[-1].seconds, answered)
        body: Any = answer.json
        page: Mapping[str, object] = {}
        if isinstance(body, Mapping):
            page = cast(Mapping[str, object], body)
        count = page.get("count")
        wrong = None if page.keys() & {"items", "count"} else _no_list(settings, path)
        told = count if isinstance(count, int) else None
        return Answer(name, told, wrong, client.budget, clocks)


def _no_list(settings: Settings, path: str) -> LuccaError:
    url = str(settings.base_url.with_path(path))
    return DecodeError("the answer is JSON, and no list of Lucca's", url=url, path="$", excerpt="")


def judge(settings: Settings, answers: Sequence[Answer], now: datetime) -> Verdict:
    """What the answers come to.

    Args:
        settings: With what was asked.
        answers: At least one; no more after one that speaks for all.
        now: The time, by the clock of those who read it.
    """
    asked = {answer.name: answer for answer in answers}
    best = min(filter(None, (answer.clocks for answer in answers)), key=_width, default=None)
    rows = [
        ("host", f"{settings.base_url.origin()}: {_host(answers)}"),
        ("API key", _key(answers)),
        *((name, _list(asked.get(name))) for name in QUESTIONS),
        ("budget", _budget(settings, answers)),
        ("clocks", f"not known: {_no_clocks(answers)}" if best is None else str(best)),
    ]
    problems = [_problem(answer.name, answer.error, now) for answer in answers if answer.error]
    if answers[-1].budget.alone:
        problems.append(f"budget: {_LEDGER}")
    elif _is_stricter(answers[-1].budget, settings):
        problems.append(f"budget: {_LIMITS}")
    if best is not None and best.is_noteworthy:
        problems.append(f"clocks: {_CLOCKS}")
    codes = [_code(answer, is_main=number == 0) for number, answer in enumerate(answers)]
    # That of the first is what is named.
    code = next(filter(None, codes), None) or (Exit.USAGE if answers[-1].budget.alone else Exit.OK)
    return Verdict(rows, problems, _last(answers, code), code)


def _is_stricter(budget: Budget, settings: Settings) -> bool:
    own = settings.rate_limit
    return budget.limit is not None and own is not None and budget.limit < own.requests


def _no_clocks(answers: Sequence[Answer]) -> str:
    # A refusal's date is not handed on by the client.
    succeeded = any(answer.error is None for answer in answers)
    return "no answer had a date" if succeeded else "only an answer that succeeds tells"


def _width(difference: Difference) -> float:
    return difference.most - difference.least


def _last(answers: Sequence[Answer], code: Exit) -> str:
    if code is Exit.OK:
        return "Ready: realized trainings can be read."
    failed = next((answer.error for answer in answers if answer.error), None)
    why = "the shared budget can't be reached" if failed is None else advice(failed).name
    return f"Not ready: {why}."


def _code(answer: Answer, *, is_main: bool) -> Exit:
    match answer.error:
        case None:
            return Exit.OK
        case error if not is_main and advice(error).is_of_one_list:
            return Exit.OK
        case error:
            code = exit_code(error)
            return Exit.UNREACHABLE if code is Exit.FAILURES else code


def _host(answers: Sequence[Answer]) -> str:
    told = ["answers" if answer.error is None else advice(answer.error).host for answer in answers]
    return "answers" if "answers" in told else told[0]


def _key(answers: Sequence[Answer]) -> str:
    rows = [None if answer.error is None else advice(answer.error) for answer in answers]
    if any(row is None or row.is_key_known for row in rows):
        return "accepted"
    is_refused = any(isinstance(answer.error, AuthenticationError) for answer in answers)
    return "refused" if is_refused else "not known"


def _list(answer: Answer | None) -> str:
    if answer is None:
        return "not asked"
    if answer.error is not None:
        return f"no: {advice(answer.error).name}"
    return "yes" if answer.count is None else f"yes, {answer.count:,} records"


def _problem(name: str, error: LuccaError, now: datetime) -> str:
    url = getattr(error, "url", "")
    # It says no more than the name of the list.
    told = in_options(str(error).replace(f" [{url}]", "") if url else str(error))
    moment = until(error, now)
    when = "" if moment is None else f"\nWhen: {moment}."
    return f"{name}: {told}\nTo do: {advice(error).todo}{when}"


def _budget(settings: Settings, answers: Sequence[Answer]) -> str:
    last = answers[-1].budget
    if last.alone:
        return f"not shared: {last.ledger} can't be reached"
    if last.ledger is not None:
        others = last.clients - 1
        many = {0: "nobody else", 1: "one other client"}.get(others, f"{others} other clients")
        return f"{_left(last.limit, last.in_use)} left, shared with {many} in {last.ledger}"
    used = sum(answer.budget.in_use for answer in answers)
    limit = None if settings.rate_limit is None else settings.rate_limit.requests
    return f"{_left(limit, used)} left of this command's part; what others use can't be seen"


def _left(limit: int | None, used: int) -> str:
    return "all" if limit is None else f"{max(limit - used, 0)} of {limit} requests a minute"


COMMAND = Command(
    "check",
    summary="Tell whether host and key work, and what to do if not",
    epilog=_EPILOG,
    add_options=add_connection,
    run=_run,
)
