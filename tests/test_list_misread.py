"""Servers that read each filter in a way of its own: no record is lost in silence by that."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest

from lucca_training_async import DecodeError, LuccaTrainingClient, TrainingDemandState
from lucca_training_async._lists.walk import Walk

from .listed import realized
from .raw_server import RawServer, Request
from .raw_stage import KEY, answer
from .support import QUICK

Reads = Literal["commas", "repeated", "first", "ignored"]
"""Of several values: those between commas, those repeated, the first alone, or none at all."""
Wire = dict[str, Any]
Make = Callable[[dict[str, list[str]]], bytes]

BAD_REQUEST = answer(b'{"title": "Bad Request", "status": 400}', "400 Bad Request")
OF: dict[str, Callable[[Wire], int]] = {
    "ownerIds": lambda it: it["ownerId"],
    "trainingId": lambda it: it["training"]["id"],
}


def read(reads: Reads, given: list[str]) -> list[int] | None:
    """The values that such a server takes; None where it takes the question for none."""
    if reads == "commas":  # of a parameter that is repeated it knows the last
        return [int(text) for text in given[-1].split(",")]
    if reads == "repeated":
        return [int(text) for text in given] if "," not in "".join(given) else None
    return [int(given[0].split(",")[0])]


def serving(records: list[Wire], **reads: Reads) -> Make:
    def make(query: dict[str, list[str]]) -> bytes:
        found = records
        for name, how in reads.items():
            if name in query and how != "ignored":
                values = read(how, query[name])
                if values is None:
                    return BAD_REQUEST
                found = [it for it in found if OF[name](it) in values]
        limit, page = int(query["limit"][0]), int(query.get("page", ["1"])[0])
        items = found[(page - 1) * limit : page * limit]
        has_more = page * limit < len(found)
        return answer(
            json.dumps(
                {"items": items, "next": page + 1 if has_more else None, "count": len(found)}
            ).encode()
        )

    return make


@asynccontextmanager
async def client_of(make: Make) -> AsyncGenerator[tuple[LuccaTrainingClient, list[str]], None]:
    asked: list[str] = []

    async def handle(request: Request) -> bool:
        query = urlsplit(request.head.split()[1]).query
        asked.append(query)
        await request.send(make(parse_qs(query)))
        return True

    async with RawServer(handle).running() as server:
        async with LuccaTrainingClient(server.url, KEY, rate_limit=None, retry=QUICK) as client:
            yield client, asked


def tenant(owners: int = 4, courses: int = 4, each: int = 5) -> list[Wire]:
    pairs = [(o, c) for o in range(1, owners + 1) for c in range(1, courses + 1)] * each
    return [realized(id, owner, course) for id, (owner, course) in enumerate(pairs, 1)]


def ids_of(records: list[Wire], owners: set[int], courses: set[int]) -> set[int]:
    return {
        it["id"] for it in records if it["ownerId"] in owners and it["training"]["id"] in courses
    }


ALL = {1, 2, 3, 4}


@pytest.mark.parametrize("owner_reading", ["commas", "repeated", "ignored"])
@pytest.mark.parametrize("training_reading", ["commas", "repeated", "ignored"])
async def test_each_filter_is_read_in_its_own_way(
    owner_reading: Reads, training_reading: Reads
) -> None:
    """Whatever a list has shown of one filter, the next list loses nothing by it."""
    records = tenant()
    make = serving(records, ownerIds=owner_reading, trainingId=training_reading)
    async with client_of(make) as (client, _):
        for owners, courses in [({1, 2}, ALL), (ALL, {2, 3}), ({3, 4}, ALL), (ALL, {1, 4})]:
            asked: dict[str, Any] = {"owner_ids": owners} if owners != ALL else {}
            asked |= {"training_ids": courses} if courses != ALL else {}
            found = [it.id async for it in client.realized_trainings.list(**asked)]
            assert len(found) == len(set(found))
            assert set(found) == ids_of(records, owners, courses)


async def test_a_filter_that_is_not_known_does_not_make_another_be_misread() -> None:
    """An empty answer in the other style shows nothing."""
    records = [it for it in tenant() if it["ownerId"] != 4]
    make = serving(records, ownerIds="commas", trainingId="ignored")
    async with client_of(make) as (client, _):
        listed = client.realized_trainings.list(owner_ids=[1, 2, 4], training_ids=[1, 2])
        assert {it.id async for it in listed} == ids_of(records, {1, 2}, {1, 2})
        listed = client.realized_trainings.list(owner_ids=[3, 1])
        assert {it.id async for it in listed} == ids_of(records, {1, 3}, ALL)


async def test_equal_pages_are_no_proof_that_both_styles_are_read() -> None:
    records = [realized(id, 1 if id <= 150 else 2) for id in range(1, 301)]

    def make(query: dict[str, list[str]]) -> bytes:
        # Of "1,2" it reads the first alone, and what is repeated as it should.
        how: Reads = "repeated" if len(query.get("ownerIds", [])) > 1 else "first"
        return serving(records, ownerIds=how)(query)

    async with client_of(make) as (client, _):
        found = [it.id async for it in client.realized_trainings.list(owner_ids=[1, 2])]
        assert sorted(found) == list(range(1, 301))


async def test_a_style_that_worked_by_chance_is_given_up_when_it_is_refused() -> None:
    records = tenant(owners=2)
    make = serving(records, ownerIds="ignored", trainingId="repeated")
    async with client_of(make) as (client, _):
        assert len([it async for it in client.realized_trainings.list(owner_ids=[1, 2])]) == 40
        listed = client.realized_trainings.list(training_ids=[1, 2])
        assert {it.id async for it in listed} == ids_of(records, ALL, {1, 2})


async def test_what_is_known_is_not_asked_again() -> None:
    async with client_of(serving(tenant(), ownerIds="commas")) as (client, asked):
        for owners in ([1, 2], [3, 9], [2, 4]):
            async for _ in client.realized_trainings.list(owner_ids=owners):
                pass
        assert len(asked) == 3


# -- pages that come twice


@pytest.mark.parametrize("pages", [2, 3, 4])
async def test_the_same_page_over_again_is_not_the_whole_list(pages: int) -> None:
    records = tenant(each=50)[: pages * 100]

    def make(query: dict[str, list[str]]) -> bytes:
        page = int(query["page"][0])
        following = page + 1 if page < pages else None
        body = {"items": records[:100], "next": following, "count": len(records)}
        return answer(json.dumps(body).encode())

    found: list[int] = []
    async with client_of(make) as (client, _):
        with pytest.raises(DecodeError, match="it ends after 100 of"):
            async for record in client.realized_trainings.list():
                found.append(record.id)
    assert found == list(range(1, 101))


def test_records_that_shift_are_no_sign_of_an_end_too_early() -> None:
    walk = Walk(10, None)
    walk.after(10, 10, next="~a", names_next=True, count=21)
    walk.after(10, 8, next="~b", names_next=True, count=21)
    walk.after(1, 1, next=None, names_next=True, count=20)
    assert (walk.page, walk.problem) == (None, None)


async def test_a_page_that_was_guessed_and_is_not_there_is_the_end() -> None:
    records = tenant(each=50)[:200]

    def make(query: dict[str, list[str]]) -> bytes:
        page = int(query["page"][0])
        items = records[(page - 1) * 100 : page * 100]
        if not items:
            return answer(b'{"title": "No such page", "status": 404}', "404 Not Found")
        return answer(json.dumps({"items": items}).encode())

    async with client_of(make) as (client, _):
        assert len([it async for it in client.realized_trainings.list()]) == 200


async def test_items_that_nobody_can_tell_apart_are_no_news() -> None:
    number = 0

    def make(_: dict[str, list[str]]) -> bytes:
        nonlocal number
        number += 1
        return answer(json.dumps({"items": [{}] * 100, "next": f"~{number}"}).encode())

    async with client_of(make) as (client, asked):
        with pytest.raises(DecodeError, match="without anything new"):
            async for _ in client.realized_trainings.list(on_error=lambda _: None):
                pass
        assert len(asked) < 20


# -- what else came


@pytest.mark.parametrize("id", [0, -5, 2**31, 10**30])
async def test_an_id_that_is_none_is_no_record(id: int) -> None:
    records = [realized(1), realized(2) | {"id": id}, realized(3)]
    bad: list[DecodeError] = []
    async with client_of(serving(records)) as (client, _):
        listed = client.realized_trainings.list(on_error=bad.append)
        assert [it.id async for it in listed] == [1, 3]
    assert [error.path for error in bad] == ["$.items[1].id"]


async def test_a_key_that_is_echoed_as_a_cursor_goes_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def make(_: dict[str, list[str]]) -> bytes:
        return answer(json.dumps({"items": [realized(1)], "next": f"~{KEY}", "count": 9}).encode())

    caplog.set_level(logging.DEBUG)
    async with client_of(make) as (client, asked):
        with pytest.raises(DecodeError) as caught:
            async for _ in client.realized_trainings.list():
                pass
    assert caught.value.path == "$.next"
    told = [str(caught.value), caught.value.url, caught.value.excerpt, caplog.text, *asked]
    assert not [text for text in told if KEY in text]


async def test_what_is_raw_in_an_item_without_json_is_there_all_the_same() -> None:
    bad: list[DecodeError] = []

    def make(_: dict[str, list[str]]) -> bytes:
        return answer(b'{"items": [{"id": 7, "durationInHours": NaN}], "next": null, "count": 1}')

    async with client_of(make) as (client, _):
        async for _ in client.realized_trainings.list(on_error=bad.append):
            pass
    (error,) = bad
    item: Any = error.item
    assert item["id"] == 7


@pytest.mark.parametrize(
    ("search", "title"),
    [
        ("oeuvre", "Œuvre d'art"),
        ("Cœur", "coeur de métier"),
        ("équipe", "gérer une &eacute;quipe"),
        ("EQUIPE", "Management d'équipe"),
        ("formations", "Une formation"),
    ],
)
async def test_a_text_is_found_however_it_is_spelt(search: str, title: str) -> None:
    def make(_: dict[str, list[str]]) -> bytes:
        items = [{"id": 1, "title": title}, {"id": 2, "title": "Excel"}]
        return answer(json.dumps({"items": items, "next": None, "count": 2}).encode())

    async with client_of(make) as (client, _):
        assert [it.id async for it in client.trainings.list(search=search)] == [1]


async def test_the_members_of_an_enum_are_sent_as_what_they_are() -> None:
    demand = {"id": 1, "state": "Realized"}

    def make(_: dict[str, list[str]]) -> bytes:
        return answer(json.dumps({"items": [demand], "next": None, "count": 1}).encode())

    async with client_of(make) as (client, asked):
        listed = client.training_demands.list(states=[TrainingDemandState.REALIZED])
        assert [it.id async for it in listed] == [1]
        assert "states=Realized&" in asked[0]
