"""The resources that hang on the client, a module for each."""

from .raw import Params, RawResponse, raw_get
from .realized_trainings import RealizedTrainings
from .training_demands import TrainingDemands
from .trainings import Trainings

__all__ = [
    "Params",
    "RawResponse",
    "RealizedTrainings",
    "TrainingDemands",
    "Trainings",
    "raw_get",
]
