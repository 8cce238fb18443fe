"""The errors of calls and runs that don't wait for the end of a closure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from yarl import URL

from .._budget import Cause, Closure
from ..errors import LuccaConnectionError, LuccaError, OutageError, RateLimitedError, RequestError
from .health import Silence


def refusal(
    closure: Closure,
    seconds: float,
    *,
    url: str,
    attempts: int,
    now: float,
    patience: float | None,
) -> LuccaError:
    """What a call is told that the gate refuses, and the whole run of its owner, if that ends.

    Args:
        closure: By what it is closed.
        seconds: For how long.
        url: What was to be asked for.
        attempts: How many requests were sent for it.
        now: The time, by the gate's clock.
        patience: The seconds that the run was to wait; None for a single get.
    """
    is_run, lasts = patience is not None, now - closure.since
    if closure.cause is Cause.PAUSE and isinstance(closure.seen, RateLimitedError | None):
        told = f"Lucca answers 429 and asks to wait {seconds:.0f} s more"
        if is_run:
            told = (
                f"{told}, after {lasts:.0f} s of nothing else (RetryPolicy.patience={patience:g})"
            )
        return RateLimitedError(
            f"{'stopped' if is_run else 'not sent'}: {told} [{url}]",
            url=url,
            status=429,
            retry_after=seconds,
            attempts=attempts,
        )
    told = _since(closure.since, now, closure.seen)
    if is_run:
        told = f"stopped: {told} (RetryPolicy.patience={patience:g})"
    elif attempts:
        told = f"no answer: {told}; worth trying again in {seconds:.1f} s"
    else:
        told = f"not sent: {told}; worth trying again in {seconds:.1f} s"
    return OutageError(
        f"{told} [{url}]",
        url=url,
        since=_moment(closure.since, now),
        last_seen=closure.seen,
        retry_after=seconds,
        # That of a run stands for its ids that were not sent.
        attempts=0 if is_run else attempts,
        transient=closure.seen is None or closure.seen.transient,
        sent=attempts > 0 and not is_run,
    )


def given_up(silence: Silence, *, url: str, now: float) -> OutageError:
    """What ends a run over a host that has never answered."""
    told = _since(silence.since, now, silence.last)
    return OutageError(
        f"stopped: not one sign of life from this host yet; {told} [{url}]",
        url=url,
        since=_moment(silence.since, now),
        last_seen=silence.last,
        transient=silence.last is None or silence.last.transient,
    )


def _since(since: float, now: float, seen: RequestError | None) -> str:
    told = f"no sign of life for {now - since:.0f} s, since {_moment(since, now):%H:%M:%S} UTC"
    return told if seen is None else f"{told} (last seen: {seen})"


def _moment(at: float, now: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=now - at)


def no_connection(url: URL, attempts: int, pool_timeout: float | None) -> LuccaConnectionError:
    """Nothing was sent, for want of a connection of a given session."""
    return LuccaConnectionError(
        "not sent: the pool of the given session had no free connection, and made none, "
        f"within {pool_timeout:g} s (Timeouts.pool) [{url}]",
        url=str(url),
        attempts=attempts,
        transient=False,
        sent=False,
    )
