"""Routes of FastAPI's return records as they are: Lucca's names, exact hours, a true schema."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import pytest

from lucca_training_async import (
    Employee,
    Prioritization,
    RealizedTraining,
    Record,
    Training,
    TrainingCategory,
    TrainingDemand,
    TrainingLevel,
    TrainingSession,
    TrainingState,
    TrainingSummary,
)

from .web_server import asked, served

if TYPE_CHECKING or pytest.importorskip("fastapi"):
    from fastapi import APIRouter, Body, FastAPI, Response
    from fastapi.responses import JSONResponse, StreamingResponse
    from pydantic import BaseModel, Field, TypeAdapter
    from starlette.middleware.gzip import GZipMiddleware

    from lucca_training_async.integrations.fastapi import install_error_handlers

pytestmark = pytest.mark.real_time

HOURS = """
    0 14 7.10 0.1 1E-7 1e-30 33.333333333333333333 33.333333333333333333333333333 -0 -0.0 1E+2 1e400
    12345678901234567890 0.30000000000000004 1.0000000000000000000000000001
""".split()


def training(hours: str = "7.10", **members: Any) -> RealizedTraining:
    days = {"session_starts_on": date(2025, 1, 4), "session_ends_on": date(2025, 1, 5)}
    values: dict[str, Any] = {"id": 235, "owner_id": 416, **days, **members}
    return RealizedTraining(duration_in_hours=Decimal(hours), **values)


FULL = training(
    "2.50",
    training=TrainingSummary(id=45, title='Été "7.10"\ud83d\ude00', level=TrainingLevel.EXPERT),
    session_id=12,
    training_demand_id=4356,
)
COURSE = Training(
    id=45,
    state=TrainingState.READY,
    type="Hybrid",
    is_mandatory=False,
    category=TrainingCategory(id=1, t9n={"name": {"fr": "Langues"}, "weight": Decimal("1.50")}),
)
DEMAND = TrainingDemand(
    id=7,
    owner=Employee(id=416, first_name="Zoé"),
    session=TrainingSession(start_on=date(2025, 1, 4), duration_in_hours=Decimal("7.10")),
    registered_on=date(2024, 12, 1),
    prioritization=Prioritization(last_modified_at=datetime(2024, 12, 1, 9, 30, tzinfo=UTC)),
    created_at=datetime(2024, 11, 30, 8, 0, 0, 123456),
)


class Page(BaseModel):
    first: RealizedTraining
    note: str
    hours: Annotated[str, Field(serialization_alias="durationInHours")] = "8.5"


router = APIRouter()


def backend(**options: Any) -> FastAPI:
    app = FastAPI(**options)
    install_error_handlers(app)
    app.include_router(router)
    return app


@router.get("/hours/{hours}")
async def hours(hours: str) -> RealizedTraining:
    return training(hours)


@router.get("/one")
async def one() -> RealizedTraining:
    return FULL


@router.get("/in-a-thread")
def in_a_thread() -> RealizedTraining:
    return FULL


@router.get("/list")
async def some() -> list[RealizedTraining]:
    return [training(hours) for hours in HOURS]


@router.get("/items")
async def items() -> dict[int, RealizedTraining]:
    return {235: FULL, 7: training("0.1", id=7)}


@router.get("/course")
async def course() -> Training:
    return COURSE


@router.get("/demand")
async def demand() -> TrainingDemand:
    return DEMAND


@router.get("/maybe")
async def maybe(there: bool) -> RealizedTraining | None:
    return FULL if there else None


@router.get("/page")
async def page() -> Page:
    return Page(first=FULL, note='"durationInHours":"2.50"')


@router.get("/created", status_code=201)
async def created(response: Response) -> RealizedTraining:
    response.headers["X-Mine"] = "kept"
    return FULL


@router.get("/slim", response_model_exclude_none=True)
async def slim() -> RealizedTraining:
    return training()


@router.get("/excluded", response_model_exclude={"owner_id"})
async def excluded() -> RealizedTraining:
    return FULL


@router.get("/another")
async def another() -> RealizedTraining:
    return "no record"  # type: ignore[return-value]


@router.get("/strings")
async def strings() -> dict[str, str]:
    return {"durationInHours": "7.10"}


@router.get("/stream")
async def stream() -> StreamingResponse:
    adapter = TypeAdapter(RealizedTraining)

    async def lines() -> AsyncIterator[bytes]:
        for hours in HOURS:
            yield adapter.dump_json(training(hours)) + b"\n"

    return StreamingResponse(lines(), media_type="application/jsonl")


@router.post("/body")
async def body(training: Annotated[RealizedTraining, Body()]) -> RealizedTraining:
    return training


def plain(record: Record) -> Any:
    return json.loads(record.to_json(), parse_float=str, parse_int=str)


def text_of(record: Record) -> str:
    """As FastAPI spaces it."""
    numbers: list[str] = []

    def keep(number: str) -> str:
        numbers.append(number)
        return f"<{len(numbers) - 1}>"

    told = json.loads(record.to_json(), parse_float=keep, parse_int=keep)
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    for at, number in enumerate(numbers):
        text = text.replace(f'"<{at}>"', number)
    return text


@pytest.mark.parametrize("options", [{}, {"default_response_class": JSONResponse}])
async def test_each_hour_is_the_very_number_of_to_json(options: dict[str, Any]) -> None:
    async with served(backend(**options)) as web:
        for hours in HOURS:
            answer = await asked(web, f"/hours/{hours}")
            assert answer.text == text_of(training(hours))
            assert answer.headers["Content-Type"] == "application/json"
            assert int(answer.headers["Content-Length"]) == len(answer.text.encode())
            assert RealizedTraining.from_json(answer.text) == training(hours)


@pytest.mark.parametrize("path", ["/one", "/in-a-thread", "/maybe?there=1"])
async def test_a_record_goes_as_lucca_writes_it(path: str) -> None:
    async with served(backend()) as web:
        answer = await asked(web, path)
    assert (answer.status, answer.text) == (200, text_of(FULL))
    assert answer.json["sessionStartsOn"] == "2025-01-04"
    assert answer.json["training"]["level"] == "Expert"


async def test_the_other_records_too() -> None:
    async with served(backend()) as web:
        assert (await asked(web, "/course")).text == text_of(COURSE)
        assert (await asked(web, "/demand")).text == text_of(DEMAND)


async def test_lists_and_the_items_of_a_bulk_result() -> None:
    async with served(backend()) as web:
        some, items = await asked(web, "/list"), await asked(web, "/items")
        nothing = await asked(web, "/maybe?there=0")
    assert some.text == f"[{','.join(text_of(training(hours)) for hours in HOURS)}]"
    first, second = text_of(FULL), text_of(training("0.1", id=7))
    assert items.text == f'{{"235":{first},"7":{second}}}'
    assert nothing.text == "null"


async def test_within_a_model_of_pydantics() -> None:
    async with served(backend()) as web:
        answer = await asked(web, "/page")
    # What only looks like a member of a record is a text and stays one.
    assert answer.json == {"first": json.loads(FULL.to_json(), parse_float=Decimal)} | {
        "note": '"durationInHours":"2.50"',
        "durationInHours": "8.5",
    }


async def test_a_status_and_headers_are_kept() -> None:
    async with served(backend()) as web:
        answer = await asked(web, "/created")
    assert (answer.status, answer.headers["X-Mine"], answer.text) == (201, "kept", text_of(FULL))


async def test_a_middleware_around_it_sees_the_number() -> None:
    for before in (True, False):
        app = FastAPI()
        if before:
            app.add_middleware(GZipMiddleware, minimum_size=1)
        install_error_handlers(app)
        if not before:
            app.add_middleware(GZipMiddleware, minimum_size=1)

        @app.get("/one")
        async def one() -> RealizedTraining:
            return FULL

        async with served(app) as web:
            answer = await asked(web, "/one")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.text == text_of(FULL)


async def test_a_stream_of_lines() -> None:
    async with served(backend()) as web:
        answer = await asked(web, "/stream")
    assert answer.text.splitlines() == [text_of(training(hours)) for hours in HOURS]


async def test_strings_of_others_are_left_alone() -> None:
    async with served(backend()) as web:
        await asked(web, "/hours/7.10")
        assert (await asked(web, "/strings")).text == '{"durationInHours":"7.10"}'


async def test_half_a_character_is_no_error() -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/half")
    async def half() -> RealizedTraining:
        return training(training=TrainingSummary(title="half \ud83d"))

    @app.get("/names")
    async def names() -> Training:
        t9n = {"\ud83d": ["\ud83d", {"a": "\ud83d"}]}
        return attrs.evolve(COURSE, category=TrainingCategory(id=1, name="one", t9n=t9n))

    async with served(app) as web:
        assert (await asked(web, "/half")).json["training"]["title"] == "half \ufffd"
        told = (await asked(web, "/names")).json["category"]["t9n"]
        assert told == {"\ufffd": ["\ufffd", {"a": "\ufffd"}]}


async def test_null_may_be_left_out() -> None:
    async with served(backend()) as web:
        told = (await asked(web, "/slim")).json
    assert None not in told.values()
    assert told.keys() == {name for name, it in plain(training()).items() if it is not None}


@pytest.mark.parametrize("path", ["/excluded", "/another"])
async def test_nothing_is_sent_that_is_not_the_whole_record(path: str) -> None:
    async with served(backend()) as web:
        answer = await asked(web, path)
    assert (answer.status, answer.text) == (500, "Internal Server Error")


async def test_a_body_is_no_record() -> None:
    async with served(backend()) as web:
        answer = await asked(web, "/body", method="POST", json={"id": 1})
    assert answer.status == 422
    assert answer.json["detail"][0]["msg"] == "Input should be an instance of RealizedTraining"


def test_without_the_middleware_an_hour_is_a_string_as_pydantic_writes_a_decimal() -> None:
    text = TypeAdapter(RealizedTraining).dump_json(training("33.333333333333333333"))
    assert json.loads(text)["durationInHours"] == "33.333333333333333333"


def test_in_python_a_record_stays_one() -> None:
    adapter = TypeAdapter(list[RealizedTraining])
    assert adapter.validate_python([FULL])[0] is FULL
    assert adapter.dump_python([FULL])[0] is FULL


def fits(schema: dict[str, Any], value: Any) -> bool:
    """As much of JSON Schema as is in use here."""
    if "anyOf" in schema:
        return any(fits(each, value) for each in schema["anyOf"])
    match schema["type"]:
        case "null":
            return value is None
        case "object" if "properties" in schema:
            members = schema["properties"]
            return (
                isinstance(value, dict)
                and set(value) == set(members) == set(schema["required"])  # pyright: ignore
                and all(fits(members[name], value[name]) for name in members)
            )
        case "object":
            return isinstance(value, dict) and schema["additionalProperties"] is True
        case "string" if schema.get("format") == "date":
            return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
        case "string" if schema.get("format") == "date-time":
            return isinstance(value, str) and bool(datetime.fromisoformat(value))
        case kind:
            types: dict[str, Any] = {"string": str, "boolean": bool}
            types |= {"integer": int, "number": (int, Decimal)}
            is_bool = isinstance(value, bool)
            return isinstance(value, types[kind]) and is_bool == (kind == "boolean")


RECORDS: list[Record] = [FULL, training(), COURSE, Training(id=1), DEMAND, TrainingDemand(id=1)]


@pytest.mark.parametrize("separate", [True, False])
async def test_the_schema_is_true(separate: bool) -> None:
    async with served(backend(separate_input_output_schemas=separate)) as web:
        openapi = (await asked(web, "/openapi.json")).json
    schemas = openapi["components"]["schemas"]
    for record in RECORDS:
        schema = schemas[type(record).__name__]
        assert fits(schema, json.loads(record.to_json(), parse_float=Decimal))
        assert not fits(schema, json.loads(record.to_json(), parse_int=str))

    def of(path: str) -> Any:
        answer = openapi["paths"][path]["get"]["responses"]["200"]
        return answer["content"]["application/json"]["schema"]

    ref = {"$ref": "#/components/schemas/RealizedTraining"}
    assert of("/one") == ref
    assert (of("/list")["type"], of("/list")["items"]) == ("array", ref)
    assert (of("/items")["type"], of("/items")["additionalProperties"]) == ("object", ref)


def test_the_schema_tells_what_a_reader_wants_to_know() -> None:
    schema = TypeAdapter(RealizedTraining).json_schema(mode="serialization")
    members = schema["properties"]
    assert members["sessionEndsOn"] == {
        "type": "string",
        "format": "date",
        "description": "Last day, included.",
    }
    assert members["durationInHours"]["type"] == "number"
    assert members["sessionId"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    level = members["training"]["anyOf"][0]["properties"]["level"]["anyOf"]
    assert level == [
        {"type": "string", "examples": ["Beginner", "Middle", "Expert"]},
        {"type": "null"},
    ]


async def test_a_length_that_was_told_before_the_body_is_kept() -> None:
    """A file that is sent in parts, whose records were written in the same request."""
    app = FastAPI()
    install_error_handlers(app)
    # As pydantic writes it, before its numbers are made exact.
    line = TypeAdapter(RealizedTraining).dump_json(FULL) + b"\n"

    @app.get("/file")
    async def file() -> StreamingResponse:
        TypeAdapter(RealizedTraining).dump_json(FULL)

        async def parts() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield line

        length = {"Content-Length": str(3 * len(line))}
        return StreamingResponse(parts(), media_type="application/jsonl", headers=length)

    async with served(app) as web:
        answer = await asked(web, "/file")
    assert answer.text.encode() == 3 * line
