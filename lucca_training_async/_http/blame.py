"""What an answer, or the want of one, does to the gate and to the call that met it.

``health`` knows whose fault a failure is; here it has its effects. They are all had while the
request still holds its place, so that nothing goes out in between.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from typing import Any

from .._budget import A_MOMENT, Admission, Cause
from ..errors import OutageError, RateLimitedError, RequestError
from ..settings import RetryPolicy
from .attempts import Call
from .health import Health, Silence, Target, is_sign_of_life
from .refusals import given_up
from .retry import asks_to_wait, backoff_bound, is_transient, retry_after

# Lucca's window is a minute: an absurd Retry-After must not disable a client for good.
_LONGEST_PAUSE = 86_400.0
_JUST_NOW = 1.0
# Where slots come far apart, no attempt is sent beside a sign of life.
_MOST_EXTRA = 1
# How often a suspect asks for a witness first, so that it is sent apart from another.
_SOME_PATIENCE = 2
# So that a host that never answers is given up within a minute: an attempt takes 15 s at most.
_LONGEST_INTRODUCTION = 45.0
_LONGEST_ATTEMPT = 15.0


class Blame:
    """Puts the blame for failures, by one retry policy, where ``health`` says."""

    def __init__(self, health: Health, policy: RetryPolicy) -> None:
        self._health = health
        self._policy = policy

    def target(self, call: Call[Any]) -> Target[Any]:
        """What the call is to ask for: after several failures in a row, a witness."""
        is_open = call.doubt is None and self._health.silence.closed_at is None
        if is_open and not self._stands_aside(call):
            return call.target
        return self._health.probe(call.target, is_tried=bool(call.outages))

    def _stands_aside(self, call: Call[Any]) -> bool:
        """Whether a suspect gives way to another one, which is under way or has just failed.

        They fail together, again and again, where one of them brings the host down; which one
        shows when they are sent one by one. It gives way the more often the more outages it has
        met, but not for ever: a request that is merely slow keeps nobody waiting.
        """
        health = self._health
        if not call.is_suspect(self._policy.max_attempts):
            return False
        others = {health.on_trial, *health.silence.suspects} - {None, call.target.url}
        if others and call.stood_aside < max(_SOME_PATIENCE, len(call.outages)):
            call.stood_aside += 1
            return True
        health.on_trial, call.stood_aside = call.target.url, 0
        return False

    def _end_trial(self, call: Call[Any], target: Target[Any]) -> None:
        if target is call.target and self._health.on_trial == target.url:
            self._health.on_trial = None

    def answered(self, call: Call[Any], target: Target[Any], sent_at: float) -> None:
        """A sign of life."""
        self._end_trial(call, target)
        health, closures = self._health, call.gate.closures
        now = call.gate.now()
        if closures:
            closures.over(sent_at, now)
        if health.is_troubled:
            is_first = health.witness is None
            health.answered(target, now)
            if is_first:
                for owner in call.gate.owners:
                    owner.release()
        else:
            health.recent, health.alive_at = target, now

    def refused(
        self,
        call: Call[Any],
        admission: Admission,
        error: RateLimitedError,
        target: Target[Any],
        sent_at: float,
    ) -> float:
        """A 429 closes the gate for as long as Lucca asks; how many seconds that is.

        Raises:
            GateClosedError: They are more than the call waits.
        """
        self._end_trial(call, target)
        if target is call.target:
            call.failure = error
        call.refusals += 1
        own = random.random() * backoff_bound(call.refusals, self._policy)
        seconds = min(retry_after(error) or own, _LONGEST_PAUSE)
        since = self._health.refused(sent_at)
        call.place.owner.note_refusal(call.gate.now() - sent_at)
        admission.close_for(seconds, Cause.PAUSE, since=since, seen=copy.copy(error))
        call.gate.check(call.place)
        return seconds

    def failed(
        self, call: Call[Any], admission: Admission, target: Target[Any], sent_at: float
    ) -> bool:
        """Whether what was met is the call's own failure, or else it goes back to its place.

        Raises:
            GateClosedError: The gate is closed for longer than the call waits.
            LuccaError: Its owner's end: the host is given up.
        """
        assert call.met is not None
        is_own = target is call.target
        self._end_trial(call, target)
        if is_own:
            call.failure = call.met
            call.refusals = 0
        else:
            call.stood_aside = 0  # with good reason, and so it does the next time
        if call.was_kept_back and is_own:
            return True  # which says nothing of the host
        if is_sign_of_life(call.met):
            self.answered(call, target, sent_at)
            if is_own:
                call.silences.append(None)
            return is_own
        silence, owner = self._health.silence, call.place.owner
        was_under_way = silence.closed_at is None or sent_at <= silence.closed_at
        if is_own and (was_under_way or not silence.is_outage):
            if call.is_suspect(self._policy.max_attempts):
                silence.suspects.add(target.url)
            call.silences.append(silence)
        # A copy, without the traceback, which would keep all its frames alive.
        self._close(call, admission, copy.copy(call.met), target, sent_at)
        call.gate.check(call.place)
        is_strange = self._health.witness is None and owner.speaks_for_many
        if owner.waits_for_outages and (is_strange or self._health.is_hopeless):
            owner.watch(silence.since, _LONGEST_INTRODUCTION, self._introduction(call))
        if not is_own:
            return False
        if silence.is_outage:
            return was_under_way and call.is_culprit
        return not owner.waits_for_outages or self._is_blamed(call, silence, sent_at)

    def _close(
        self,
        call: Call[Any],
        admission: Admission,
        error: RequestError,
        target: Target[Any],
        sent_at: float,
    ) -> None:
        """Close the gate, if it is time to, or time is asked for."""
        health, gate, now = self._health, call.gate, call.gate.now()
        silence, owner = health.silence, call.place.owner
        if target is call.target:
            waits = owner.waits_for_outages
            closes = health.failed(call.target.url, error, sent_at, now, waits=waits)
        else:
            closes = health.probe_failed(target.url, error, sent_at, now)
        asked = seconds = min(retry_after(error), _LONGEST_PAUSE)
        if closes:
            own = backoff_bound(silence.probes + 1, self._policy) * (1 + random.random()) / 2
            # The last probe is due before anybody's patience ends, not when it has ended.
            own = min(own, gate.last_probe_at(silence.since) - now - A_MOMENT)
            seconds = max(seconds, own)
        if seconds > 0:
            cause = Cause.OUTAGE if silence.is_outage else Cause.PAUSE if asked else Cause.DOUBT
            admission.close_for(seconds, cause, since=silence.since, seen=error)

    def _introduction(self, call: Call[Any]) -> Callable[[], float | None]:
        has_waited = False

        def look() -> float | None:
            nonlocal has_waited
            if self._health.witness is not None:
                return None
            budget, outage = call.gate.budget(), call.gate.closures.outage
            waits = not budget.in_flight and budget.next_slot_in
            if waits and waits <= budget.closed_for and outage and outage.seen:
                # That the next probe is due later is no reason: it has been asked by then.
                waits = asks_to_wait(outage.seen) and waits
            if not has_waited and waits:
                # It has asked to wait, or the budget does: it is asked once more after that.
                has_waited = True
                return call.gate.now() + waits + _LONGEST_ATTEMPT
            call.gate.abandon(call.place.owner, self.given_up(call))
            return None

        return look

    def given_up(self, call: Call[Any]) -> OutageError:
        """The error of a run over a host that has never answered."""
        url, now = str(call.target.url), call.gate.now()
        return given_up(self._health.silence, url=url, now=now)

    def _is_blamed(self, call: Call[Any], silence: Silence, sent_at: float) -> bool:
        """Whether a failure is a bulk run's id's own, or else waits for that to be decided.

        An id may be the only one under way, so that nothing else tells of the host. Before its
        last attempt the witness does, and then that attempt decides.
        """
        assert call.failure is not None
        health, most = self._health, self._policy.max_attempts
        left = most - call.failures() if is_transient(call.failure) else 0
        if left > 1 or left < -_MOST_EXTRA or call.is_culprit:
            return True
        if left == 1 and health.witness is None:
            return True
        call.doubt, call.used_up_by = silence, -math.inf
        if left == 1:
            return True
        if most == 1 or not is_transient(call.failure):
            call.used_up_by = math.inf
            return False
        if health.witness is None:
            return False
        call.used_up_by = call.gate.now() + _JUST_NOW
        return health.alive_at >= sent_at - _JUST_NOW
