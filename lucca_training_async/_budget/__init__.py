"""The request budget: who may send next in this process, and what the tenant has left."""

from ..ledger import Cause, Lease, Ledger, Sent, Standing, Wait
from .closures import Closure, GateClosedError, logger
from .gate import A_MOMENT, Admission, Gate
from .own import OwnLedger
from .places import Owner, Place
from .view import Budget

__all__ = [
    "A_MOMENT",
    "Admission",
    "Budget",
    "Cause",
    "Closure",
    "Gate",
    "GateClosedError",
    "Lease",
    "Ledger",
    "OwnLedger",
    "Owner",
    "Place",
    "Sent",
    "Standing",
    "Wait",
    "logger",
]
