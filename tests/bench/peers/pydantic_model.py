"""A realized training as one would write it for pydantic."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class _Lucca(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class Training(_Lucca):
    id: int | None = None
    title: str | None = None
    category_id: int | None = None
    provider_url: str | None = None
    level: str | None = None


class RealizedTraining(_Lucca):
    id: int | None = None
    owner_id: int
    training: Training | None = None
    training_demand_id: int | None = None
    session_id: int | None = None
    session_starts_on: date
    session_ends_on: date
    has_attended: bool = True
    duration_in_hours: Decimal
