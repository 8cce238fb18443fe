"""Realized trainings, ``/talent-training/api/v2/realized-trainings``."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Iterable
from functools import partial
from typing import SupportsIndex

from .._budget import Owner
from .._bulk import BulkResult, BulkRun, OnOutcome, OnProgress, OutcomeStream, collect
from .._http.call import Caller
from ..models import RealizedTraining, reader
from ._ids import check_id

_PATH = "/talent-training/api/v2/realized-trainings"
_read = reader(RealizedTraining)


class RealizedTrainings:
    """Reads realized trainings; found as ``client.realized_trainings``."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def get(self, id: SupportsIndex) -> RealizedTraining:
        """One realized training.

        Waits for the request budget, and retries as the client's ``RetryPolicy`` says.
        Source: Lucca's developer documentation, "Get a realized-training" (v2).

        Raises:
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
        checked = check_id(id)
        owner = self._caller.owner()
        with self._caller.on_behalf_of(owner):
            return await self._fetch(checked, owner)

    async def get_many(
        self,
        ids: Iterable[SupportsIndex] | AsyncIterable[SupportsIndex],
        *,
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
            on_progress: A plain function, called with a
                :class:`~lucca_training_async.Progress` after each outcome, and when an outage
                begins. What it raises ends the run.
            on_outcome: A plain function, called with each
                :class:`~lucca_training_async.Outcome` as it comes, so that a run that is
                interrupted loses nothing. What it raises ends the run.

        Raises:
            TypeError: ``ids`` is not iterable, or is a string; or a callback is async.
            ClientClosedError: The client is closed.
            UsageError: The client belongs to another event loop.
            Exception: Whatever ``ids`` raises while it is read. ``on_outcome`` has seen the
                results until then.
        """
        return await collect(self._run(ids, on_progress), on_outcome)

    def stream(
        self,
        ids: Iterable[SupportsIndex] | AsyncIterable[SupportsIndex],
        *,
        on_progress: OnProgress | None = None,
    ) -> OutcomeStream:
        """Outcomes as they arrive, for any number of ids, in bounded memory.

        Args:
            ids: As for :meth:`get_many`.
            on_progress: As for :meth:`get_many`.

        Raises:
            TypeError: ``ids`` is not iterable, or is a string; or the callback is async.
        """
        return OutcomeStream(self._run(ids, on_progress))

    def _run(self, ids: object, on_progress: OnProgress | None) -> BulkRun:
        return BulkRun(
            ids, check=check_id, fetch=self._fetch, way=self._caller, on_progress=on_progress
        )

    def _fetch(self, id: int, owner: Owner) -> Awaitable[RealizedTraining]:
        return self._caller.get(f"{_PATH}/{id}", partial(_read, asked_for=id), owner)
