"""Lists: page by page, each record once, and nothing that was not asked for."""

from .endpoint import Bad, Endpoint
from .lookup import Lookup, TrainingsResult
from .pager import MOST_ITEMS, Pager
from .plan import Plan, PlannedRun, check_plan
from .query import Filter, Filters, equals, mentions, not_after, not_before, one_of
from .records import ListRun, OnError, Page, RecordList, count
from .sync import Added, Change, Changed, Removed, changes

__all__ = [
    "MOST_ITEMS",
    "Added",
    "Bad",
    "Change",
    "Changed",
    "Endpoint",
    "Filter",
    "Filters",
    "ListRun",
    "Lookup",
    "OnError",
    "Page",
    "Pager",
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
