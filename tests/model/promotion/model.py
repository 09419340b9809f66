"""The model of promotion: its first state, its steps, its properties, and equal states as one."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.promotion import appliers, control, instances, reads, rights, writes
from tests.model.promotion.state import (
    DEMOTING,
    DOCUMENT,
    FLIPPED,
    NO_APPLIER,
    NO_ROW,
    PROMOTED,
    SHADOW,
    Bounds,
    Proxy,
    Row,
    Rules,
    State,
    Step,
    World,
    alive,
    origin_writes,
)


class Promotion:
    """The steps of a world. `successors` may raise Broken; `check` returns what is wrong with a state."""

    def __init__(self, bounds: Bounds, rules: Rules | None = None) -> None:
        self.world = World(bounds, rules or Rules())

    def initial(self) -> State:
        bounds = self.world.bounds
        has = [bounds.history and key == 0 for key in range(bounds.keys)]
        promoted = bounds.start == PROMOTED
        proxy = Proxy(bounds.start, True, False, 0, False, False, False, False, True, False)
        last = proxy if bounds.behind is None else proxy._replace(stage=bounds.behind, current=False)
        return State(
            arangodb=tuple(2 * one for one in has),
            clock=1,
            fence=0,
            down=False,
            rights=tuple(False for _ in bounds.users) if promoted else bounds.users,
            noted=bounds.users if promoted else (),
            requests=(),
            rows=tuple(Row(DOCUMENT, 1, 2, 0) if one else Row(NO_ROW, 0, 0, 0) for one in has),
            stage=bounds.start,
            era=0,
            mark=0,
            sequence=int(promoted),
            lease=0,
            outbox=(),
            floor=0,
            unverified=False,
            proxies=(*(proxy,) * (bounds.proxies - 1), last),
            writes=(),
            late=(),
            appliers=(appliers.NOBODY,) * bounds.appliers,
            pushes=(),
            read=reads.NONE,
            acked=tuple(2 * one for one in has),
            seen=0,
            newest=tuple(int(one) for one in has),
            used=2 * bounds.history,
            left=bounds.left,
        )

    def successors(self, state: State) -> Iterator[Step]:
        """Yield every possible step. Raise Broken."""
        world = self.world
        yield from instances.steps(world, state)
        yield from control.steps(world, state)
        yield from rights.steps(world, state)
        yield from writes.steps(world, state)
        yield from appliers.steps(world, state)
        yield from reads.steps(world, state)

    # ---- properties

    def check(self, state: State) -> str:
        """Return what is wrong, or an empty text."""
        by_origin = origin_writes(state)
        glass = state.left.glass < self.world.bounds.left.glass
        for key, acknowledged in enumerate(state.acked):
            version = state.arangodb[key] if by_origin else state.rows[key].version
            if version < acknowledged:
                who = "ArangoDB" if by_origin else "PostgreSQL"
                return f"LOST: {who} takes the writes; of key {key} it has {version}, acknowledged was {acknowledged}"
            row = state.rows[key]
            origin, target = alive(state.arangodb[key]), row.rev if row.kind == DOCUMENT else 0
            if origin == target:
                continue
            found = f"of key {key} ArangoDB has {origin}, PostgreSQL {target}"
            if state.stage in (PROMOTED, DEMOTING):
                if not state.outbox and not state.down and (not glass or _quiet(state)):
                    return f"DIFFERENT: the outbox is empty; {found}"
            elif state.stage in (FLIPPED, SHADOW) and _quiet(state) and not state.unverified:
                return f"DIFFERENT: at rest, ArangoDB takes the writes; {found}"
        return ""

    def at_rest(self, state: State) -> bool:
        """Return True if the writer is decided, what it has is in both databases, and the rights are its own."""
        if not _quiet(state) or state.requests or state.down or state.outbox:
            return False
        if state.stage in (FLIPPED, SHADOW):
            if state.unverified or state.rights != self.world.bounds.users or state.noted:
                return False
        elif state.stage != PROMOTED or any(state.rights):
            return False
        return all((proxy.registered and proxy.current and not proxy.cut) or proxy.evicted for proxy in state.proxies)


def _quiet(state: State) -> bool:
    """Return True if no request or statement is under way."""
    return not (state.writes or state.late or state.pushes or state.read.phase)


def canonical(state: State) -> State:
    """Return the state with eras, tokens and places counted without gaps, and interchangeable things in one order."""
    return _ordered(_placed(_tokened(_dated(state))))


def _dated(state: State) -> State:
    marks = {0, state.era, state.mark, state.read.stamp}
    marks.update(row.mark for row in state.rows)
    marks.update(proxy.era for proxy in state.proxies)
    marks.update(write.stamp for write in state.writes)
    marks.update(late.stamp for late in state.late)
    if len(marks) == state.era + 1:
        return state
    rank = {mark: place for place, mark in enumerate(sorted(marks))}
    return state._replace(
        era=rank[state.era],
        mark=rank[state.mark],
        rows=tuple(row._replace(mark=rank[row.mark]) for row in state.rows),
        proxies=tuple(proxy._replace(era=rank[proxy.era]) for proxy in state.proxies),
        writes=tuple(write._replace(stamp=rank[write.stamp]) for write in state.writes),
        late=tuple(late._replace(stamp=rank[late.stamp]) for late in state.late),
        read=state.read._replace(stamp=rank[state.read.stamp]),
    )


def _tokened(state: State) -> State:
    tokens = {0, state.fence, state.lease}
    tokens.update(applier.token for applier in (*state.appliers, *state.pushes))
    if len(tokens) == state.lease + 1:
        return state
    rank = {token: place for place, token in enumerate(sorted(tokens))}
    return state._replace(
        fence=rank[state.fence],
        lease=rank[state.lease],
        appliers=tuple(applier._replace(token=rank[applier.token]) for applier in state.appliers),
        pushes=tuple(applier._replace(token=rank[applier.token]) for applier in state.pushes),
    )


def _placed(state: State) -> State:
    places = {place for place, _ in state.outbox}
    places.update(write.place for write in state.writes if write.place)
    for applier in state.appliers:
        places.update(applier.rows)
    for applier in state.pushes:
        if applier.rows:  # nobody removes rows for it
            state = state._replace(pushes=tuple(one._replace(rows=()) for one in state.pushes))
            break
    if not places or max(places) == len(places):
        return state
    rank = {place: number for number, place in enumerate(sorted(places), 1)}
    rank[0] = 0
    return state._replace(
        outbox=tuple((rank[place], key) for place, key in state.outbox),
        writes=tuple(write._replace(place=rank[write.place]) for write in state.writes),
        appliers=tuple(
            applier._replace(rows=tuple(rank[place] for place in applier.rows)) for applier in state.appliers
        ),
    )


def _ordered(state: State) -> State:
    """Sort writes, appliers and late things; proxies too, which differ by their names only."""
    writes, read = tuple(sorted(state.writes)), state.read
    proxies = state.proxies
    described = [
        (
            proxy,
            [write._replace(proxy=0) for write in writes if write.proxy == index],
            read.phase > 0 and read.proxy == index,
        )
        for index, proxy in enumerate(proxies)
    ]
    order = sorted(range(len(proxies)), key=described.__getitem__)
    if order != list(range(len(proxies))):
        place = {index: number for number, index in enumerate(order)}
        proxies = tuple(proxies[index] for index in order)
        writes = tuple(sorted(write._replace(proxy=place[write.proxy]) for write in writes))
        if read.phase:
            read = read._replace(proxy=place[read.proxy])
    named = tuple(sorted(state.appliers, key=lambda applier: (applier.phase == NO_APPLIER, applier)))
    return state._replace(
        proxies=proxies,
        writes=writes,
        read=read,
        appliers=named,
        late=tuple(sorted(state.late)),
        pushes=tuple(sorted(state.pushes)),
    )
