"""How ``export`` ends when it can't go on: exit codes, signals, a full disk; and what it shows."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lucca_training_async.sandbox import Fault

from .exports import CLI, NO_BUDGET, SECONDS, Exports, exports
from .posix import FULL, HEEDS_CTRL_C, posix, with_full
from .processes import wait_until

__all__ = ["exports"]

WITHOUT_RICH = [
    sys.executable,
    "-c",
    "import sys; sys.modules['rich'] = None\n"
    "from lucca_training_async.cli import main\n"
    "sys.exit(main())",
]


@contextmanager
def process(*args: str, room: int | None = None) -> Generator[subprocess.Popen[str]]:
    """The command, in a process that may write no more into a file than there is room for."""

    def prepare() -> None:
        if HEEDS_CTRL_C is not None:
            HEEDS_CTRL_C()
        if room is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    # Who measures what the tests reach writes into a file as well, for which there is no room.
    env = {it: os.environ[it] for it in os.environ if room is None or "COVERAGE" not in it}
    env.pop("PYTHONUNBUFFERED", None)  # as users run it
    with subprocess.Popen(
        [*CLI, "export", *NO_BUDGET, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=env,
        preexec_fn=prepare,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(exports: Exports, number: signal.Signals) -> None:
    exports.sandbox.inject(Fault.slow(0), Fault.slow(0), Fault.slow(SECONDS))
    with process("--to", "out.jsonl") as running:
        wait_until(lambda: exports.path("out.jsonl.part").exists(), "nothing is written")
        wait_until(
            lambda: exports.path("out.jsonl.part").read_bytes().count(b'"next"') == 2,
            "two pages are not there",
        )
        running.send_signal(number)
        _, told = running.communicate(timeout=SECONDS)
    assert running.returncode == 130
    assert told.splitlines()[-1] == (
        "interrupted; 200 records kept, and the same command goes on from there"
    )
    assert exports.run("--to", "out.jsonl")[0] == 0
    assert len(exports.ids("out.jsonl")) == 998


def test_no_answer(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCCA_HOST", "http://127.0.0.1:1")
    code, told = exports.run("--to", "out.jsonl", "--quiet")
    assert code == 4
    error, todo, how = told.splitlines()
    assert error.startswith("error: no answer: ")
    assert todo.startswith("to do: ")
    assert how == "not done; 0 records kept, and the same command goes on from there"


def test_what_to_pass_is_told_as_an_option(
    exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUCCA_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    code, told = exports.run("--to", "out.jsonl")
    assert code == 4
    assert "pass --trust-env" in told
    assert "=True" not in told


def test_a_role_without_the_right(exports: Exports) -> None:
    exports.sandbox.inject(*[Fault.error(403)] * 40)
    exports.write("ids.txt", range(1, 101))
    assert exports.run("--to", "out.jsonl", "--ids", "ids.txt")[0] == 3
    # None of the denials counts for an answer about its id.
    exports.sandbox._faults.clear()  # pyright: ignore
    assert exports.run("--to", "out.jsonl", "--ids", "ids.txt")[0] == 1
    assert len(exports.ids("out.jsonl")) == 99
    assert exports.ids("out.failed.jsonl") == [7]


def test_a_key_that_is_refused_is_not_tried_with_each_id(
    exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUCCA_API_KEY", "another-key")
    ids = exports.write("ids.txt", range(1, 301))
    code, told = exports.run("--to", "out.jsonl", "--ids", ids)
    assert (code, exports.requests()) == (3, 1)
    assert "the list is no use" not in told


def test_denials_of_some_ids_are_failures_of_those(exports: Exports) -> None:
    exports.sandbox.inject_always(Fault.error(403), id=3)
    exports.sandbox.inject_always(Fault.error(403), id=2)
    exports.write("ids.txt", [3, 1, 2])
    assert exports.run("--to", "out.jsonl", "--ids", "ids.txt")[0] == 1
    assert [it["id"] for it in exports.lines("out.failed.jsonl")] == [3, 2]
    exports.write("two.txt", [3, 2])
    assert exports.run("--to", "two.jsonl", "--ids", "two.txt")[0] == 1
    assert exports.ids("two.jsonl") == []


@posix
@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
@pytest.mark.parametrize("part_fits", [False, True])
def test_a_full_disk(exports: Exports, name: str, part_fits: bool) -> None:
    exports.run("--to", name)
    expected = exports.path(name).read_bytes()
    exports.path(name).unlink()
    exports.requests()
    # Where the journal fits, the end of it does not.
    room = 334_000 if part_fits and name == "out.jsonl" else 100_000
    with process("--to", name, room=room) as running:
        _, told = running.communicate(timeout=SECONDS)
    assert running.returncode == 1
    last = told.splitlines()[-1]
    assert last.startswith(f"error: no room for {name}")
    assert last.endswith("records kept, and the same command goes on from there")
    assert name not in exports.files
    assert f"{name}.new" not in exports.files
    kept = int(re.findall(r"([\d,]+) records kept", last)[0].replace(",", ""))
    assert kept >= 200
    exports.requests()
    assert exports.run("--to", name)[0] == 0
    assert exports.path(name).read_bytes() == expected
    assert exports.requests() == -(-(998 - kept) // 100)


@posix
@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_must_not_be_written(exports: Exports) -> None:
    exports.path("folder").mkdir(mode=0o500)
    assert "Permission denied" in exports.refused("--to", "folder/out.jsonl")


def test_a_full_disk_at_the_very_end(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def full(descriptor: int) -> None:
        if exports.path("out.jsonl.new").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        code, told = exports.run("--to", "out.jsonl")
    assert code == 1
    assert "error: no room for out.jsonl: No space left on device; 998 records kept" in told
    # What would be written anew takes no room until then.
    assert set(exports.files) == {"out.jsonl.part"}
    exports.requests()
    assert (exports.run("--to", "out.jsonl")[0], exports.requests()) == (0, 0)
    assert len(exports.ids("out.jsonl")) == 998


@with_full
def test_a_full_disk_behind_stdout(exports: Exports) -> None:
    with FULL.open("wb") as full:
        command = [*CLI, "export", *NO_BUDGET, "--quiet"]
        told = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert told.returncode == 1
    assert told.stderr == b"error: no room for stdout: No space left on device\n"
    assert len(exports.sandbox.arrivals) <= 3


@posix
def test_what_goes_to_stdout_goes_as_it_comes(exports: Exports) -> None:
    exports.sandbox.inject_always(Fault.slow(SECONDS), id=2)
    with process("--quiet", "--ids", exports.write("ids.txt", [2, 1])) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith('{"id": 1,')
        # The other has not been given up yet, nor tried again.
        assert sorted(arrival.id for arrival in exports.sandbox.arrivals) == ["1", "2"]


@posix
def test_nobody_reads_stdout_any_more(exports: Exports) -> None:
    with process("--quiet") as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith('{"id": 1,')
        running.stdout.close()
        assert running.stderr is not None
        assert running.stderr.read() == ""
        assert running.wait(SECONDS) in (0, 1)


def test_the_log_as_json(exports: Exports) -> None:
    code, told = exports.run("--to", "out.jsonl", "--log-json")
    assert code == 0
    lines = [json.loads(line) for line in told.splitlines()]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    assert lines[-1]["counts"]["records"] == 998


def test_quiet_and_verbose(exports: Exports) -> None:
    assert exports.run("--to", "out.jsonl", "--quiet") == (0, "")
    told = exports.run("--to", "out.jsonl", "--verbose")[1]
    assert told.count("/talent-training/api/v2/realized-trainings?") >= 10


def in_terminal(command: list[str], **env: str) -> str:
    """What a process writes to a terminal of 60 columns."""
    import fcntl
    import pty
    import struct
    import termios

    main, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    told = b""
    own = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with subprocess.Popen(command, stderr=end, env=own | env) as running:
        os.close(end)
        while True:
            try:
                data = os.read(main, 4_096)
            except OSError:  # so Linux tells its end
                break
            if not data:
                break
            told += data
        assert running.wait(SECONDS) == 0
    os.close(main)
    return told.decode("ascii" if "PYTHONIOENCODING" in env else "utf-8")


EXPORT = ["export", *NO_BUDGET, "--to", "out.jsonl"]


@posix
@pytest.mark.parametrize(
    "env",
    [
        {"TERM": "xterm", "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"},
        {"TERM": "xterm", "COLUMNS": "60"},
    ],
)
def test_a_terminal_of_60_columns(exports: Exports, env: dict[str, str]) -> None:
    exports.sandbox.inject(Fault.slow(0), Fault.slow(0), Fault.slow(0.8))
    told = in_terminal([*CLI, *EXPORT], **env)
    has_colours = bool(re.search(r"\x1b\[[0-9;]*m", told))
    assert has_colours == ("NO_COLOR" not in env)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told)
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", shown)]
    assert max(map(len, lines)) <= 60
    assert any(re.fullmatch(r"[-\u2501\u2578\u257a ]+", line) for line in lines)
    counts = r"\d+ of 998 records, (about \d+ seconds?|a moment) to the end"
    assert any(re.fullmatch(counts, line) for line in lines)
    cost = r"\d+ of 10 requests, 999,\d+ left in the budget"
    assert any(re.fullmatch(cost, line) for line in lines)
    assert "998 records in out.jsonl" in shown


@posix
def test_a_terminal_tells_what_it_waits_for(exports: Exports) -> None:
    exports.sandbox.inject(Fault.slow(0), Fault.too_many_requests(2))
    told = in_terminal([*CLI, *EXPORT], TERM="xterm", NO_COLOR="1")
    assert re.search(r"waits for the end of a pause after a 429, at \d\d:\d\d:\d\d", told)
    assert len(exports.ids("out.jsonl")) == 998


@posix
@pytest.mark.parametrize("option", ["--quiet", "--log-json"])
def test_a_terminal_that_is_to_show_no_bar(exports: Exports, option: str) -> None:
    told = in_terminal([*CLI, *EXPORT, option], TERM="xterm")
    assert "\x1b" not in told
    assert [json.loads(line)["level"] for line in told.splitlines()] == (
        [] if option == "--quiet" else ["INFO", "INFO"]
    )


@posix
def test_a_terminal_without_rich(exports: Exports) -> None:
    told = in_terminal([*WITHOUT_RICH, *EXPORT], TERM="xterm")
    assert max(map(len, told.splitlines())) <= 60
    assert 'for a bar: pip install "lucca-training-async[cli]"\r\n' in told
    assert "\x1b" not in told
    assert len(exports.ids("out.jsonl")) == 998


def test_without_a_terminal_rich_is_not_missed(exports: Exports) -> None:
    done = subprocess.run([*WITHOUT_RICH, *EXPORT], stderr=subprocess.PIPE, text=True, check=True)
    assert "rich" not in done.stderr
    assert "pip" not in done.stderr


def test_names_are_safe_on_windows(exports: Exports) -> None:
    exports.path("Bericht 2025 é").mkdir()
    target = Path("Bericht 2025 é") / "Löhne.jsonl"
    exports.sandbox.inject(Fault.error(401))
    assert exports.run("--to", str(target))[0] == 3
    names = {path.name for path in target.parent.iterdir()}
    exports.write("ids.txt", [1, 7])
    exports.run("--to", str(target), "--ids", "ids.txt", "--update", "--restart")
    exports.run("--to", str(target), "--ids", "ids.txt", "--restart")
    names |= {path.name for path in target.parent.iterdir()}
    assert len(names) == 4
    assert not [name for name in names if re.search(r'[<>:"|?*\\]|[. ]$', name)]


@pytest.mark.parametrize("loud", [[], ["--verbose"], ["--verbose", "--log-json"]], ids=" ".join)
@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_echoed_key_is_nowhere(exports: Exports, status: int, loud: list[str]) -> None:
    key = exports.sandbox.api_key
    body = json.dumps({"title": f"lucca application={key}", key: key})
    exports.sandbox.inject(*[Fault.answer(status, body, headers={"X-Request-Id": key})] * 9)
    code, told = exports.run("--to", "out.jsonl", *loud)
    assert code == {400: 1}.get(status, 3)
    assert told
    assert key not in told
    assert all(key.encode() not in data for data in exports.files.values())
