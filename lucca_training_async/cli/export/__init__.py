"""The ``export`` command: records to a file, by a way that can be interrupted at any moment."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Coroutine, Mapping
from datetime import datetime
from typing import Any

from ..._attempt import Attempt
from ...client import LuccaTrainingClient
from ...errors import DecodeError, LuccaError
from ..advice import advice
from ..connection import Exit, exit_code, in_options, run_to_its_end, set_up_log
from ..options import Command
from ..terminal import tell
from .estimate import Cost, cost_in_words, number
from .files import DiskError, Files, Journal
from .finish import finish, known_before, troubles_left
from .options import EPILOG, Job, add_to, job_of
from .pipe import Pipe
from .progress import Standing, Tally, standing, summary
from .question import Question
from .source import Keeper, Source
from .telling import telling

logger: logging.Logger = logging.getLogger("lucca_training_async.export")

__all__ = ["COMMAND"]


def _run(args: argparse.Namespace) -> int:
    set_up_log(args)
    logger.setLevel(logging.ERROR if args.quiet else logging.INFO)
    tally = Tally()

    def note(attempt: Attempt) -> None:
        tally.note(attempt, _now())

    wants_bar = not (args.quiet or args.log_json)

    def command() -> Coroutine[Any, Any, Exit]:
        # Before there is an event loop, so that Ctrl-C ends the reading of stdin.
        job = job_of(args, tally, note)
        if job.ids is not None and not job.ids.valid:
            logger.warning("there are no ids in %s", "stdin" if args.ids == "-" else args.ids)
        return _export(job, restart=args.restart, wants_bar=wants_bar)

    return run_to_its_end(command)


async def _export(job: Job, *, restart: bool, wants_bar: bool) -> Exit:
    if job.files is None:
        return await _to_stdout(job, wants_bar)
    journal = Journal(job.files.part)
    try:
        journal.check(job.question, restart=restart)
        # One that was built before it was interrupted may have replaced the one before.
        if journal.kept.built is None or restart:
            known = _known(job.files, job.question)
            journal.begin(job.question, restart=restart)
            await _fetch(job, journal, known, wants_bar)
        return _finished(job, job.files, journal)
    except asyncio.CancelledError:
        _tell("interrupted", journal)
        return Exit.INTERRUPTED
    except DiskError as error:
        _tell(f"error: {error}", journal)
        return Exit.FAILURES
    except LuccaError as error:
        told = f"error: {in_options(str(error))}"
        _tell(told, journal, todo=advice(error).todo, may_be_stuck=isinstance(error, DecodeError))
        return exit_code(error)
    finally:
        journal.close()


def _known(files: Files, question: Question) -> Collection[int]:
    if not question.update:
        return ()
    known = known_before(files, question)
    if known is None:
        logger.info("there is no export to bring up to date yet: this is the first")
    return known or ()


async def _to_stdout(job: Job, wants_bar: bool) -> Exit:
    pipe = Pipe()
    try:
        await _fetch(job, pipe, (), wants_bar)
    except DiskError as error:
        tell(f"error: {error}")
        return Exit.FAILURES
    if job.ids is not None:
        pipe.tell(job.ids.refused)
    outcomes = Counter(trouble["outcome"] for trouble in troubles_left(pipe.kept, job.ids))
    return _concluded({"records": len(pipe.kept.records), **outcomes}, "all")


async def _fetch(job: Job, keeper: Keeper, known: Collection[int], wants_bar: bool) -> None:
    limit = job.settings.rate_limit
    period = 0.0 if limit is None else limit.period
    at_once = 1 if job.ids is None else job.settings.max_concurrency

    def announce(cost: Cost) -> None:
        what = "records" if job.ids is None else "ids"
        logger.info("%s", cost_in_words(cost, limit, what))

    if keeper.kept.records:
        logger.info("goes on after %s", number(len(keeper.kept.records), "records"))
    async with LuccaTrainingClient.from_settings(job.settings) as client:

        def look() -> Standing:
            return standing(job.tally, client.budget, period, at_once, _now())

        source = Source(client, job.question, job.ids, known, keeper, job.tally, announce)
        async with telling(look, wants_bar=wants_bar):
            await source.run()


def _finished(job: Job, files: Files, journal: Journal) -> Exit:
    counts = finish(files, journal, job.question, job.ids)
    return _concluded(counts, files.target.name, files)


def _concluded(counts: Mapping[str, int], where: str, files: Files | None = None) -> Exit:
    logger.info("%s", summary(counts, where), extra={"told": {"counts": dict(counts)}})
    is_incomplete = any(counts.get(name) for name in ("missing", "failed", "refused"))
    if files is not None and is_incomplete:
        logger.info("which, and why: %s", files.failed)
    return Exit.FAILURES if is_incomplete else Exit.OK


def _tell(what: str, journal: Journal, *, todo: str = "", may_be_stuck: bool = False) -> None:
    many = number(len(journal.kept.records), "records")
    anew = ", or begins anew with --restart" if may_be_stuck else ""
    if todo:
        logger.error("%s", what)
        logger.error("to do: %s", todo)
        what = "not done"
    logger.error("%s; %s kept, and the same command goes on from there%s", what, many, anew)


def _now() -> datetime:
    return datetime.now().astimezone()


COMMAND = Command(
    "export",
    summary="Export realized trainings to a file, or go on with it",
    epilog=EPILOG,
    add_options=add_to,
    run=_run,
)
