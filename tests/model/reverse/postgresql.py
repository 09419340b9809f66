"""PostgreSQL while it takes the writes: transactions on documents and on whole collections, and the demotion."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.reverse.state import (
    CREATE,
    DEMOTING,
    DROP,
    FLIPPED,
    INDEX,
    PROMOTED,
    RENAME,
    TRUNCATE,
    VALUES,
    WRITE,
    Entry,
    State,
    Step,
    Transaction,
    World,
    document,
    part_of,
    value_of,
    with_document,
)


def steps(world: World, state: State) -> Iterator[Step]:
    if state.stage == PROMOTED and len(state.transactions) < world.bounds.slots:
        yield from _writes(world, state)
        yield from _changes(world, state)
    for index, transaction in enumerate(state.transactions):
        rest = (*state.transactions[:index], *state.transactions[index + 1 :])
        yield "commit", _commit(world, state._replace(transactions=rest), transaction)
    if world.bounds.demotes and not state.transactions:
        if state.stage == PROMOTED:
            yield "DEMOTE: no writer", state._replace(stage=DEMOTING)
        elif state.stage == DEMOTING and (not state.outbox or not world.rules.drained):
            yield "DEMOTE: commit", state._replace(stage=FLIPPED)


def _locked(world: World, state: State, collection: int, key: int) -> bool:
    """Return True if a write must wait: for a change of the collection, or for the row."""
    for other in state.transactions:
        if other.collection == collection:
            if other.kind != WRITE and world.rules.change_excludes_writes:
                return True
            if any(one == key for one, _ in other.documents):
                return True
    return False


def _writes(world: World, state: State) -> Iterator[Step]:
    bounds, left = world.bounds, state.left
    if not left.writes:
        return
    after = state._replace(left=left._replace(writes=left.writes - 1))
    for name, collection in enumerate(state.names):
        if not collection:
            continue
        for chosen in [(key,) for key in range(bounds.keys)] + [tuple(range(bounds.keys))] * bounds.both:
            if any(_locked(world, state, collection, key) for key in chosen):
                continue
            for values in _values(world, state, collection, chosen):
                sequence, made = state.sequence, []
                for key, value in zip(chosen, values, strict=True):
                    sequence += value >= 0
                    made.append((key, document(sequence, value) if value >= 0 else 0))
                places = tuple(range(_next(after), _next(after) + len(chosen)))
                begun = Transaction(WRITE, collection, tuple(made), places, name, 0)
                yield "write: locked", _begun(after._replace(sequence=sequence), begun)


def _values(world: World, state: State, collection: int, keys: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield what the documents of the keys may have in the unique index; -1 for a removal."""
    here = state.documents[collection - 1]
    if not world.bounds.unique:
        yield (0,) * len(keys)
        if world.bounds.removals and len(keys) == 1 and here[keys[0]]:
            yield (-1,)
        return
    if not state.indexed:
        yield from ((value,) for value in VALUES[: world.bounds.keys] if len(keys) == 1)
        return
    others = {value_of(found) for key, found in enumerate(here) if found and key not in keys}
    for transaction in state.transactions:
        others.update(value_of(found) for _, found in transaction.documents if found)
    if len(keys) == 1:
        yield from ((value,) for value in VALUES if value not in others)
        if world.bounds.removals and here[keys[0]]:
            yield (-1,)
        return
    free = [value for value in VALUES if value not in others]
    yield from ((one, two) for one in free for two in free if one != two)


def _next(state: State) -> int:
    """Return the next place: the sequence of the outbox gives them in the order of asking, without a cache."""
    places = [entry.place for entry in state.outbox]
    places += [place for transaction in state.transactions for place in transaction.places]
    for applier in state.appliers:
        places += applier.rows
    places += [fence.intent for fence in state.fences]
    return max(places, default=0) + 1


def _begun(state: State, transaction: Transaction) -> State:
    return state._replace(transactions=tuple(sorted((*state.transactions, transaction))))


def _changes(world: World, state: State) -> Iterator[Step]:
    left = state.left
    free = [name for name, collection in enumerate(state.names) if not collection]
    for name, collection in enumerate(state.names):
        if not collection:
            continue
        if world.rules.change_excludes_writes and any(one.collection == collection for one in state.transactions):
            continue  # it waits for the lock
        place = (_next(state),)
        if left.truncates:
            after = state._replace(left=left._replace(truncates=left.truncates - 1))
            yield "truncate: locked", _begun(after, Transaction(TRUNCATE, collection, (), place, name, 0))
        if left.drops:
            after = state._replace(left=left._replace(drops=left.drops - 1))
            yield "drop: locked", _begun(after, Transaction(DROP, collection, (), place, name, 0))
        if left.renames and free:
            after = state._replace(left=left._replace(renames=left.renames - 1))
            yield "rename: locked", _begun(after, Transaction(RENAME, collection, (), place, name, free[0]))
        values = [value_of(found) for found in state.documents[collection - 1] if found]
        if left.indexes and (state.indexed or len(values) == len(set(values))):
            after = state._replace(left=left._replace(indexes=left.indexes - 1))
            begun = Transaction(INDEX, collection, (), place, name, int(not state.indexed))
            yield "index: locked", _begun(after, begun)
    if left.creates and free and not any(one.kind in (RENAME, CREATE) for one in state.transactions):
        after = state._replace(left=left._replace(creates=left.creates - 1))
        made = len(state.documents) + 1
        after = after._replace(documents=(*after.documents, (0,) * world.bounds.keys))
        after = after._replace(origin_documents=(*after.origin_documents, (0,) * world.bounds.keys))
        yield "create: locked", _begun(after, Transaction(CREATE, made, (), (_next(state),), free[0], 0))


def _commit(world: World, state: State, transaction: Transaction) -> State:
    collection, place = transaction.collection, transaction.collection - 1
    documents, names = state.documents, list(state.names)
    entries = []
    if transaction.kind == WRITE:
        for (key, made), row in zip(transaction.documents, transaction.places, strict=True):
            documents = with_document(documents, place, key, made)
            entries.append(Entry(row, part_of(world, collection, key), collection, key, WRITE, transaction.name, 0))
    else:
        if transaction.kind in (TRUNCATE, DROP):
            documents = (*documents[:place], (0,) * world.bounds.keys, *documents[place + 1 :])
        if transaction.kind in (DROP, RENAME):
            names[transaction.name] = 0
        if transaction.kind == RENAME:
            names[transaction.new_name] = collection
        if transaction.kind == CREATE:
            names[transaction.name] = collection
        if transaction.kind == INDEX:
            state = state._replace(indexed=bool(transaction.new_name))
        part = part_of(world, collection, 0)
        row = transaction.places[0]
        entries.append(Entry(row, part, collection, 0, transaction.kind, transaction.name, transaction.new_name))
    return state._replace(documents=documents, names=tuple(names), outbox=tuple(sorted((*state.outbox, *entries))))
