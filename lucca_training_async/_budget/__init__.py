"""The request budget: who may send next in this process, and what the tenant has left."""

from ..ledger import Cause, Lane, Lease, Ledger, Sent, Standing, Wait
from .admission import Admission
from .cancelling import is_being_cancelled
from .closures import Closure, GateClosedError, logger
from .gate import A_MOMENT, Gate
from .memory import MemoryLedger
from .opening import open_ledger
from .own import OwnLedger
from .places import Owner, Place
from .shared import SharedLedger
from .view import Budget

__all__ = [
    "A_MOMENT",
    "Admission",
    "Budget",
    "Cause",
    "Closure",
    "Gate",
    "GateClosedError",
    "Lane",
    "Lease",
    "Ledger",
    "MemoryLedger",
    "OwnLedger",
    "Owner",
    "Place",
    "Sent",
    "SharedLedger",
    "Standing",
    "Wait",
    "is_being_cancelled",
    "logger",
    "open_ledger",
]
