"""The request budget: who may send next in this process, and what the tenant has left."""

from .gate import Admission, Budget, Gate, GateClosedError, Owner, Place, logger
from .ledger import Lease, Ledger, MemoryLedger, Sent, Standing, Wait

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
