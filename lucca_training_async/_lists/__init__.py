"""Lists: page by page, each record once, and nothing that was not asked for."""

from .endpoint import Endpoint
from .lookup import Lookup, TrainingsResult
from .plan import Plan, PlannedRun, check_plan
from .query import Filter, equals, mentions, not_after, not_before, one_of
from .records import OnError, Page, RecordList, count
from .sync import Added, Change, Changed, Removed, changes

__all__ = [
    "Added",
    "Change",
    "Changed",
    "Endpoint",
    "Filter",
    "Lookup",
    "OnError",
    "Page",
    "Plan",
    "PlannedRun",
    "RecordList",
    "Removed",
    "TrainingsResult",
    "changes",
    "check_plan",
    "count",
    "equals",
    "mentions",
    "not_after",
    "not_before",
    "one_of",
]
