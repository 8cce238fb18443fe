"""Realized trainings, ``/talent-training/api/v2/realized-trainings``."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Hashable,
    Iterable,
    Mapping,
)
from datetime import date, timedelta
from typing import SupportsIndex

from .._budget import Priority
from .._bulk import BulkResult, BulkRun, OnOutcome, OnProgress, OutcomeStream, collect
from .._cache import Cache
from .._http.call import Caller
from .._http.flights import Flights
from .._lists import (
    Change,
    Endpoint,
    OnError,
    Plan,
    PlannedRun,
    RecordList,
    changes,
    check_plan,
    count,
)
from ..models import RealizedTraining
from ._filters import Ids, day
from ._ids import check_id
from ._realized_filters import realized_filters
from ._single import PATH, Single, single


class RealizedTrainings:
    """Reads realized trainings; found as ``client.realized_trainings``."""

    def __init__(
        self, caller: Caller, flights: Flights, cache: Cache, manner: tuple[Hashable, ...]
    ) -> None:
        self._caller = caller
        self._cache = cache
        self._single = Single(caller, flights, cache, manner)
        self._endpoint: Endpoint[RealizedTraining] = Endpoint(
            caller, PATH, RealizedTraining, cache.put
        )

    async def get(
        self, id: SupportsIndex, *, priority: Priority = "interactive", fresh: bool = False
    ) -> RealizedTraining:
        """One realized training.

        Waits for the request budget, and retries as the client's ``RetryPolicy`` says. Calls for
        one id that are under way together share one request; each of them may be cancelled, and
        the last one cancels it.
        Source: Lucca's developer documentation, "Get a realized-training" (v2).

        Args:
            id: Which.
            priority: ``"interactive"`` goes before all that is ``"bulk"``.
            fresh: Ask Lucca, whatever the client's ``cache`` holds.

        Raises:
            ValueError: ``priority`` is none.
            InvalidIdError: ``id`` is not an integer from 1 to 2**31 - 1; nothing was sent.
            NotFoundError: There is none with this id, or the key's role may not see it.
            AuthenticationError: The API key is refused.
            PermissionDeniedError: The key's role may not read it.
            RateLimitedError: Lucca asks to wait longer than ``RetryPolicy.retry_after_max`` in
                total, or until after ``deadline``; ``retry_after`` says how long.
            OutageError: Nobody answers, as requests for other ids have shown; ``retry_after``
                says when it is worth trying again.
            ServerError: Lucca failed at every attempt.
            ResponseError: Any other answer that is no success, a redirect among them.
            LuccaTimeoutError: The last attempt took too long.
            LuccaConnectionError: No complete answer arrived.
            DecodeError: The answer is not a realized training, or larger than
                ``max_body_bytes``.
            WrongRecordError: The answer is another realized training than that one.
            ClientClosedError: The client is closed.
            UsageError: The client belongs to another event loop.
        """
        return await self._single.get(check_id(id), priority, fresh=fresh)

    def list(
        self,
        *,
        owner_ids: Ids | None = None,
        training_ids: Ids | None = None,
        has_attended: bool | None = None,
        ended_from: date | None = None,
        ended_to: date | None = None,
        page_size: int = 100,
        on_error: OnError = "raise",
        priority: Priority = "bulk",
    ) -> RecordList[RealizedTraining]:
        """All realized trainings that answer the filters, a page for each request.

        Without a filter, all that the key's role may see. A record that does not answer them is
        never given, should Lucca send one: then one WARNING says that it ignored the filter.
        Records that come twice, because others were added or removed meanwhile, are given once.
        Source: Lucca's developer documentation, "List realized-trainings (v2)".

        Args:
            owner_ids: Only of these employees. However many they are: they are asked for in
                several lists where one URL would grow beyond 2,000 characters. An empty
                collection gives nothing, and costs no request.
            training_ids: Only of these trainings, in the same way.
            has_attended: Only those (not) attended; None for both.
            ended_from: The first day that the session may have ended on, itself included.
            ended_to: The last such day, itself included.
            page_size: The most records of a page, 1 to 100.
            on_error: What becomes of an item that is no realized training: ``"raise"``, or a
                plain function that is called with the :class:`~lucca_training_async.DecodeError`
                (its ``item`` is what came); the other items of the page are none the worse for it.
            priority: ``"interactive"`` if a person waits for it: then it goes before all that is
                ``"bulk"``.

        Raises:
            InvalidIdError: A value is no id.
            TypeError: A filter is of the wrong type.
            ValueError: ``ended_from`` is after ``ended_to``, or ``page_size`` is out of bounds.
        """
        filters = realized_filters(owner_ids, training_ids, has_attended, ended_from, ended_to)
        return RecordList(self._endpoint, filters, page_size, on_error, priority)

    async def count(
        self,
        *,
        owner_ids: Ids | None = None,
        training_ids: Ids | None = None,
        has_attended: bool | None = None,
        ended_from: date | None = None,
        ended_to: date | None = None,
        priority: Priority = "interactive",
    ) -> int:
        """How many records :meth:`list` gives with these filters.

        One request without a filter, and for up to 100 records. For more, one for each filter
        besides, to see whether it was read. The list is read to be counted with ``ended_from``
        or ``ended_to``, where a filter excludes nothing, and where there is no count. Items
        that are no records are counted, too.

        Args:
            owner_ids: As for :meth:`list`.
            training_ids: As for :meth:`list`.
            has_attended: As for :meth:`list`.
            ended_from: As for :meth:`list`.
            ended_to: As for :meth:`list`.
            priority: As for :meth:`get`.

        Raises:
            LuccaError: As for the pages of :meth:`list`.
        """
        filters = realized_filters(owner_ids, training_ids, has_attended, ended_from, ended_to)
        return await count(self._endpoint, filters, priority)

    def changes(
        self,
        *,
        ended_since: date,
        overlap_days: int = 30,
        page_size: int = 100,
        on_error: OnError = "raise",
        priority: Priority = "bulk",
    ) -> RecordList[RealizedTraining]:
        """What has ended since a day, and what ended somewhat earlier and may have come late.

        A realized training appears when HR confirms the attendance, which may be weeks after its
        end: so each run overlaps with the one before, and you meet records again that you have
        (replace by ``id``). Each comes once in a run. What it can't see: deletions, changes of
        records that ended earlier, and confirmations that come later than the overlap;
        :meth:`sync` sees them all.

        Args:
            ended_since: The day of the last run.
            overlap_days: How many days to begin earlier.
            page_size: As for :meth:`list`.
            on_error: As for :meth:`list`.
            priority: As for :meth:`list`.

        Raises:
            TypeError: ``ended_since`` is no date.
            ValueError: ``overlap_days`` is no number of days.
        """
        since = day("ended_since", ended_since)
        if since is None:
            raise TypeError("ended_since must be a datetime.date, not None")
        if type(overlap_days) is not int or overlap_days < 0:
            raise ValueError("overlap_days must be an integer, 0 or more")
        # There is no day before the first.
        days = min(overlap_days, (since - date.min).days)
        ended_from = since - timedelta(days=days)
        return self.list(
            ended_from=ended_from, page_size=page_size, on_error=on_error, priority=priority
        )

    def sync(
        self,
        known: Mapping[int, str],
        *,
        page_size: int = 100,
        on_error: OnError = "raise",
        priority: Priority = "bulk",
    ) -> AsyncGenerator[Change, None]:
        """What has become of all records since they were last seen.

        The whole list is read (``count / 100`` requests) and compared with what is known; a known
        id that it does not show is asked for by itself. Memory grows with ``known`` alone. Gives
        :class:`~lucca_training_async.Added`, :class:`~lucca_training_async.Changed`,
        :class:`~lucca_training_async.Removed` (after a 404 for the id only), and
        :class:`~lucca_training_async.Failed` for a known id that could not be asked for.

        Args:
            known: The ``fingerprint`` of each record by its id, as you keep it. You may bring it
                up to date while you read the changes.
            page_size: As for :meth:`list`.
            on_error: As for :meth:`list`. An item of a known id that is no realized training is
                asked for by itself, besides.
            priority: As for :meth:`list`.

        Raises:
            TypeError: ``known`` is no mapping.
            InvalidIdError: A key of it is no id.
            LuccaError: The list could not be read to its end, as for :meth:`list`; nothing
                is taken for removed then.
        """
        if not isinstance(known, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"known must be a mapping of ids, not {type(known).__name__}")
        for each in known:
            check_id(each)
        listed = self.list(page_size=page_size, on_error=on_error, priority=priority)
        return changes(
            known, listed, lambda ids: self._run(ids, "each", priority, None, Cache(None))
        )

    async def get_many(
        self,
        ids: Iterable[SupportsIndex] | AsyncIterable[SupportsIndex],
        *,
        plan: Plan = "auto",
        priority: Priority = "bulk",
        on_progress: OnProgress | None = None,
        on_outcome: OnOutcome | None = None,
    ) -> BulkResult:
        """Many realized trainings, every distinct id with its own outcome.

        One id's failure costs no other id its result, and an outage or a contended budget costs
        none: the run waits for it to end, for ``RetryPolicy.patience``. Only what would fail
        every other id as well ends the run early (a refused key, one that may read nothing, a
        host that never answered, the end of that patience, a closed client or session): the
        ids of a collection that were not sent then fail with that same error, an iterator is
        not read any further, and ``stopped`` says why.

        Args:
            ids: Any iterable or async iterable, read as it is used. Whatever Python takes
                for an integer is an id, but no bool. A duplicate costs no request; a value
                that is no id is refused and costs none either. A generator is closed when
                the run ends early.
            plan: ``"each"`` asks for each id by itself. ``"list"`` reads all ids at once, then
                the list, a hundred records for a request, until it has shown them all, and asks
                for the rest by id. ``"auto"`` does what takes fewer requests: for more than
                200 distinct ids in a collection it asks how long the list is. The outcomes are
                the same.
            priority: ``"bulk"`` lets people go first, and a run that would take more than twenty
                budgets, or that runs while people ask, sends evenly, so that they find a slot.
                ``"interactive"`` takes what there is: for a few ids that a person waits for.
            on_progress: A plain function, called with a
                :class:`~lucca_training_async.Progress` after each outcome, and when an outage
                begins. What it raises ends the run.
            on_outcome: A plain function, called with each
                :class:`~lucca_training_async.Outcome` as it comes, so that a run that is
                interrupted loses nothing. What it raises ends the run.

        Raises:
            TypeError: ``ids`` is not iterable, or is a string; or a callback is async.
            ValueError: ``plan`` or ``priority`` is none.
            ClientClosedError: The client is closed.
            UsageError: The client belongs to another event loop.
            Exception: Whatever ``ids`` raises while it is read. ``on_outcome`` has seen the
                results until then.
        """
        return await collect(self._run(ids, plan, priority, on_progress), on_outcome)

    def stream(
        self,
        ids: Iterable[SupportsIndex] | AsyncIterable[SupportsIndex],
        *,
        plan: Plan = "each",
        priority: Priority = "bulk",
        on_progress: OnProgress | None = None,
    ) -> OutcomeStream:
        """Outcomes as they arrive, for any number of ids, in bounded memory.

        Args:
            ids: As for :meth:`get_many`.
            plan: As for :meth:`get_many`. By any other than ``"each"`` the ids are read at once,
                and memory grows with them.
            priority: As for :meth:`get_many`.
            on_progress: As for :meth:`get_many`.

        Raises:
            TypeError: ``ids`` is not iterable, or is a string; or the callback is async.
            ValueError: ``plan`` or ``priority`` is none.
        """
        return OutcomeStream(self._run(ids, plan, priority, on_progress))

    def _run(
        self,
        ids: object,
        plan: Plan,
        priority: Priority,
        on_progress: OnProgress | None,
        cache: Cache | None = None,
    ) -> BulkRun:
        return PlannedRun(
            ids,
            plan=check_plan(plan),
            endpoint=self._endpoint,
            single=single,
            check=check_id,
            fetch=self._single.fetch,
            way=self._caller,
            priority=priority,
            cache=cache or self._cache,
            on_progress=on_progress,
        )
