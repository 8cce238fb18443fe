"""The resources that hang on the client, a module for each."""

from .realized_trainings import RealizedTrainings

__all__ = ["RealizedTrainings"]
