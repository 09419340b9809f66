"""What the control row and its commands do: hold, floor, commit, abort, demotion, break-glass; verification, purge.

A command may stop after any step, and another continue: each step is one transaction, and depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.promotion.instances import changed
from tests.model.promotion.state import (
    DEMOTING,
    EXECUTED,
    FLIPPED,
    FORWARDED,
    HOLD,
    LOST,
    NO_ROW,
    OPEN,
    PROMOTED,
    READ,
    REMOVE,
    REPAIR,
    SHADOW,
    TOMBSTONE,
    UPSERT,
    Late,
    Row,
    State,
    Step,
    World,
    Write,
    alive,
    fenced,
    origin_writes,
    replaced,
)
from tests.model.promotion.statements import remove, repaired, upsert


def steps(world: World, state: State) -> Iterator[Step]:
    if state.stage == FLIPPED:
        yield from _begin(world, state)
    elif state.stage == HOLD:
        yield from _hold(world, state)
        yield from _break_glass(world, state)
    elif state.stage == PROMOTED and state.left.demotes and not fenced(world, state):
        after = state._replace(left=state.left._replace(demotes=state.left.demotes - 1))
        yield "DEMOTE: no writer", changed(after, DEMOTING)
    elif state.stage == DEMOTING:
        yield from _demote(world, state)
    yield from _maintenance(world, state)
    for index, late in enumerate(state.late):
        rest = state._replace(late=(*state.late[:index], *state.late[index + 1 :]))
        yield "a late statement runs", _late(world, rest, late)


def acknowledged(world: World, state: State) -> bool:
    """Return True if every registered instance has acknowledged the hold. Evicted ones are left out."""
    rules = world.rules
    return all(
        proxy.evicted or ((proxy.acked or not rules.acknowledgements) and not (rules.leases_at_commit and proxy.stale))
        for proxy in state.proxies
    )


def _begin(world: World, state: State) -> Iterator[Step]:
    rules = world.rules
    gates = not (state.unverified and rules.unverified_is_gate) and not (
        state.requests and rules.rights_request_is_gate
    )
    if state.left.promotes and gates:
        after = changed(state._replace(left=state.left._replace(promotes=state.left.promotes - 1)), HOLD)
        yield "PROMOTE: hold", after if rules.floor_after_acknowledgements else after._replace(floor=state.clock + 1)


def _hold(world: World, state: State) -> Iterator[Step]:
    rules = world.rules
    taken = not any(state.rights) or not rules.rights_before_commit
    ready = acknowledged(world, state) and taken
    if ready and not state.floor and not state.down:
        yield "the floor of revisions is noted", state._replace(floor=state.clock + 1)
    settled = not (state.unverified and rules.unverified_is_gate)
    if ready and state.floor and settled and not fenced(world, state):
        after = changed(state, PROMOTED)
        if rules.floor:
            after = after._replace(sequence=max(state.sequence, state.floor - 1))
        yield "PROMOTE: commit", _marked(after, rules.promotion_raises_mark)
    if state.unverified:  # of an instance that was evicted in the hold: it cannot be verified there
        yield "ABORT: flipped", changed(state, FLIPPED)
    elif state.left.aborts:
        after = state._replace(left=state.left._replace(aborts=state.left.aborts - 1))
        yield "ABORT: flipped", changed(after, FLIPPED)


def _marked(state: State, raises: bool) -> State:
    return state._replace(era=state.era + 1, mark=state.era + 1) if raises else state


def _break_glass(world: World, state: State) -> Iterator[Step]:
    rules, left = world.rules, state.left
    if not left.glass:
        return
    if not state.down:
        yield "ArangoDB is away", state._replace(down=True)
        return
    current = all(not p.stale and not p.alone and p.current for p in state.proxies)
    if not current or any(write.phase == EXECUTED for write in state.writes):
        return
    newest = max(row.rev for row in state.rows)
    after = state._replace(
        sequence=max(state.sequence, newest + (world.bounds.left.writes + 1 if rules.glass_margin else 0)),
        left=left._replace(glass=left.glass - 1),
    )
    unknown = [write for write in state.writes if write.phase in (FORWARDED, LOST, OPEN, READ)]
    if rules.glass_outbox:
        first = next_place(state)
        added = tuple((first + number, write.key) for number, write in enumerate(unknown))
        after = after._replace(outbox=(*after.outbox, *added))
    writes = tuple(_unanswered(write) if write in unknown else write for write in state.writes)
    after = after._replace(writes=writes)
    yield "BREAK-GLASS: commit", _marked(changed(after, PROMOTED), raises=True)


def _unanswered(write: Write) -> Write:
    """Return a write whose outcome at ArangoDB stays unknown: its client gets an error."""
    return write._replace(done=True, phase=LOST if write.phase == FORWARDED else write.phase)


def next_place(state: State) -> int:
    """Return the next place in the outbox: above those that are stored, drawn or in an applier's hand."""
    drawn = max((write.place for write in state.writes), default=0)
    held = max((row for applier in state.appliers for row in applier.rows), default=0)
    return max(max((place for place, _ in state.outbox), default=0), drawn, held) + 1


def _demote(world: World, state: State) -> Iterator[Step]:
    rules = world.rules
    if state.clock < state.sequence:
        yield "ArangoDB's clock passes the sequence", state._replace(clock=state.sequence)
    drained = not state.outbox or not rules.drained
    waited = state.clock >= state.sequence or not rules.clock_wait
    back = rules.rights_back_after_commit or state.rights == world.bounds.users
    if drained and waited and back and not state.down and not fenced(world, state):
        after = changed(state, FLIPPED)
        yield "DEMOTE: commit", _marked(after._replace(outbox=()), rules.demotion_raises_mark)
    if state.left.aborts:
        after = state._replace(left=state.left._replace(aborts=state.left.aborts - 1))
        yield "ABORT: promoted", changed(after, PROMOTED)


def _maintenance(world: World, state: State) -> Iterator[Step]:
    left = state.left
    if left.bypasses and any(state.rights) and not origin_writes(state):
        clock = state.clock + 1
        after = state._replace(clock=clock, arangodb=replaced(state.arangodb, 0, 2 * clock))
        yield "a client writes around the proxies", after._replace(left=left._replace(bypasses=left.bypasses - 1))
    if state.down and (state.stage != HOLD or not left.glass):
        yield "ArangoDB is back", state._replace(down=False)
    if left.purges and not (fenced(world, state) and world.rules.purge_waits):
        era = state.era + 1
        rows = tuple(Row(NO_ROW, 0, row.version, 0) if row.kind == TOMBSTONE else row for row in state.rows)
        after = state._replace(era=era, mark=era, rows=rows, left=left._replace(purges=left.purges - 1))
        yield "purge", after
    if left.verifications and not state.down:
        for key in range(world.bounds.keys):
            era, version = state.era + 1, state.arangodb[key]
            late = Late(REPAIR, key, alive(version), era, state.rows[key].rev, version)
            after = state._replace(era=era, late=(*state.late, late))
            yield "a verification reads", after._replace(left=left._replace(verifications=left.verifications - 1))
    if state.unverified and state.stage in (FLIPPED, SHADOW) and not state.down:
        yield from _verify(world, state)


def _verify(world: World, state: State) -> Iterator[Step]:
    """Compare the collection after an eviction: no request of the evicted process can run any more."""
    evicted = {index for index, proxy in enumerate(state.proxies) if proxy.evicted}
    of_evicted = [write for write in state.writes if write.proxy in evicted]
    if world.rules.verification_waits_for_late and any(write.phase == LOST for write in of_evicted):
        return
    after = state._replace(era=state.era + 1, unverified=False)
    after = after._replace(
        writes=tuple(write for write in state.writes if write not in of_evicted or write.phase == LOST)
    )
    for key, version in enumerate(state.arangodb):
        after, _ = repaired(world, after, key, version, state.rows[key].rev, after.era)
    yield "verified", after


def _late(world: World, state: State, late: Late) -> State:
    if late.kind == UPSERT:
        return upsert(world, state, late.key, late.rev, late.stamp)[0]
    if late.kind == REMOVE:
        return remove(world, state, late.key, late.rev, late.stamp)[0]
    return repaired(world, state, late.key, late.version, late.had, late.stamp)[0]
