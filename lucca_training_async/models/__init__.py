"""The resources of Lucca's Training API as immutable, typed values."""

from ._converter import unstructure
from ._faults import Fault, JsonSyntaxError, WireError, WrongIdError
from ._json import dumps, parse, plain_dumps
from ._readers import BadItem, Reader, WirePage, page_reader, reader
from ._record import Record
from .realized_training import MAX_ID, RealizedTraining, TrainingLevel, TrainingSummary
from .training import Training, TrainingCategory, TrainingProvider, TrainingState, TrainingType
from .training_demand import (
    Employee,
    Prioritization,
    TrainingDemand,
    TrainingDemandState,
    TrainingPlan,
    TrainingSession,
)

__all__ = [
    "MAX_ID",
    "BadItem",
    "Employee",
    "Fault",
    "JsonSyntaxError",
    "Prioritization",
    "Reader",
    "RealizedTraining",
    "Record",
    "Training",
    "TrainingCategory",
    "TrainingDemand",
    "TrainingDemandState",
    "TrainingLevel",
    "TrainingPlan",
    "TrainingProvider",
    "TrainingSession",
    "TrainingState",
    "TrainingSummary",
    "TrainingType",
    "WireError",
    "WirePage",
    "WrongIdError",
    "dumps",
    "page_reader",
    "parse",
    "plain_dumps",
    "reader",
    "unstructure",
]
