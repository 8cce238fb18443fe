"""The budget of one tenant as several clients share it: who holds what, and who is next.

Plain data, changed by one step at a time; whoever keeps it (``memory``, ``sqlite``) sees to it
that a step is atomic. ``ledger.lua`` is the same for Redis, and the same tests run over both.
A client keeps a copy too, of how it was when it asked last.

A lease that its client never settles ends by itself: a killed process costs its slots until
nothing of it can arrive any more, and nothing else.

**Nobody starves.** Slots come free in bursts, and the quickest would take them all. So a client
that has its share, an equal part for all who want something just now, leaves what is free to
those who have not, if they are due: a client that was told when to come back, and does not come,
is waited for only a moment.
"""

from __future__ import annotations

import math
from collections import Counter

import attrs

from ..ledger import Cause, Lane, Wait
from .pace import Pace
from .tokens import is_bulk

_REMEMBERED = 10
"""Periods for which a client that asks nothing is still counted as one."""


@attrs.define
class Slot:
    """One request that counts.

    Attributes:
        client: Whose.
        free_at: When it counts no more.
        round: That of its lease.
        held_until: When it will be over, at the latest; None if it is.
    """

    client: str
    free_at: float
    round: int
    held_until: float | None = None


@attrs.define
class Member:
    """One client.

    Attributes:
        seen_at: When it asked last.
        requests: Its limit.
        period: In seconds.
        back_at: When it is expected to ask again.
        waits_since: Since when it was given nothing.
        is_bulk: Whether it has asked for a bulk request.
    """

    seen_at: float
    requests: int | None
    period: float
    back_at: float
    waits_since: float | None = None
    is_bulk: bool = False


@attrs.frozen
class Ask:
    """A client's question for a slot.

    Attributes:
        client: Who asks.
        token: The name of the slot, new with each question, the same where one is repeated.
        requests: Its limit; None for none.
        period: In seconds.
        held_for: Seconds in which the request will be over.
        ends_in: Seconds after which the lease ends if it is never settled.
        lane: That of the request.
        reserved: How many slots are for people alone.
    """

    client: str
    token: str
    requests: int | None
    period: float
    held_for: float
    ends_in: float
    lane: Lane = Lane.INTERACTIVE
    reserved: int = 0

    @property
    def is_bulk(self) -> bool:
        return self.lane is not Lane.INTERACTIVE


def poll_every(period: float) -> float:
    """Seconds between two questions where it takes somebody else's answer to go on."""
    return min(0.25, max(0.02, period / 100))


def waited_for(period: float) -> float:
    """Seconds for which a slot is kept for a client that is due."""
    return min(1.0, max(0.05, period / 10))


@attrs.define
class Tenant:
    """The budget of one tenant.

    Attributes:
        born: When it was made, as a name: another one means that all has been lost.
        born_at: The same as a time.
        touched_at: When it was changed last.
        slots: All that counts, by token.
        members: The clients, by name.
        round: How often it has been closed.
        allowed: In this round, how many may be under way; None for any number.
        opens_at: Until when it is closed.
        closed_by: Why.
        pace: How bulk requests are spread.
    """

    born: str
    born_at: float
    touched_at: float
    slots: dict[str, Slot] = attrs.field(factory=dict[str, Slot])
    members: dict[str, Member] = attrs.field(factory=dict[str, Member])
    round: int = 0
    allowed: int | None = None
    opens_at: float = -math.inf
    closed_by: Cause = Cause.PAUSE
    pace: Pace = attrs.field(factory=Pace)

    def copy(self) -> Tenant:
        """Another, which can be changed without changing this one."""
        return attrs.evolve(
            self,
            pace=attrs.evolve(self.pace),
            slots={token: attrs.evolve(slot) for token, slot in self.slots.items()},
            members={name: attrs.evolve(member) for name, member in self.members.items()},
        )

    def come_to(self, now: float) -> None:
        """Let time pass: forget what counts no more.

        A clock that has gone back (a monotonic one does so when the machine starts) tells nothing
        of how much time has passed: none, then, which is the safe answer.
        """
        if now < self.touched_at:
            self.shift(now - self.touched_at)
        self.touched_at = now
        self.slots = {name: slot for name, slot in self.slots.items() if slot.free_at > now}
        self.members = {
            name: member
            for name, member in self.members.items()
            if member.seen_at + _REMEMBERED * member.period > now
        }

    def shift(self, seconds: float) -> None:
        """Move all of it to another clock."""
        self.born_at += seconds
        self.touched_at += seconds
        self.opens_at += seconds
        self.pace.shift(seconds)
        for slot in self.slots.values():
            slot.free_at += seconds
            if slot.held_until is not None:
                slot.held_until += seconds
        for member in self.members.values():
            member.seen_at += seconds
            member.back_at += seconds
            if member.waits_since is not None:
                member.waits_since += seconds

    # -- what clients do, at the time ``touched_at``

    def meet(self, ask: Ask) -> Member:
        """Count the client as one of those who share."""
        now = self.touched_at
        member = self.members.setdefault(ask.client, Member(now, ask.requests, ask.period, now))
        member.seen_at, member.requests, member.period = now, ask.requests, ask.period
        return member

    def take(self, ask: Ask) -> Wait | None:
        """Give a slot, or say how long to wait for one."""
        if ask.token in self.slots:
            return None  # it has asked before, and the answer was lost
        now, member = self.touched_at, self.meet(ask)
        member.is_bulk = ask.is_bulk
        self.pace.asked(now, ask.period)
        wait = self._wait(ask, member)
        if wait is None:
            self.slots[ask.token] = Slot(
                ask.client, now + ask.ends_in, self.round, now + ask.held_for
            )
            left = min(room - len(slots) for slots, room in self._counts_for(ask, bulk=True))
            every = ask.period / max(1, self.limit(ask.requests))
            self.pace.took(ask.lane, now, left=left, every=every)
            member.back_at, member.waits_since = now, None
            return None
        member.back_at = now + wait.seconds if wait.seconds < math.inf else now
        if member.waits_since is None:
            member.waits_since = now
        return wait

    def settle(
        self, client: str, token: str, round: int, counted_for: float, *, answered: bool
    ) -> None:
        """A request is over, and counts for so many seconds from now."""
        slot = self.slots.pop(token, None)
        was_held = slot is not None and slot.held_until is not None
        if was_held and answered and round == self.round and self.allowed is not None:
            self.allowed += 1
        if counted_for:
            self.slots[token] = Slot(client, self.touched_at + counted_for, round)

    def close(self, seconds: float, cause: Cause) -> None:
        """Give nobody a slot for so long; then one, and one more for each answer."""
        opens_at = self.touched_at + seconds
        if opens_at >= self.opens_at:
            self.opens_at, self.closed_by = opens_at, cause
        self.round += 1
        self.allowed = 1

    def restore(self, client: str, slots: dict[str, Slot]) -> None:
        """What a client has used while it was on its own, and nothing else of its."""
        self.slots = {name: slot for name, slot in self.slots.items() if slot.client != client}
        self.slots.update(slots)

    # -- what it says

    def limit(self, requests: int | None) -> float:
        """The strictest of those that its members have."""
        if requests is None:
            return math.inf
        known = [member.requests for member in self.members.values()]
        return min([requests, *(limit for limit in known if limit is not None)])

    def next_free_in(self, client: str, requests: int | None, *, poll: float) -> float:
        """Seconds until there is a slot; infinity if it takes an answer of this client's."""
        return self._free_in(list(self.slots.values()), self.limit(requests), client, poll)

    def _free_in(self, slots: list[Slot], room: float, client: str, poll: float) -> float:
        """Seconds until there are less of these than there is room for."""
        now = self.touched_at
        too_many = len(slots) - room + 1
        if too_many <= 0:
            return 0.0
        settled = sorted(slot.free_at - now for slot in slots if not is_held(slot, now))
        if too_many <= len(settled):
            return settled[int(too_many) - 1]
        others = [slot.free_at - now for slot in slots if slot.client != client]
        return min(poll, *others) if others else math.inf

    def _counts_for(self, ask: Ask, *, bulk: bool) -> list[tuple[list[Slot], float]]:
        """What counts for a request, and how much of each there may be.

        All slots do; for a bulk request, those of bulk requests as well, some less than the limit.
        """
        limit = self.limit(ask.requests)
        counts = [(list(self.slots.values()), limit)]
        if bulk and ask.reserved:
            # The part of a client that is on its own may be less than what is reserved.
            room = max(min(1, limit), limit - ask.reserved)
            counts.append(([slot for name, slot in self.slots.items() if is_bulk(name)], room))
        return counts

    def starts_slowly_for(self, client: str) -> float | None:
        """Seconds until to ask again, if no more may be under way in this round."""
        now = self.touched_at
        if self.allowed is None:
            return None
        under_way = [
            slot for slot in self.slots.values() if slot.round == self.round and is_held(slot, now)
        ]
        if len(under_way) < self.allowed:
            return None
        return math.inf if all(slot.client == client for slot in under_way) else 0.0

    def _wait(self, ask: Ask, member: Member) -> Wait | None:
        now, poll = self.touched_at, poll_every(ask.period)
        if self.opens_at > now:
            return Wait(self.opens_at - now, closed=self.closed_by)
        if (seconds := self.starts_slowly_for(ask.client)) is not None:
            return Wait(max(seconds, poll), probing=self.allowed == 1)
        free_in = max(
            self._free_in(slots, room, ask.client, poll)
            for slots, room in self._counts_for(ask, bulk=ask.is_bulk)
        )
        if (seconds := max(free_in, self.pace.due_in(ask.lane, now, ask.period))) > 0:
            return Wait(seconds)
        if len(self.members) > 1 and self._is_to_leave_it(ask, member):
            return Wait(poll)
        return None

    def _is_to_leave_it(self, ask: Ask, member: Member) -> bool:
        """Whether the slots that are free are for others, who have less or have waited longer."""
        counts = self._counts_for(ask, bulk=ask.is_bulk)
        slots, limit = counts[-1]
        if limit == math.inf:
            return False
        now, moment = self.touched_at, waited_for(ask.period)
        wanting = {
            name: other
            for name, other in self.members.items()
            if name != ask.client
            and other.back_at + moment >= now
            and (ask.is_bulk or not other.is_bulk)  # people leave nothing to bulk requests
        }
        used = Counter(slot.client for slot in slots)
        share = max(1, int(limit) // (len(wanting) + 1))
        due = {
            name: other
            for name, other in wanting.items()
            if other.back_at <= now and (used[name] < share or _goes_first(other, member))
        }
        free = min(room - len(slots) for slots, room in counts)
        if self.pace.holds(ask.lane, now, ask.period):
            free = 1
        if used[ask.client] >= share:
            return free <= sum(max(1, share - used[name]) for name in due)
        mine = _since(member, now)
        before = [
            other
            for other in due.values()
            if _goes_first(other, member) or _since(other, now) < mine
        ]
        return free <= len(before)


def is_held(slot: Slot, now: float) -> bool:
    """Whether its request may still be under way; that of a dead client no longer is."""
    return slot.held_until is not None and slot.held_until > now


def slots_of(tenant: Tenant, client: str) -> dict[str, Slot]:
    """What this client has."""
    return {token: slot for token, slot in tenant.slots.items() if slot.client == client}


def _goes_first(one: Member, other: Member) -> bool:
    return other.is_bulk and not one.is_bulk


def _since(member: Member, now: float) -> float:
    return now if member.waits_since is None else member.waits_since
