"""The reverse mirror: appliers that take the lease from each other, rounds, pushes that run late."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.promotion.state import (
    CONFIRMED,
    DOCUMENT,
    DOCUMENTS_FIRST,
    LOADED,
    LOST,
    NO_APPLIER,
    PUSHING,
    READY,
    Applier,
    State,
    Step,
    World,
)
from tests.model.promotion.statements import push

NOBODY = Applier(NO_APPLIER, 0)


def steps(world: World, state: State) -> Iterator[Step]:
    yield from _election(world, state)
    for index, applier in enumerate(state.appliers):
        if applier.phase == NO_APPLIER:
            continue
        yield from _round(world, state, index, applier)
        if state.left.applier_crashes:
            left = state.left._replace(applier_crashes=state.left.applier_crashes - 1)
            after = _with(state._replace(left=left), index, NOBODY)
            yield "the applier crashes", after
            if applier.phase == PUSHING and not state.pushes:
                yield "the applier crashes, its push is under way", after._replace(pushes=(*after.pushes, applier))
    for index, late in enumerate(state.pushes):
        if not state.down:
            rest = state._replace(pushes=(*state.pushes[:index], *state.pushes[index + 1 :]))
            yield "a late push is gone", rest
            yield "a LATE PUSH runs", _pushed(world, rest, late) or rest


def _with(state: State, index: int, applier: Applier) -> State:
    return state._replace(appliers=(*state.appliers[:index], applier, *state.appliers[index + 1 :]))


def _election(world: World, state: State) -> Iterator[Step]:
    """Take the lease: at any time, since it may have run out."""
    if not state.outbox or NOBODY not in state.appliers:
        return
    left = state.left
    if any(applier.phase and applier.token == state.lease for applier in state.appliers):
        if not left.takeovers:
            return
        left = left._replace(takeovers=left.takeovers - 1)
    lease = state.lease + 1
    index = state.appliers.index(NOBODY)
    yield "an applier takes the lease", _with(state._replace(lease=lease, left=left), index, Applier(READY, lease))


def _loaded(state: State, keys: set[int]) -> tuple[tuple[int, int], ...]:
    """Return the states of the keys. A row that is not there any more is a removal too."""
    return tuple(
        (key, row.version if row.kind == DOCUMENT else row.version | 1)
        for key, row in enumerate(state.rows)
        if key in keys
    )


def _round(world: World, state: State, index: int, applier: Applier) -> Iterator[Step]:
    rules = world.rules
    if applier.phase == READY:
        if not state.outbox:
            return
        if not rules.rows_before_documents:
            read = _loaded(state, set(range(world.bounds.keys)))
            yield "read documents first", _with(state, index, Applier(DOCUMENTS_FIRST, applier.token, (), read))
            return
        sizes = {len(state.outbox), 1} if world.bounds.partial else {len(state.outbox)}
        for size in sizes:
            rows = state.outbox[:size]
            read = _loaded(state, {key for _, key in rows})
            held = Applier(LOADED, applier.token, tuple(place for place, _ in rows), read)
            yield "read rows and documents", _with(state, index, held)
    elif applier.phase == DOCUMENTS_FIRST:
        keys = {key for _, key in state.outbox}
        read = tuple(one for one in applier.documents if one[0] in keys)
        held = Applier(LOADED, applier.token, tuple(place for place, _ in state.outbox), read)
        yield "read rows", _with(state, index, held)
    elif applier.phase == LOADED:
        glass = world.bounds.left.glass > state.left.glass
        waits = glass and rules.glass_waits_for_late and any(write.phase == LOST for write in state.writes)
        if not _fence_document_locked(world, state) and not state.down and not waits:
            stale = rules.token and state.fence > applier.token
            yield "open the push", _with(state, index, NOBODY if stale else applier._replace(phase=PUSHING))
    elif applier.phase == PUSHING:
        if not state.down:
            yield from _push(world, state, index, applier)
    elif rules.deletes_under_lease and state.lease != applier.token:
        yield "the lease is another's", _with(state, index, NOBODY)
    else:
        kept = tuple(row for row in state.outbox if row[0] not in applier.rows)
        if not rules.deletes_what_it_read:
            kept = tuple(row for row in state.outbox if row[0] > max(applier.rows))
        after = state._replace(outbox=kept)
        yield "remove the rows", _with(after, index, Applier(READY, applier.token))


def _fence_document_locked(world: World, state: State) -> bool:
    if not world.rules.push_is_transaction:
        return False
    return bool(state.pushes) or any(applier.phase == PUSHING for applier in state.appliers)


def _pushed(world: World, state: State, applier: Applier) -> State | None:
    """Return the state after ArangoDB executed a push; None if it refused it. Raise Broken."""
    rules = world.rules
    if rules.token and not rules.push_is_transaction and state.fence > applier.token:
        return None
    fence = max(state.fence, applier.token) if rules.token else state.fence
    return push(world, state._replace(fence=fence), applier.documents)


def _push(world: World, state: State, index: int, applier: Applier) -> Iterator[Step]:
    pushed = _pushed(world, state, applier)
    if pushed is None:
        yield "the push is refused", _with(state, index, NOBODY)
        return
    yield "PUSH", _with(pushed, index, Applier(CONFIRMED, applier.token, applier.rows))
    if state.left.lost_pushes:
        left = state.left._replace(lost_pushes=state.left.lost_pushes - 1)
        again = Applier(READY, applier.token)
        yield "PUSH, the answer is lost", _with(pushed._replace(left=left), index, again)
        waiting = _with(state._replace(left=left), index, again)
        yield "the push is lost", waiting
        if not state.pushes:
            yield "the push is late", waiting._replace(pushes=(*state.pushes, applier))
