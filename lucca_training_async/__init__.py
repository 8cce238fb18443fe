"""Async client of Lucca's Training API: one id or ten thousand, each with its own outcome."""

from importlib.metadata import version

from .bulk import OutcomeStream
from .client import LuccaTrainingClient
from .config import Timeouts
from .errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    DecodeError,
    InvalidIdError,
    LuccaConnectionError,
    LuccaError,
    LuccaTimeoutError,
    NotFoundError,
    PermissionDeniedError,
    ProblemDetails,
    RateLimitedError,
    ResponseError,
    ServerError,
    UsageError,
)
from .models import RealizedTraining, TrainingLevel, TrainingSummary
from .outcomes import BulkResult, BulkStats, Outcome
from .retry import RetryPolicy
from .throttle import RateLimit

__version__ = version("lucca-training-async")

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "BulkResult",
    "BulkStats",
    "ConfigurationError",
    "DecodeError",
    "InvalidIdError",
    "LuccaConnectionError",
    "LuccaError",
    "LuccaTimeoutError",
    "LuccaTrainingClient",
    "NotFoundError",
    "Outcome",
    "OutcomeStream",
    "PermissionDeniedError",
    "ProblemDetails",
    "RateLimit",
    "RateLimitedError",
    "RealizedTraining",
    "ResponseError",
    "RetryPolicy",
    "ServerError",
    "Timeouts",
    "TrainingLevel",
    "TrainingSummary",
    "UsageError",
    "__version__",
]
