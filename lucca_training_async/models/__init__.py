"""The resources of Lucca's Training API as immutable, typed values."""

from .realized_training import RealizedTraining, TrainingLevel, TrainingSummary

__all__ = ["RealizedTraining", "TrainingLevel", "TrainingSummary"]
