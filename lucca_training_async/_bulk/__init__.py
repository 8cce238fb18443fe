"""Many ids, one outcome each."""

from .engine import BulkRun, collect
from .outcomes import (
    BulkResult,
    BulkStats,
    Failed,
    Found,
    Missing,
    OnOutcome,
    OnProgress,
    Outcome,
    Progress,
    Refused,
)
from .stream import OutcomeStream

__all__ = [
    "BulkResult",
    "BulkRun",
    "BulkStats",
    "Failed",
    "Found",
    "Missing",
    "OnOutcome",
    "OnProgress",
    "Outcome",
    "OutcomeStream",
    "Progress",
    "Refused",
    "collect",
]
