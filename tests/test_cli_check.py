"""``check``: what it finds, what it says to do, its exit code; three requests at most."""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import attrs
import pytest

from lucca_training_async import (
    Budget,
    LuccaTrainingClient,
    MemoryLedger,
    PermissionDeniedError,
    RateLimit,
    RateLimitedError,
    Settings,
)
from lucca_training_async.cli.check import QUESTIONS, Answer, judge
from lucca_training_async.cli.check import (
    _check as run_check,  # pyright: ignore[reportPrivateUsage]
)
from lucca_training_async.cli.clock import Difference
from lucca_training_async.cli.connection import Exit
from lucca_training_async.sandbox import Fault, Sandbox

from .command_line import CLI_WITHOUT_RICH, KEY, Told, call, run

REALIZED, CATALOGUE, DEMANDS = QUESTIONS.values()
PAGE = Fault.html()
NAMES = list(QUESTIONS)


def check(sandbox: Sandbox, *options: str, **variables: str) -> Told:
    given = {"LUCCA_HOST": sandbox.url, "LUCCA_API_KEY": sandbox.api_key} | variables
    return call("check", *options, **given)


def rows(told: Told) -> dict[str, str]:
    """What stands beside each name."""
    lines = told.out.partition("\n\n")[0].splitlines()
    return {line[:21].strip(): line[21:].strip() for line in lines if line[0] != " "}


@pytest.fixture
def sandbox() -> Generator[Sandbox, None, None]:
    with Sandbox(api_key=KEY, size=1_200) as running:
        yield running


class TestAllIsWell:
    def test_what_is_told(self, sandbox: Sandbox) -> None:
        told = check(sandbox)
        assert (told.code, told.err) == (0, "")
        found = rows(told)
        seen = r"no difference that can be seen \(less than \d(\.\d)? s\)"
        assert re.fullmatch(seen, found.pop("clocks"))
        assert found == {
            "host": f"{sandbox.url}: answers",
            "API key": "accepted",
            "realized trainings": "yes, 1,200 records",
            "trainings (catalogue)": "yes, 300 records",
            "training demands": "yes, 450 records",
            "budget": "47 of 50 requests a minute left of this command's part;",
        }
        assert told.out.endswith("\n\nReady: realized trainings can be read.\n")
        assert [arrival.path for arrival in sandbox.arrivals] == [REALIZED, CATALOGUE, DEMANDS]

    def test_quiet(self, sandbox: Sandbox) -> None:
        assert check(sandbox, "--quiet") == (0, "", "")
        told = check(sandbox, "--quiet", LUCCA_API_KEY="wrong")
        assert (told.code, told.err) == (3, "")
        assert rows(told)["API key"] == "refused"
        assert told.out.endswith("\nNot ready: key refused.\n")

    def test_verbose(self, sandbox: Sandbox) -> None:
        assert check(sandbox, "--verbose").err.count(" -> 200 in ") == 3

    def test_as_a_process_without_rich_in_sixty_ascii_columns(self, sandbox: Sandbox) -> None:
        told = run(
            "check",
            cli=CLI_WITHOUT_RICH,
            LUCCA_HOST=sandbox.url,
            LUCCA_API_KEY="wrong",
            COLUMNS="60",
            PYTHONIOENCODING="ascii",
        )
        assert (told.code, told.err) == (3, "")
        assert all(len(line) <= 60 for line in told.out.splitlines())
        assert told.out.isascii()


@pytest.mark.parametrize(
    ("faults", "code", "sent", "last", "todo"),
    [
        ([Fault.error(401)], 3, 1, "key refused", "To do: Is the key whole"),
        ([Fault.error(403)], 3, 3, "no right", "have Lucca's administrator give"),
        ([Fault.error(404)], 3, 3, "not found", "what the role may see"),
        ([Fault.too_many_requests(30)], 4, 1, "request budget spent", "When: until "),
        ([Fault.too_many_requests(None)], 4, 1, "request budget spent", "wait a minute"),
        ([Fault.error(400)], 4, 3, "refused", "newest version"),
        ([Fault.error(408)], 4, 1, "Lucca took too long", "again in a minute"),
        ([Fault.internal_error()] * 9, 4, 3, "Lucca is down", "Lucca's support"),
        ([Fault.unavailable(600)], 4, 3, "Lucca is down", "(in 600 s)"),
        ([Fault.drop()], 4, 1, "connection broke", "Try again"),
        ([Fault.truncate()], 4, 1, "connection broke", "Try again"),
        ([PAGE], 4, 1, "not Lucca", "a login page"),
        ([Fault.answer(404, "<html>", content_type="text/html")], 4, 1, "not Lucca", "region"),
        ([Fault.answer(302, headers={"Location": "/login"})], 4, 1, "redirect", "follow them"),
        ([Fault.answer(200, '{"name": "another API"}')], 4, 1, "not Lucca", "region"),
        ([Fault.answer(200, "[]")], 4, 1, "not Lucca", "region"),
    ],
)
def test_failures(
    faults: list[Fault], code: int, sent: int, last: str, todo: str, sandbox: Sandbox
) -> None:
    sandbox.inject(*faults)
    told = check(sandbox)
    assert (told.code, told.err) == (code, "")
    assert len(sandbox.arrivals) == sent
    assert told.out.endswith(f"Not ready: {last}.\n")
    assert todo in " ".join(told.out.split())


@pytest.mark.parametrize(
    ("fault", "host", "key"),
    [
        (Fault.error(401), "answers", "refused"),
        (Fault.error(403), "answers", "accepted"),
        (Fault.too_many_requests(30), "answers", "not known"),
        (Fault.internal_error(), "answers with an error", "not known"),
        (PAGE, "answers, but not as Lucca does", "not known"),
        (Fault.drop(), "no answer", "not known"),
    ],
    ids=lambda it: getattr(it, "name", str(it)),
)
def test_what_a_failure_shows_of_host_and_key(
    fault: Fault, host: str, key: str, sandbox: Sandbox
) -> None:
    sandbox.inject(*[fault] * 3)
    found = rows(check(sandbox))
    assert (found["host"], found["API key"]) == (f"{sandbox.url}: {host}", key)


class TestTheRest:
    """What is not about realized trainings is told, and doesn't fail where it is about rights."""

    @pytest.mark.parametrize(
        ("path", "status", "code"), [(CATALOGUE, 403, 0), (DEMANDS, 404, 0), (DEMANDS, 500, 0)]
    )
    def test_another_list(self, path: str, status: int, code: int, sandbox: Sandbox) -> None:
        sandbox.answer(path, {"title": "no"}, status=status)
        told = check(sandbox)
        assert told.code == code
        assert len(sandbox.arrivals) == 3
        assert rows(told)["API key"] == "accepted"
        assert rows(told)["host"] == f"{sandbox.url}: answers"
        assert " no: " in told.out
        assert "To do: " in told.out

    def test_each_list_fails_after_one_was_answered(self, sandbox: Sandbox) -> None:
        """The client would ask again for what was answered before, to see whose fault it is."""
        for path in (CATALOGUE, DEMANDS):
            sandbox.answer(path, {"title": "no"}, status=500)
        told = check(sandbox)
        assert told.code == 0
        assert told.out.endswith("Ready: realized trainings can be read.\n")
        assert len(sandbox.arrivals) == 3

    def test_a_small_part_of_the_budget_is_kept_to(self, sandbox: Sandbox) -> None:
        told = check(sandbox, "--limit", "2")
        assert told.code == 0
        assert len(sandbox.arrivals) == 2
        assert rows(told)["training demands"] == "not asked"
        assert rows(told)["budget"].startswith("0 of 2 requests a minute left")

    def test_a_count_that_is_not_told(self, sandbox: Sandbox) -> None:
        sandbox.answer(REALIZED, {"items": []})
        told = check(sandbox)
        assert (told.code, rows(told)["realized trainings"]) == (0, "yes")


class TestTheWayThere:
    @pytest.mark.parametrize(
        ("host", "last"),
        [("http://127.0.0.1:1", "port refused"), ("https://127.0.0.1:1", "port refused")],
    )
    def test_nobody_listens(self, host: str, last: str) -> None:
        told = call("check", LUCCA_HOST=host, LUCCA_API_KEY=KEY)
        assert told.code == 4
        assert told.out.endswith(f"Not ready: {last}.\n")
        assert rows(told)["host"] == f"{host}: no answer"
        assert rows(told)["API key"] == "not known"

    def test_a_name_that_does_not_exist(self) -> None:
        told = call("check", "--host", "x.invalid", "--allow-any-host", LUCCA_API_KEY=KEY)
        assert (told.code, told.out.splitlines()[-1]) == (4, "Not ready: name not found.")

    def test_no_tls_there(self, sandbox: Sandbox) -> None:
        told = check(sandbox, LUCCA_HOST=sandbox.url.replace("http:", "https:"))
        assert (told.code, told.out.splitlines()[-1]) == (4, "Not ready: no TLS.")

    def test_a_certificate_that_nobody_trusts(self, self_signed: ssl.SSLContext) -> None:
        with tls_server(self_signed) as url:
            told = call("check", LUCCA_HOST=url, LUCCA_API_KEY=KEY)
        assert (told.code, told.out.splitlines()[-1]) == (4, "Not ready: certificate not trusted.")

    @pytest.mark.parametrize(
        ("options", "last"),
        [(["--trust-env"], "proxy not reached"), ([], "a proxy is set and not used")],
    )
    def test_a_proxy(self, options: list[str], last: str) -> None:
        told = call(
            "check",
            *options,
            LUCCA_HOST="http://127.0.0.1:1",
            LUCCA_API_KEY=KEY,
            HTTP_PROXY="http://user:hunter2@127.0.0.1:1",
        )
        assert (told.code, told.out.splitlines()[-1]) == (4, f"Not ready: {last}.")
        assert "hunter2" not in told.out + told.err


@contextmanager
def tls_server(context: ssl.SSLContext) -> Generator[str, None, None]:
    """It speaks TLS, in a loop and a thread of its own."""
    loop = asyncio.new_event_loop()

    async def start() -> asyncio.Server:
        def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        return await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)

    server = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(server.wait_closed())
        loop.close()


class TestSharedBudget:
    def test_who_shares_it(self, sandbox: Sandbox, tmp_path: Path) -> None:
        url = f"sqlite://{tmp_path}/lucca.db"

        async def beside(limit: RateLimit) -> Told:
            async with LuccaTrainingClient(
                sandbox.url, KEY, shared_budget=url, rate_limit=limit
            ) as client:
                await client.realized_trainings.get(1)
                return await asyncio.to_thread(_checked, sandbox, url)

        alone = check(sandbox, LUCCA_SHARED_BUDGET=url)
        assert "47 of 50 requests a minute left, shared with nobody else in sqlite://" in " ".join(
            alone.out.split()
        )
        told = asyncio.run(beside(RateLimit(20)))
        assert told.code == 0
        whole = " ".join(told.out.split())
        assert "requests a minute left, shared with one other client in sqlite://" in whole
        assert "different limits, of which the strictest counts To do: give all" in whole

    def test_a_ledger_that_can_not_be_reached(self, sandbox: Sandbox) -> None:
        told = check(sandbox, "--shared-budget", "redis://user:hunter2@127.0.0.1:1/0")
        assert (told.code, told.err) == (2, "")
        assert "budget                 not shared: redis://127.0.0.1:1/0 can't be" in told.out
        assert told.out.endswith("Not ready: the shared budget can't be reached.\n")
        assert "hunter2" not in told.out

    def test_one_that_can_not_work(self, sandbox: Sandbox, tmp_path: Path) -> None:
        told = check(sandbox, "--shared-budget", f"sqlite://{tmp_path}/no/lucca.db")
        assert (told.code, told.out) == (2, "")
        assert told.err.startswith("error: shared_budget: there is no folder ")
        assert "\nto do: Correct --shared-budget" in told.err


@pytest.mark.parametrize("is_quiet", [False, True])
async def test_a_shared_budget_that_is_used_up_is_waited_for(
    is_quiet: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    async with Sandbox(api_key=KEY, size=9, rate_limit=None) as sandbox:
        shared = MemoryLedger()
        # Nobody else's clock is asked.
        shared._store.clock = asyncio.get_running_loop().time  # pyright: ignore
        settings = Settings(sandbox.url, KEY, rate_limit=RateLimit(4), shared_budget=shared)
        async with LuccaTrainingClient.from_settings(settings) as other:
            for _ in range(4):
                await other.raw_get(DEMANDS)
        verdict = await run_check(settings, is_quiet=is_quiet)
    assert verdict is Exit.OK
    told = "" if is_quiet else "the shared budget is used up: waiting for 60 s\n"
    assert capsys.readouterr().err == told


def _checked(sandbox: Sandbox, url: str) -> Told:
    return run("check", LUCCA_HOST=sandbox.url, LUCCA_API_KEY=KEY, LUCCA_SHARED_BUDGET=url)


SETTINGS = Settings("acme.ilucca.net", "key")
WELL = Answer(NAMES[0], 5, budget=Budget(50, 1), clocks=Difference(-0.5, 0.6))
SPENT = RateLimitedError("429", url="u", status=429)
NO_RIGHT = PermissionDeniedError("403", url="u", status=403)


@pytest.mark.parametrize(
    ("answers", "code", "last", "problem"),
    [
        ([WELL], 0, "Ready: realized trainings can be read.", None),
        (
            [WELL, attrs.evolve(WELL, name=NAMES[1], clocks=Difference(59, 60))],
            0,
            "Ready: realized trainings can be read.",
            "clocks: they are apart",  # the narrower bounds count
        ),
        (
            [attrs.evolve(WELL, clocks=Difference(59, 60))],
            0,
            "Ready: realized trainings can be read.",
            "clocks: they are apart\nTo do: set this machine's clock",
        ),
        ([Answer(NAMES[0], error=NO_RIGHT)], 3, "Not ready: no right.", "realized trainings: 403"),
        (
            [Answer(NAMES[0], error=NO_RIGHT), Answer(NAMES[1], error=SPENT)],
            3,
            "Not ready: no right.",
            "realized trainings: 403",
        ),
        (
            [WELL, Answer(NAMES[1], error=NO_RIGHT)],
            0,
            "Ready: realized trainings can be read.",
            "trainings (catalogue): 403",
        ),
        (
            [attrs.evolve(WELL, budget=Budget(50, 1, ledger="redis://h", alone=True))],
            2,
            "Not ready: the shared budget can't be reached.",
            "budget: the ledger can't be reached",
        ),
    ],
)
def test_the_verdict(answers: list[Answer], code: int, last: str, problem: str | None) -> None:
    verdict = judge(SETTINGS, answers, datetime(2026, 1, 1))
    assert (verdict.code, verdict.last) == (code, last)
    told = "\n".join(verdict.problems)
    assert problem is None or told.startswith(problem)
    assert [name for name, _ in verdict.rows] == ["host", "API key", *NAMES, "budget", "clocks"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (WELL, "no difference that can be seen (less than 0.6 s)"),
        (attrs.evolve(WELL, clocks=None), "not known: no answer had a date"),
        (Answer(NAMES[0], error=NO_RIGHT), "not known: only an answer that succeeds tells"),
    ],
)
def test_why_the_clocks_are_not_known(answer: Answer, told: str) -> None:
    verdict = judge(SETTINGS, [answer], datetime(2026, 1, 1))
    assert dict(verdict.rows)["clocks"] == told


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        (Budget(50, 3, ledger="redis://h", clients=1), "47 of 50 requests a minute left, shared"),
        (Budget(50, 60, ledger="redis://h", clients=3), "0 of 50 requests a minute left, shared"),
        (Budget(50, 3), "47 of 50 requests a minute left of this command's part"),
    ],
)
def test_the_budget(budget: Budget, told: str) -> None:
    verdict = judge(SETTINGS, [attrs.evolve(WELL, budget=budget)], datetime(2026, 1, 1))
    assert dict(verdict.rows)["budget"].startswith(told)
    if budget.clients > 2:
        assert "with 2 other clients in redis://h" in dict(verdict.rows)["budget"]
