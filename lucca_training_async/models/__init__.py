"""The resources of Lucca's Training API as immutable, typed values."""

from ._converter import Fault, JsonSyntaxError, WireError, WrongIdError, reader, unstructure
from .realized_training import MAX_ID, RealizedTraining, TrainingLevel, TrainingSummary

__all__ = [
    "MAX_ID",
    "Fault",
    "JsonSyntaxError",
    "RealizedTraining",
    "TrainingLevel",
    "TrainingSummary",
    "WireError",
    "WrongIdError",
    "reader",
    "unstructure",
]
