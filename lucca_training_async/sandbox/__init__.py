"""An embedded Lucca: the Training API on loopback, with its budget, its errors and its bad days.

For tests, demonstrations and development without a Lucca account.
"""

from .faults import Fault
from .server import Arrival, Sandbox

__all__ = ["Arrival", "Fault", "Sandbox"]
