"""Refused writes and killed proxies while PostgreSQL serves reads: every interleaving within bounds.

One document, two proxies, initially flipped and equal. A write is journaled (or the journal is full), runs at the
origin, is applied or refused by PostgreSQL, or marked if it was not journaled and must be read again, and is answered.
A proxy may be killed at any step and restarts. Reads are of the document: by PostgreSQL while flipped and both proxies
hold a lease, else by the origin, after PostgreSQL has applied the version read. Queries go to the origin while a lease
is missing, and wait for nothing.

Property: STALE a read by PostgreSQL shows an older version than some client has seen.

Left out: queries that show an unfinished write of a living proxy (monotonic reads of documents alone are
promised there: mirror-protocol, "Limits"); answers by one proxy alone, and how a flip begins (test_flip.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

SENT, EXECUTED, APPLIED, GIVEN_UP, OPEN = range(5)  # of a write
HELD, DEAD, DRAINING = range(3)  # of a proxy's lease
PROXIES = (0, 1)


class Write(NamedTuple):
    proxy: int
    state: int
    rev: int
    noted: bool


class State(NamedTuple):
    """refused: the version that PostgreSQL refuses.

    seen: the newest that a client knows. unnoted: proxies whose last process ended with a write that it could not
    journal. left: remaining writes, kills, refusals, full journals.
    """

    origin: int
    target: int
    refused: int
    seen: int
    flipped: bool
    leases: tuple[int, ...]
    unnoted: tuple[bool, ...]
    writes: tuple[Write, ...]
    left: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the protocol; each False is a mutant that the property must catch."""

    letter_ends_the_flip: bool = True  # with the dead letter, before the answer
    mark_ends_the_flip: bool = True  # of a write that could not be noted, before the answer, applied or not
    answers_wait: bool = True  # for PostgreSQL, while flipped
    drains_before_the_lease: bool = True
    alarm_ends_the_flip: bool = True  # a kill while something was not journaled


Step = tuple[str, State]


def initial(writes: int = 2, kills: int = 1, refusals: int = 1, full: int = 1) -> State:
    return State(1, 1, 0, 1, True, (HELD, HELD), (False, False), (), (writes, kills, refusals, full))


def _closed(state: State) -> bool:
    """Return True if the fence keeps every read from PostgreSQL."""
    return not state.flipped or any(lease != HELD for lease in state.leases)


def wrong(state: State) -> bool:
    return not _closed(state) and state.target < state.seen


def successors(state: State, rules: Rules) -> Iterator[Step]:
    writes, kills, refusals, full = state.left
    for proxy in PROXIES:
        lease = state.leases[proxy]
        if lease == DEAD:
            yield "restart", _lease(state, proxy, DRAINING)
            continue
        if writes:
            left = (writes - 1, kills, refusals, full)
            yield "intend", _with(state._replace(left=left), Write(proxy, SENT, 0, noted=True))
            if full:
                left = (writes - 1, kills, refusals, full - 1)
                yield "journal full", _with(state._replace(left=left), Write(proxy, SENT, 0, noted=False))
        if kills:
            yield "kill", _killed(state._replace(left=(writes, kills - 1, refusals, full)), proxy)
        if lease == DRAINING:
            drained = not any(one.proxy == proxy and one.state == OPEN for one in state.writes)
            if drained or not rules.drains_before_the_lease:
                flipped = state.flipped and not (state.unnoted[proxy] and rules.alarm_ends_the_flip)
                unnoted = tuple(was and one != proxy for one, was in enumerate(state.unnoted))
                yield "lease", _lease(state, proxy, HELD)._replace(flipped=flipped, unnoted=unnoted)
        if _closed(state):
            shown = _brought_up(state, rules) if state.flipped else state
            yield "read", shown._replace(seen=max(shown.seen, shown.origin))
            living = any(one.state in (EXECUTED, GIVEN_UP) for one in state.writes)
            if not living:
                yield "query", state._replace(seen=max(state.seen, state.origin))
    for index, one in enumerate(state.writes):
        rest = state._replace(writes=state.writes[:index] + state.writes[index + 1 :])
        yield from _write(state, rest, one, rules, refusals)


def _write(state: State, rest: State, one: Write, rules: Rules, refusals: int) -> Iterator[Step]:
    lease = state.leases[one.proxy]
    if one.state == SENT:
        after = rest._replace(origin=state.origin + 1)
        yield "execute", _with(after, one._replace(state=EXECUTED, rev=after.origin))
    elif one.state == EXECUTED:
        if one.rev != state.refused:
            yield "apply", _with(_applied(rest, one.rev), one._replace(state=APPLIED))
        if not one.noted:  # its keys are unknown
            flipped = state.flipped and not rules.mark_ends_the_flip
            yield "mark", _with(rest._replace(flipped=flipped), one._replace(state=GIVEN_UP))
        if refusals and one.rev == state.origin:
            left = (state.left[0], state.left[1], refusals - 1, state.left[3])
            after = _refused(rest._replace(left=left), one.rev, rules)
            yield "refuse", _with(after, one._replace(state=GIVEN_UP))
        if not state.flipped or not rules.answers_wait:
            yield "answer", _with(rest._replace(seen=max(state.seen, one.rev)), one._replace(state=OPEN))
    elif one.state in (APPLIED, GIVEN_UP):
        flipped = state.flipped and (one.noted or not rules.mark_ends_the_flip)
        yield "answer", rest._replace(seen=max(state.seen, one.rev), flipped=flipped)
    elif lease != DEAD:
        yield "repair", _brought_up(rest, rules)


def _applied(state: State, rev: int) -> State:
    return state._replace(target=max(state.target, rev))


def _refused(state: State, rev: int, rules: Rules) -> State:
    return state._replace(refused=rev, flipped=state.flipped and not rules.letter_ends_the_flip)


def _brought_up(state: State, rules: Rules) -> State:
    """Let PostgreSQL apply what the origin has, or refuse it."""
    if state.origin == state.refused:
        return _refused(state, state.refused, rules)
    return _applied(state, state.origin)


def _killed(state: State, proxy: int) -> State:
    """Keep its journal, and its request in flight, which ran at the origin or never will."""
    mine = [one for one in state.writes if one.proxy == proxy]
    kept = [one for one in state.writes if one.proxy != proxy]
    kept += [one._replace(state=OPEN) for one in mine if one.noted and one.state != SENT]
    lost = state.unnoted[proxy] or any(not one.noted for one in mine)
    unnoted = tuple(lost if one == proxy else was for one, was in enumerate(state.unnoted))
    return _lease(state, proxy, DEAD)._replace(writes=tuple(sorted(kept)), unnoted=unnoted)


def _lease(state: State, proxy: int, lease: int) -> State:
    leases = tuple(lease if one == proxy else was for one, was in enumerate(state.leases))
    return state._replace(leases=leases)


def _with(state: State, one: Write) -> State:
    return state._replace(writes=tuple(sorted((*state.writes, one))))


@dataclass(frozen=True, slots=True)
class Found:
    """states: number visited. trace: the shortest way to a stale read, or empty."""

    states: int
    trace: tuple[str, ...]


def explore(first: State, rules: Rules | None = None) -> Found:
    """Visit every state, or stop at the first in which a read would be stale."""
    known: dict[State, tuple[State, str] | None] = {first: None}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        if wrong(state):
            trace: list[str] = []
            at: State = state
            while (before := known[at]) is not None:
                at, label = before
                trace.append(label)
            return Found(len(known), tuple(reversed(trace)))
        for label, following in successors(state, rules or Rules()):
            if following not in known:
                known[following] = (state, label)
                queue.append(following)
    return Found(len(known), ())
