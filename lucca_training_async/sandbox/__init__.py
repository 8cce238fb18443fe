"""An embedded Lucca: the Training API on loopback, with its budget, its errors and its bad days.

For tests, demonstrations and development without a Lucca account.
"""

from .faults import Fault
from .server import Arrival, Sandbox

__all__ = ["Arrival", "Fault", "Sandbox"]

for _public in (Arrival, Fault, Sandbox):
    _public.__module__ = __name__  # the public place, also in tracebacks and documentation
