"""What is told of a server that can't be used: what it is, and what to do; never the password."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lucca_training_async import ConfigurationError, LuccaTrainingClient
from lucca_training_async._budget.redis import RedisStore
from lucca_training_async._budget.steps import Meet, Take, UnreachableError

from .redis_server import ASK, HAS_REDIS, PASSWORD, Stage, assert_is_hidden
from .redis_server import stage as stage

pytestmark = [
    pytest.mark.skipif(not HAS_REDIS, reason="redis, or a server for it, is missing"),
    pytest.mark.real_time,
]
pytest.importorskip("redis")

RIGHT = "the-right-one"
PAGE = Path(__file__).parent.parent / "docs" / "processes.md"


@asynccontextmanager
async def saying(answer: bytes) -> AsyncGenerator[str, None]:
    """A server that says always the same, once it has been told something; gives its address."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while told := await reader.read(4096):
            # Once for each command, however many of them come together.
            writer.write(answer * max(1, f"\r\n{told.decode()}".count("\r\n*")))
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (f"password={PASSWORD}", "mend user and password in the URL"),
        (f"username=x&password={PASSWORD}", "mend user and password in the URL"),
        (f"db=99&password={RIGHT}", "no database of that number"),
    ],
)
async def test_what_is_wrong_with_the_url_is_told_as_such(
    stage: Stage, option: str, told: str
) -> None:
    await stage.other.execute_command("CONFIG", "SET", "requirepass", RIGHT)
    store = RedisStore(f"{stage.server.url}?{option}")
    with pytest.raises(ConfigurationError, match=told) as caught:
        await store.apply("acme", [Meet(ASK)])
    assert "scripts" not in str(caught.value)
    assert_is_hidden(caught.value)
    await store.aclose()


async def test_a_password_that_is_missing_is_told(stage: Stage) -> None:
    await stage.other.execute_command("CONFIG", "SET", "requirepass", PASSWORD)
    store = RedisStore(stage.server.url)
    with pytest.raises(ConfigurationError, match="mend user and password"):
        await store.apply("acme", [Meet(ASK)])
    await store.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        f"HTTP/1.1 400 Bad Request\r\n\r\n{PASSWORD}\r\n".encode(),
        f"220 mail.example.com {PASSWORD}\r\n".encode(),
        b"\xff\xfe\r\n",
        b"+OK\r\n",
    ],
    ids=["HTTP", "mail", "binary", "always OK"],
)
async def test_a_server_that_is_no_redis_is_told(answer: bytes) -> None:
    async with saying(answer) as address:
        store = RedisStore(f"redis://me:{PASSWORD}@{address}/0")
        with pytest.raises(ConfigurationError, match="no Redis server: mend host") as caught:
            await store.apply("acme", [Meet(ASK)])
        assert address in str(caught.value)
        assert_is_hidden(caught.value)
        await store.aclose()


async def test_what_has_worked_is_a_redis_server_out_of_reach(stage: Stage) -> None:
    """Something else may be in its place while it is moved."""
    await stage.apply(Meet(ASK))
    stage.server.stop()
    path = stage.server.url.removeprefix("unix://")

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
        writer.close()

    server = await asyncio.start_unix_server(say, path)
    with pytest.raises(UnreachableError, match="not as a Redis server does"):
        await stage.apply(Meet(ASK))
    server.close()
    await server.wait_closed()


async def test_who_does_not_answer_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    url = f"redis://me:{PASSWORD}@127.0.0.1:1/0"
    async with LuccaTrainingClient("acme.ilucca.net", "your-api-key", shared_budget=url):
        pass
    assert [record.getMessage() for record in caplog.records] == [
        "the shared budget can't be reached (redis://127.0.0.1:1/0: Connection refused): going on "
        "alone, within 50 requests per 60 s, and trying again"
    ]


async def test_a_path_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    store = RedisStore(f"unix://{tmp_path}/s")
    with pytest.raises(UnreachableError, match="/s: No such file or directory$"):
        await store.apply("acme", [])
    await store.aclose()


async def test_the_user_of_the_documentation_may_all_that_is_needed(stage: Stage) -> None:
    line = re.search(r"^ACL SETUSER lucca on >your-password (.+)$", PAGE.read_text(), re.MULTILINE)
    assert line is not None
    user = ["ACL", "SETUSER", "lucca", "on", f">{PASSWORD}", *line[1].split()]
    await stage.other.execute_command(*user)
    for name in ("one", "two"):  # the script is there already, the second time
        store = RedisStore(f"{stage.server.url}?username=lucca&password={PASSWORD}&db=1")
        await store.apply(name, [Take(ASK)])
        await store.aclose()
    refused = {str(entry["object"]) for entry in await stage.other.acl_log()}
    assert {name for name in refused if "setinfo" not in name} == set()  # redis-py needs no answer
