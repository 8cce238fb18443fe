"""Realized trainings, ``/talent-training/api/v2/realized-trainings``."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Iterable

from ..bulk import BulkRun, OnProgress, OutcomeStream, collect
from ..ids import check_id
from ..models import RealizedTraining
from ..outcomes import BulkResult
from ..run import Run
from ..transport import Transport
from ..wire import decoder

_PATH = "/talent-training/api/v2/realized-trainings"
_decode = decoder(RealizedTraining)


class RealizedTrainings:
    """Reads realized trainings; found as ``client.realized_trainings``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, id: int) -> RealizedTraining:
        """One realized training.

        Waits for the request budget, and retries as the client's ``RetryPolicy`` says.
        Source: Lucca's developer documentation, "Get a realized-training" (v2).

        Raises:
            InvalidIdError: ``id`` is not an int from 1 to 2**31 - 1; nothing was sent.
            NotFoundError: There is none with this id, or the key's role may not see it.
            AuthenticationError: The API key is refused.
            PermissionDeniedError: The key's role may not read it.
            RateLimitedError: The tenant's budget stays spent; ``retry_after`` says how long.
            ServerError: Lucca failed at every attempt.
            ResponseError: Any other answer that is no success, a redirect among them.
            LuccaTimeoutError: The last attempt took too long.
            LuccaConnectionError: No complete answer arrived.
            DecodeError: The answer is not a realized training.
            UsageError: The client is closed or belongs to another event loop.
        """
        checked = check_id(id)
        run = Run()
        self._transport.bind(run)
        return await self._fetch(checked, run)

    async def get_many(
        self,
        ids: Iterable[int] | AsyncIterable[int],
        on_progress: OnProgress | None = None,
    ) -> BulkResult:
        """Many realized trainings, every distinct id with its own outcome.

        One id's failure costs no other id its result. Only a refused key (401) or a closed
        client ends the run early; the ids not sent then fail with that same error.

        Args:
            ids: Any iterable or async iterable, read as it is used. A duplicate costs no
                request; a value that is no id is a failure of its own and costs none either.
            on_progress: A plain function, called after each outcome with the number of ids
                accounted for (duplicates included) and the number of all ids, or None
                where ``ids`` has no length. What it raises ends the run.

        Raises:
            TypeError: ``ids`` is not iterable, or is a string.
            UsageError: The client is closed or belongs to another event loop.
            Exception: Whatever ``ids`` raises while it is read. To keep the results until
                then, use :meth:`stream`.
        """
        return await collect(self._bulk_run(ids), on_progress)

    def stream(self, ids: Iterable[int] | AsyncIterable[int]) -> OutcomeStream:
        """Outcomes as they arrive, for any number of ids, in bounded memory.

        Args:
            ids: As for :meth:`get_many`.

        Raises:
            TypeError: ``ids`` is not iterable, or is a string.
        """
        return OutcomeStream(self._bulk_run(ids))

    def _bulk_run(self, ids: object) -> BulkRun:
        return BulkRun.of(
            ids,
            self._fetch,
            workers=self._transport.max_concurrency,
            bind=self._transport.bind,
        )

    def _fetch(self, id: int, run: Run) -> Awaitable[RealizedTraining]:
        return self._transport.get(f"{_PATH}/{id}", _decode, run)
