"""Lists: page by page, each record once, and nothing that was not asked for."""

from .endpoint import Bad, Endpoint
from .pager import MOST_ITEMS, Pager
from .plan import Plan, PlannedRun, check_plan
from .query import Filter, Filters, equals, mentions, not_after, not_before, one_of
from .records import ListRun, OnError, Page, RecordList, count

__all__ = [
    "MOST_ITEMS",
    "Bad",
    "Endpoint",
    "Filter",
    "Filters",
    "ListRun",
    "OnError",
    "Page",
    "Pager",
    "Plan",
    "PlannedRun",
    "RecordList",
    "check_plan",
    "count",
    "equals",
    "mentions",
    "not_after",
    "not_before",
    "one_of",
]
