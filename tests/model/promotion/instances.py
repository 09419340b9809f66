"""What happens to the proxies: cuts from PostgreSQL, leases, crashes, evictions, looks at the control row."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.promotion.state import (
    AT_PROXY,
    BOTH,
    COMMITTED,
    DEMOTING,
    EXECUTED,
    FLIPPED,
    FORWARDED,
    HOLD,
    INTENTS,
    LOCKED,
    LOST,
    NO_READ,
    OPEN,
    PROMOTED,
    REMOVE,
    SENT,
    SHADOW,
    UPSERT,
    ClientRead,
    Late,
    Proxy,
    State,
    Step,
    World,
    Write,
    with_proxy,
)


def changed(state: State, stage: int) -> State:
    """Change the stage, and the generation: no instance is current, and every acknowledgement is void."""
    proxies = tuple(proxy._replace(current=False, acked=False) for proxy in state.proxies)
    return state._replace(stage=stage, floor=0, proxies=proxies)


def steps(world: World, state: State) -> Iterator[Step]:
    for index, proxy in enumerate(state.proxies):
        yield from _failures(world, state, index, proxy)
        if proxy.cut:
            yield "PostgreSQL is reached again", with_proxy(state, index, proxy._replace(cut=False))
        elif not proxy.registered:
            alone = proxy.alone or has_intents(state, index)
            back = Proxy(state.stage, True, False, state.era, False, True, False, alone, True, False)
            yield "register again", with_proxy(state, index, back)
        else:
            yield from _control(world, state, index, proxy)


def has_intents(state: State, index: int) -> bool:
    return any(write.proxy == index and write.phase in INTENTS for write in state.writes)


def _failures(world: World, state: State, index: int, proxy: Proxy) -> Iterator[Step]:
    left = state.left
    if left.cuts and not proxy.cut:
        cut = state._replace(left=left._replace(cuts=left.cuts - 1))
        yield "PostgreSQL is lost", with_proxy(cut, index, proxy._replace(cut=True))
    if not proxy.stale and (proxy.cut or not proxy.registered):
        yield "the lease runs out", with_proxy(state, index, proxy._replace(stale=True))
    if proxy.cut and proxy.stale and not proxy.own:
        yield "the own lease is known to be over", with_proxy(state, index, proxy._replace(own=True))
    if left.crashes and proxy.registered:
        yield from _crash(world, state._replace(left=left._replace(crashes=left.crashes - 1)), index, proxy)
    if left.evictions and not proxy.registered and not proxy.evicted:
        after = state._replace(unverified=True, left=left._replace(evictions=left.evictions - 1))
        yield "evicted", with_proxy(after, index, proxy._replace(evicted=True))


def _crash(world: World, state: State, index: int, proxy: Proxy) -> Iterator[Step]:
    """Keep its journal and the file with its last snapshot, and what it has sent to either database."""
    writes: list[Write] = []
    for write in state.writes:
        if write.proxy != index:
            writes.append(write)
        elif write.phase == FORWARDED:
            writes.append(write._replace(phase=LOST, done=True))
        elif write.phase in (SENT, LOCKED, LOST):
            writes.append(write._replace(done=True))
        elif write.phase not in (AT_PROXY, BOTH, COMMITTED) and not (write.refused and not write.done):
            writes.append(reopened(write)._replace(done=True, version=0))
    stage = FLIPPED if proxy.stage == HOLD and not world.rules.hold_survives_crash else proxy.stage
    after = with_proxy(state, index, proxy._replace(registered=False, stage=stage))
    read = ClientRead(NO_READ) if state.read.phase and state.read.proxy == index else state.read
    after = after._replace(writes=tuple(writes), read=read)
    yield "crash", after
    if state.left.orphans:
        left = state.left._replace(orphans=state.left.orphans - 1)
        for write in state.writes:
            if write.proxy == index and write.phase == EXECUTED:
                yield "crash, a statement is under way", after._replace(left=left, late=(*after.late, statement(write)))


def statement(write: Write) -> Late:
    """Return the statement that applies an executed write to PostgreSQL."""
    return Late(REMOVE if write.removes else UPSERT, write.key, write.rev, write.stamp, 0, 0)


def reopened(write: Write) -> Write:
    """Return the write as an intent that must be repaired."""
    return Write(
        OPEN,
        write.proxy,
        write.key,
        write.removes,
        write.base,
        write.conditional,
        write.done,
        version=write.version,
        refused=write.refused,
    )


def _control(world: World, state: State, index: int, proxy: Proxy) -> Iterator[Step]:
    open_intents = has_intents(state, index)
    if proxy.alone:  # it rejoins: drains, rolls back, then renews its lease
        if not open_intents and state.stage in (FLIPPED, HOLD):
            yield "rejoin: roll back", changed(state, SHADOW)
        if (not open_intents and state.stage == SHADOW) or state.stage in (PROMOTED, DEMOTING):
            yield "rejoin: no longer alone", with_proxy(state, index, proxy._replace(alone=False))
    beats = not proxy.alone and (proxy.stale or proxy.own)
    if not proxy.current or beats or proxy.era != state.era:
        looked = proxy._replace(stage=state.stage, current=True, era=state.era)
        if not proxy.alone:
            looked = looked._replace(stale=False, own=False)
        if looked != proxy:
            yield "look at the control row", with_proxy(state, index, looked)
    under_way = any(write.proxy == index and write.phase in (FORWARDED, EXECUTED) for write in state.writes)
    clean = not (world.rules.acknowledges_without_intents and open_intents) and not under_way
    holding = proxy.current and not proxy.acked and proxy.stage == HOLD
    if holding and clean and not proxy.alone and not proxy.stale:
        yield "acknowledge the hold", with_proxy(state, index, proxy._replace(acked=True))
