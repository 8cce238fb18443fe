"""Async client of Lucca's Training API: one id or ten thousand, each with its own outcome."""

from ._budget import Budget
from ._bulk import (
    BulkResult,
    BulkStats,
    Failed,
    Found,
    Missing,
    OnOutcome,
    OnProgress,
    Outcome,
    OutcomeStream,
    Progress,
    Refused,
)
from ._version import __version__
from .client import LuccaTrainingClient
from .errors import (
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    DecodeError,
    InvalidIdError,
    LuccaConnectionError,
    LuccaError,
    LuccaTimeoutError,
    NotFoundError,
    OutageError,
    PermissionDeniedError,
    ProblemDetails,
    RateLimitedError,
    RequestError,
    ResponseError,
    ServerError,
    UsageError,
    WrongRecordError,
)
from .models import RealizedTraining, TrainingLevel, TrainingSummary
from .resources import RealizedTrainings
from .settings import ApiKey, ClientOptions, RateLimit, RetryPolicy, Settings, Timeouts

__all__ = [
    "ApiKey",
    "AuthenticationError",
    "BadRequestError",
    "Budget",
    "BulkResult",
    "BulkStats",
    "ClientClosedError",
    "ClientOptions",
    "ConfigurationError",
    "DecodeError",
    "Failed",
    "Found",
    "InvalidIdError",
    "LuccaConnectionError",
    "LuccaError",
    "LuccaTimeoutError",
    "LuccaTrainingClient",
    "Missing",
    "NotFoundError",
    "OnOutcome",
    "OnProgress",
    "OutageError",
    "Outcome",
    "OutcomeStream",
    "PermissionDeniedError",
    "ProblemDetails",
    "Progress",
    "RateLimit",
    "RateLimitedError",
    "RealizedTraining",
    "RealizedTrainings",
    "Refused",
    "RequestError",
    "ResponseError",
    "RetryPolicy",
    "ServerError",
    "Settings",
    "Timeouts",
    "TrainingLevel",
    "TrainingSummary",
    "UsageError",
    "WrongRecordError",
    "__version__",
]

# Pickles, tracebacks and the documentation name the public place of a class, which stays
# where it is when the code moves from one room to another.
for _public in [globals()[name] for name in __all__]:
    if isinstance(_public, type):
        _public.__module__ = __name__
