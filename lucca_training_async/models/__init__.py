"""The resources of Lucca's Training API as immutable, typed values."""

from ._converter import Fault, WireError, reader, unstructure
from .realized_training import MAX_ID, RealizedTraining, TrainingLevel, TrainingSummary

__all__ = [
    "MAX_ID",
    "Fault",
    "RealizedTraining",
    "TrainingLevel",
    "TrainingSummary",
    "WireError",
    "reader",
    "unstructure",
]
