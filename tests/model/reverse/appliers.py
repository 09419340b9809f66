"""Appliers of the outbox, and what they make ArangoDB do: pushes of documents, requests that change a collection.

A push is a stream transaction, which tests the token in the fence document of the part and locks it. A change of a
collection cannot be in one. So it is announced first, in a transaction on the fence document alone; then a request is
sent, which carries no token, and which may run at any time until it is known that it no longer can.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.mirror_state import Broken
from tests.model.reverse.state import (
    ANNOUNCED,
    CHOSEN,
    CONFIRMED,
    CREATE,
    DROP,
    INDEX,
    LOADED,
    NO_APPLIER,
    PUSHING,
    READY,
    RENAME,
    SENT,
    TRUNCATE,
    WRITE,
    Applier,
    Entry,
    Fence,
    State,
    Step,
    World,
    parts,
    value_of,
    with_document,
)

NOBODY = Applier(NO_APPLIER)


def steps(world: World, state: State) -> Iterator[Step]:
    yield from _election(world, state)
    for index, applier in enumerate(state.appliers):
        if applier.phase == NO_APPLIER:
            continue
        yield from _round(world, state, index, applier)
        if state.left.crashes:
            after = _with(state._replace(left=state.left._replace(crashes=state.left.crashes - 1)), index, NOBODY)
            yield "the applier crashes", after
            if applier.phase == PUSHING:
                yield "the applier crashes, its push is under way", after._replace(pushes=(*after.pushes, applier))
            if applier.phase == SENT:
                yield "the applier crashes, its request is under way", _late(after, applier)
    for index, late in enumerate(state.pushes):
        rest = state._replace(pushes=(*state.pushes[:index], *state.pushes[index + 1 :]))
        yield "a late push is gone", rest
        yield "a LATE PUSH runs", _pushed(world, rest, late) or rest
    for index, (_, change) in enumerate(state.requests):
        rest = state._replace(requests=(*state.requests[:index], *state.requests[index + 1 :]))
        yield "a late request is gone", rest
        yield "a LATE REQUEST runs", _executed(world, rest, change)[0]


def _with(state: State, index: int, applier: Applier) -> State:
    return state._replace(appliers=(*state.appliers[:index], applier, *state.appliers[index + 1 :]))


def _late(state: State, applier: Applier) -> State:
    assert isinstance(applier.change, Entry)
    return state._replace(requests=tuple(sorted((*state.requests, (applier.part, applier.change)))))


def _election(world: World, state: State) -> Iterator[Step]:
    if NOBODY not in state.appliers:
        return
    index = state.appliers.index(NOBODY)
    for part in range(parts(world)):
        if not any(entry.part == part for entry in state.outbox):
            continue
        left, lease = state.left, state.leases[part]
        if any(one.phase and one.part == part and one.token == lease for one in state.appliers):
            if not left.takeovers:
                continue
            left = left._replace(takeovers=left.takeovers - 1)
        leases = (*state.leases[:part], lease + 1, *state.leases[part + 1 :])
        taken = state._replace(leases=leases, left=left)
        yield "an applier takes the lease", _with(taken, index, Applier(READY, part, lease + 1))


def _round(world: World, state: State, index: int, applier: Applier) -> Iterator[Step]:
    again = Applier(READY, applier.part, applier.token)
    if applier.phase == READY:
        yield from _read(world, state, index, applier)
    elif applier.phase in (LOADED, CHOSEN):
        yield from _opened(world, state, index, applier)
    elif applier.phase == PUSHING:
        yield from _push(world, state, index, applier, again)
    elif applier.phase == ANNOUNCED:
        yield "send the request", _with(state, index, applier._replace(phase=SENT))
        if world.rules.sends_before_deadline:
            yield "too late to send the request", _with(state, index, again)
    elif applier.phase == SENT:
        yield from _request(world, state, index, applier, again)
    elif world.rules.deletes_under_lease and state.leases[applier.part] != applier.token:
        yield "the lease is another's", _with(state, index, NOBODY)
    else:
        kept = tuple(entry for entry in state.outbox if entry.place not in applier.rows)
        yield "remove the rows", _with(state._replace(outbox=kept), index, again)


def _read(world: World, state: State, index: int, applier: Applier) -> Iterator[Step]:
    rules = world.rules
    rows = [entry for entry in state.outbox if entry.part == applier.part]
    if not rows and state.leases[applier.part] != applier.token:
        yield "the lease is another's", _with(state, index, NOBODY)
    passed = (WRITE, INDEX) if rules.documents_pass_indexes else (WRITE,)
    changes = [entry for entry in rows if entry.kind not in passed]
    batch = [entry for entry in rows if entry.kind == WRITE]
    if changes:
        if rules.changes_first or changes[0] == rows[0]:
            yield "read a change", _with(state, index, _chosen(state, applier, changes[0]))
        if rules.documents_wait_for_changes:
            batch = [] if rules.changes_first else [entry for entry in batch if entry.place < changes[0].place]
    else:
        for entry in [entry for entry in rows if entry.kind == INDEX][:1]:
            yield "read an index", _with(state, index, _chosen(state, applier, entry))
    if not batch:
        return
    along = bool(changes) and rules.holders_are_pushed_along
    sizes = {(1, False), (len(batch), False), (len(batch), along)} if rules.batch_can_grow else {(1, False)}
    for size, holders in sizes:
        taken = batch[:size]
        keys = {(_collection(world, state, entry), entry.key) for entry in taken}
        if holders:
            keys = {(collection, key) for collection, _ in keys for key in range(world.bounds.keys)}
        read = []
        for collection, key in sorted(keys):
            read.append((collection, key, _document(world, state, collection, key, taken)))
        loaded = applier._replace(phase=LOADED, rows=tuple(entry.place for entry in taken), documents=tuple(read))
        yield "read rows and documents", _with(state, index, loaded)


def _chosen(state: State, applier: Applier, change: Entry) -> Applier:
    """Return the applier with a change; that of an index is what PostgreSQL has now."""
    if change.kind == INDEX:
        change = change._replace(new_name=int(state.indexed))
    return applier._replace(phase=CHOSEN, change=change, rows=(change.place,))


def _collection(world: World, state: State, entry: Entry) -> int:
    """Return the collection of ArangoDB that a row is for."""
    return entry.collection if world.rules.rows_follow_identity else state.origin_names[entry.name] or entry.collection


def _document(world: World, state: State, collection: int, key: int, taken: list[Entry]) -> int:
    if world.rules.rows_follow_identity:
        return state.documents[collection - 1][key] if collection in state.names else 0
    name = taken[0].name
    return state.documents[state.names[name] - 1][key] if state.names[name] else 0


def _opened(world: World, state: State, index: int, applier: Applier) -> Iterator[Step]:
    """Begin a transaction of ArangoDB with the fence document: for a push, or to announce a change."""
    rules, fence = world.rules, state.fences[applier.part]
    of_part = [one for one in state.appliers if one.part == applier.part and one is not applier]
    if any(one.phase == PUSHING for one in of_part) or any(one.part == applier.part for one in state.pushes):
        return  # the fence document is locked
    if rules.token and fence.token > applier.token:
        yield "a newer token: end", _with(state, index, NOBODY)
        return
    announced = fence.intent and any(entry.place == fence.intent for entry in state.outbox)
    if announced and rules.waits_for_late:
        if any(part == applier.part for part, _ in state.requests) or any(one.phase == SENT for one in of_part):
            return
        if rules.sends_before_deadline and any(one.phase == ANNOUNCED for one in of_part):
            return
    if applier.phase == LOADED:
        yield "open the push", _with(state, index, applier._replace(phase=PUSHING))
        return
    intent = applier.rows[0] if rules.change_is_announced else fence.intent
    fences = (
        *state.fences[: applier.part],
        Fence(max(fence.token, applier.token) if rules.token else 0, intent),
        *state.fences[applier.part + 1 :],
    )
    yield "announce the change", _with(state._replace(fences=fences), index, applier._replace(phase=ANNOUNCED))


# ---- documents


def _pushed(world: World, state: State, applier: Applier) -> State | None:
    """Return the state after a push; None if a unique index of ArangoDB refuses it. Raise Broken."""
    documents = state.origin_documents
    changes = [
        one for one in applier.documents if one[0] in state.origin_names and documents[one[0] - 1][one[1]] != one[2]
    ]
    if world.rules.removes_before_it_writes:
        for collection, key, _ in changes:
            documents = with_document(documents, collection - 1, key, 0)
    for collection, key, new in changes:
        here = documents[collection - 1]
        if new and new == here[key]:
            raise Broken(f"REVISION of {new} is written over itself")
        taken = {value_of(found) for other, found in enumerate(here) if found and other != key}
        if new and state.origin_indexed and value_of(new) in taken:
            return None
        documents = with_document(documents, collection - 1, key, new)
    fence = state.fences[applier.part]
    token = max(fence.token, applier.token) if world.rules.token else 0
    fences = (*state.fences[: applier.part], fence._replace(token=token), *state.fences[applier.part + 1 :])
    return state._replace(origin_documents=documents, fences=fences)


def _push(world: World, state: State, index: int, applier: Applier, again: Applier) -> Iterator[Step]:
    pushed = _pushed(world, state, applier)
    if pushed is None:
        yield "a unique index refuses the push", _with(state, index, again)
        return
    yield "PUSH", _with(pushed, index, again._replace(phase=CONFIRMED, rows=applier.rows))
    if state.left.lost:
        left = state.left._replace(lost=state.left.lost - 1)
        yield "PUSH, the answer is lost", _with(pushed._replace(left=left), index, again)
        waiting = _with(state._replace(left=left), index, again)
        yield "the push is late", waiting._replace(pushes=(*state.pushes, applier))


# ---- changes of whole collections


def _executed(world: World, state: State, change: Entry) -> tuple[State, bool]:
    """Return the state after a request, which names the collection, and whether that is what the change demands."""
    names = list(state.origin_names)
    collection = names[change.name]
    if change.kind == CREATE:
        if collection:
            return state, True  # "duplicate name": it was made before
        names[change.name] = change.collection
    elif not collection:
        return state, True  # "collection not found": it was done before
    elif change.kind == TRUNCATE:
        documents, place = state.origin_documents, collection - 1
        documents = (*documents[:place], (0,) * world.bounds.keys, *documents[place + 1 :])
        return state._replace(origin_documents=documents), True
    elif change.kind == INDEX:
        values = [value_of(found) for found in state.origin_documents[collection - 1] if found]
        if change.new_name and len(values) > len(set(values)):
            return state, False  # ArangoDB has documents that the index does not allow
        return state._replace(origin_indexed=bool(change.new_name)), True
    elif change.kind == DROP:
        names[change.name] = 0
    elif change.kind == RENAME:
        if names[change.new_name]:
            return state, not world.rules.refused_is_not_done
        names[change.name], names[change.new_name] = 0, collection
    return state._replace(origin_names=tuple(names)), True


def _request(world: World, state: State, index: int, applier: Applier, again: Applier) -> Iterator[Step]:
    assert isinstance(applier.change, Entry)
    executed, done = _executed(world, state, applier.change)
    confirmed = again._replace(phase=CONFIRMED, rows=applier.rows)
    yield "REQUEST", _with(executed, index, confirmed if done else again)
    if not world.rules.confirmed_before_removal:
        late = _late(state, applier)
        yield "the request is not awaited", _with(late, index, confirmed)
    if state.left.lost:
        left = state.left._replace(lost=state.left.lost - 1)
        yield "REQUEST, the answer is lost", _with(executed._replace(left=left), index, again)
        yield "the request is late", _with(_late(state, applier)._replace(left=left), index, again)
