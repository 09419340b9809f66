"""The model of the reverse mirror: its first state, its steps, its properties, and equal states as one."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.reverse import appliers, postgresql
from tests.model.reverse.state import (
    FLIPPED,
    PROMOTED,
    Applier,
    Bounds,
    Entry,
    Fence,
    Rules,
    State,
    Step,
    World,
    document,
    parts,
)


class ReverseMirror:
    """The steps of a world. `successors` may raise Broken; `check` returns what is wrong with a state."""

    def __init__(self, bounds: Bounds, rules: Rules | None = None) -> None:
        self.world = World(bounds, rules or Rules())

    def initial(self) -> State:
        bounds, number = self.world.bounds, parts(self.world)
        names = tuple(name + 1 if name < bounds.existing else 0 for name in range(bounds.names))
        has = tuple(document(key + 1, key + 1 if bounds.unique else 0) for key in range(bounds.keys))
        documents = (has,) * bounds.existing
        return State(
            names=names,
            documents=documents,
            outbox=(),
            sequence=bounds.keys,
            transactions=(),
            stage=PROMOTED,
            leases=(0,) * number,
            origin_names=names,
            origin_documents=documents,
            indexed=bounds.unique,
            origin_indexed=bounds.unique,
            fences=(Fence(0, 0),) * number,
            requests=(),
            appliers=(appliers.NOBODY,) * bounds.appliers,
            pushes=(),
            left=bounds.left,
        )

    def successors(self, state: State) -> Iterator[Step]:
        """Yield every possible step. Raise Broken."""
        yield from postgresql.steps(self.world, state)
        yield from appliers.steps(self.world, state)

    def check(self, state: State) -> str:
        """Return what is wrong, or an empty text."""
        if state.outbox and state.stage != FLIPPED:
            return ""
        what = "ArangoDB takes the writes" if state.stage == FLIPPED else "the outbox is empty"
        if state.names != state.origin_names:
            return f"DIFFERENT: {what}; its collections are {state.origin_names}, those of PostgreSQL {state.names}"
        if state.indexed != state.origin_indexed:
            return f"DIFFERENT: {what}; the unique index is in one database only"
        for collection in state.names:
            if collection and state.documents[collection - 1] != state.origin_documents[collection - 1]:
                found, wanted = state.origin_documents[collection - 1], state.documents[collection - 1]
                return f"DIFFERENT: {what}; collection {collection} has {found}, in PostgreSQL {wanted}"
        return ""

    def at_rest(self, state: State) -> bool:
        return not (state.outbox or state.transactions or state.requests or state.pushes)


def canonical(state: State) -> State:
    """Return the state with tokens and places counted without gaps, and interchangeable things in one order."""
    state = _placed(_tokened(state))
    return state._replace(
        appliers=tuple(sorted(state.appliers, key=_order)), pushes=tuple(sorted(state.pushes, key=_order))
    )


def _order(applier: Applier) -> tuple[object, ...]:
    return tuple(applier)


def _tokened(state: State) -> State:
    ranks = []
    for part, lease in enumerate(state.leases):
        tokens = {0, lease, state.fences[part].token}
        tokens.update(one.token for one in (*state.appliers, *state.pushes) if one.part == part)
        ranks.append({token: place for place, token in enumerate(sorted(tokens))})
    if all(len(rank) == state.leases[part] + 1 for part, rank in enumerate(ranks)):
        return state

    def ranked(applier: Applier) -> Applier:
        return applier._replace(token=ranks[applier.part][applier.token])

    return state._replace(
        leases=tuple(ranks[part][lease] for part, lease in enumerate(state.leases)),
        fences=tuple(fence._replace(token=ranks[part][fence.token]) for part, fence in enumerate(state.fences)),
        appliers=tuple(map(ranked, state.appliers)),
        pushes=tuple(map(ranked, state.pushes)),
    )


def _placed(state: State) -> State:
    stored = {entry.place for entry in state.outbox}
    if any(fence.intent and fence.intent not in stored for fence in state.fences):  # of a row that was removed
        state = state._replace(
            fences=tuple(fence if fence.intent in stored else fence._replace(intent=0) for fence in state.fences)
        )
    places = set(stored)
    for transaction in state.transactions:
        places.update(transaction.places)
    for applier in (*state.appliers, *state.pushes):
        places.update(applier.rows)
    places.update(change.place for _, change in state.requests)
    if not places or max(places) == len(places):
        return state
    rank = {place: number for number, place in enumerate(sorted(places), 1)}
    rank[0] = 0

    def entry(one: Entry) -> Entry:
        return one._replace(place=rank[one.place])

    def applier_of(one: Applier) -> Applier:
        change = entry(one.change) if isinstance(one.change, Entry) else ()
        return one._replace(rows=tuple(rank[place] for place in one.rows), change=change)

    return state._replace(
        outbox=tuple(map(entry, state.outbox)),
        transactions=tuple(
            one._replace(places=tuple(rank[place] for place in one.places)) for one in state.transactions
        ),
        fences=tuple(fence._replace(intent=rank[fence.intent]) for fence in state.fences),
        requests=tuple((part, entry(change)) for part, change in state.requests),
        appliers=tuple(map(applier_of, state.appliers)),
        pushes=tuple(map(applier_of, state.pushes)),
    )
