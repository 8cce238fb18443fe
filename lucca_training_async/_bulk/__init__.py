"""Many ids, one outcome each."""

from .collect import collect
from .engine import BulkRun
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
