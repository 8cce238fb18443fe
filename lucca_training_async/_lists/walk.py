"""Where a list goes on after a page, and when it has to end: decisions, without I/O.

A cursor is opaque, and a server may get it wrong: give one that came before, an empty page with a
cursor, cursors without end, or none although there is more. Each ends in an end or in a problem,
and never in a loop.
"""

from __future__ import annotations

FIRST_PAGE = "1"
# Records move from page to page while others are added or removed: what comes twice is no
# sign of a loop, but pages of nothing else are.
_MOST_STALE_PAGES = 10
_SLACK = 1000
# A million records by the hundred, of which nobody says that there are so many.
_MOST_PAGES_UNCOUNTED = 10_000


class Walk:
    """The way through the pages of one list.

    Args:
        limit: The most items of a page.
        start: The cursor to begin at; None for the first page.

    Attributes:
        page: The page to ask for, or None after the last.
        problem: What was wrong with the way to go on, or None.
        is_guess: Whether nobody has said that there is such a page.
    """

    def __init__(self, limit: int, start: str | None) -> None:
        page = start or FIRST_PAGE
        self.page: str | None = page
        self.problem: str | None = None
        self._limit = limit
        self._is_whole = start is None
        self._index = int(page) if page.isdecimal() else None
        self._asked_for = {page}
        self._received = 0
        self._distinct = 0
        self.is_guess = False
        self._pages = 0
        self._stale = 0
        self._length = 0
        self._repeats = False
        self._fewest: int | None = None
        self._has_named_next = False

    def after(
        self, items: int, news: int, *, next: str | None, names_next: bool, count: int | None
    ) -> None:
        """Take note of a page.

        Args:
            items: How many items it has.
            news: How many of them had not come before.
            next: Its cursor, or None.
            names_next: Whether it has the member at all.
            count: How many items there are, or None where it doesn't tell.
        """
        self._pages += 1
        self._received += items
        self._distinct += news
        self._stale = 0 if news else self._stale + 1
        # A shorter one, or an empty one, is where the list ends now: records were added before it.
        self._repeats = not news and (self._repeats or items >= self._length)
        self._length = items
        if count is not None:
            self._fewest = count if self._fewest is None else min(self._fewest, count)
        self._has_named_next = self._has_named_next or names_next
        going_on = next
        self.is_guess = False
        if not names_next and items and self._may_have_more(items, news):
            # It was asked for, and its absence says nothing; pages have an index, too.
            going_on = None if self._index is None else str(self._index + self._pages)
            self.is_guess = going_on is not None
        self.page = None
        if going_on is None or not items:
            self.problem = self._problem_of_end(going_on)
        elif going_on in self._asked_for:
            if self._is_short or not self._is_counted:
                self.problem = f"its cursor has come before, after {self._received} items"
        else:
            self.problem = self._problem_of_length()
            if self.problem is None:
                self.page = going_on
                self._asked_for.add(going_on)

    @property
    def _is_counted(self) -> bool:
        return self._is_whole and self._fewest is not None

    @property
    def _is_short(self) -> bool:
        # The smallest count, since a record that was added may stand before the cursor.
        return self._is_whole and self._fewest is not None and self._came < self._fewest

    @property
    def _came(self) -> int:
        # Where a whole page brings nothing new, it is the same over again.
        return self._distinct if self._repeats else self._received

    def end(self) -> None:
        """There is no such page as was guessed."""
        self.page = None
        self.problem = self._problem_of_end(None)

    def _may_have_more(self, items: int, news: int) -> bool:
        """Whether a page without the member may be followed by another."""
        if items >= self._limit or self._is_short:
            return True
        # Nothing tells how long it is, and the pages may be smaller than they were asked to be.
        return not self._is_counted and not self._has_named_next and news > 0

    def _problem_of_end(self, cursor: str | None) -> str | None:
        if self._is_short:
            return f"it ends after {self._came} of {self._fewest} items"
        if cursor is not None and not self._is_counted:
            return f"it has no items and yet a cursor, after {self._received} items"
        return None

    def _problem_of_length(self) -> str | None:
        if self._fewest is not None and self._received > 2 * self._fewest + _SLACK:
            return f"it goes on after {self._received} items, although there are {self._fewest}"
        if self._fewest is None and self._pages >= _MOST_PAGES_UNCOUNTED:
            return f"it goes on after {self._pages} pages, and has no count"
        if self._stale > _MOST_STALE_PAGES:
            return f"it goes on after {self._stale} pages without anything new"
        return None
