"""The request budget: who may send next in this process, and what the tenant has left."""

from .gate import Admission, Gate, GateClosedError
from .ledger import Lease, Ledger, MemoryLedger, Sent, Standing, Wait
from .places import Owner, Place, logger
from .view import Budget

__all__ = [
    "Admission",
    "Budget",
    "Gate",
    "GateClosedError",
    "Lease",
    "Ledger",
    "MemoryLedger",
    "Owner",
    "Place",
    "Sent",
    "Standing",
    "Wait",
    "logger",
]
