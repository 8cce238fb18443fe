"""How far this machine's clock is from Lucca's, as far as an answer's Date can tell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import attrs

_A_SECOND = 1.0
_NOTEWORTHY = 5.0


@attrs.frozen
class Difference:
    """Bounds of Lucca's clock minus ours, in seconds.

    Attributes:
        least: It is no less than this.
        most: Nor more than this.
    """

    least: float
    most: float

    @classmethod
    def of(cls, headers: Mapping[str, str], sent: float, answered: float) -> Difference | None:
        """What an answer tells; None without a Date of its own.

        RFC 9110, section 6.6.1: Date is when the answer was made, in whole seconds. That was at
        some moment between sending and having it. One with an Age is a cache's (RFC 9111, 5.1).

        Args:
            headers: The answer's.
            sent: When the request was sent, by our clock.
            answered: When the answer was there.
        """
        if headers.get("Age", "0").strip() != "0":
            return None
        try:
            moment = parsedate_to_datetime(headers.get("Date", ""))
            # An HTTP-date is always GMT, and "-0000" parses as a naive one.
            date = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        return cls(date - answered, date + _A_SECOND - sent)

    @property
    def is_noteworthy(self) -> bool:
        """Whether somebody should set a clock."""
        return self.least > _NOTEWORTHY or self.most < -_NOTEWORTHY

    def __str__(self) -> str:
        if self.least <= 0 <= self.most:
            widest = max(-self.least, self.most)
            return f"no difference that can be seen (less than {_seconds(widest)})"
        side = "behind Lucca's" if self.least > 0 else "ahead of Lucca's"
        near, far = sorted((abs(self.least), abs(self.most)))
        return f"this machine's is {_seconds((near + far) / 2)} {side}"


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 2 else f"{max(seconds, 0.1):.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
