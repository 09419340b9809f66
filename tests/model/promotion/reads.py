"""One client's reads of key 0, through any proxy: read-your-writes, and monotonic reads."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.mirror_state import Broken
from tests.model.promotion.state import (
    ANSWERING,
    ARANGODB,
    ASKED,
    DEMOTING,
    FLIPPED,
    HOLD,
    LOOKED,
    NO_READ,
    POSTGRESQL,
    PROMOTED,
    REPAIRING,
    SHADOW,
    SOURCE,
    ClientRead,
    Proxy,
    State,
    Step,
    World,
    alive,
    serves,
    with_proxy,
)
from tests.model.promotion.statements import AGAIN, APPLIED, repaired, upsert

NONE = ClientRead(NO_READ)


def steps(world: World, state: State) -> Iterator[Step]:
    read = state.read
    if read.phase == NO_READ:
        if state.left.reads:
            after = state._replace(left=state.left._replace(reads=state.left.reads - 1))
            for index in range(world.bounds.proxies):
                begun = ClientRead(ASKED, index, acked=state.acked[0], seen=state.seen)
                yield "client: read", after._replace(read=begun)
        return
    proxy = state.proxies[read.proxy]
    if not serves(proxy):
        return
    again = read._replace(phase=ASKED, source=0, value=0, had=0, stamp=0)
    if read.phase == ASKED:
        yield from _routed(world, state, proxy)
    elif read.phase == SOURCE and read.source == ARANGODB:
        value = state.arangodb[0]
        asked = NONE if state.down else read._replace(phase=REPAIRING, value=value)
        yield "ArangoDB answers", state._replace(read=asked)
    elif read.phase == SOURCE:
        yield from _by_postgresql(world, state, proxy, again)
    elif read.phase == REPAIRING:
        yield from _repair(world, state, proxy)
    elif read.phase == LOOKED:
        yield from _repair_writes(world, state, proxy, again)
    else:
        yield "READ ANSWERED", _answered(state)


def _answered(state: State) -> State:
    read = state.read
    if read.value < read.acked:
        raise Broken(f"STALE: {read.acked} was acknowledged before the read began, it shows {read.value}")
    if read.value < read.seen:
        raise Broken(f"STALE: the client has seen {read.seen}, and now sees {read.value}")
    return state._replace(read=NONE, seen=max(state.seen, read.value))


def _routed(world: World, state: State, proxy: Proxy) -> Iterator[Step]:
    rules, read = world.rules, state.read
    alone = proxy.cut and proxy.own
    if proxy.stage != SHADOW and not proxy.cut:
        yield "ask PostgreSQL", state._replace(read=read._replace(phase=SOURCE, source=POSTGRESQL))
    in_hold = proxy.stage == HOLD and not (rules.hold_asks_no_read and rules.hold_sticks)
    if proxy.stage == SHADOW or (alone and (proxy.stage == FLIPPED or in_hold)):
        yield "ask ArangoDB", state._replace(read=_asking(read, proxy))
    if proxy.cut and proxy.stage != FLIPPED:
        yield "503", state._replace(read=NONE)


def _asking(read: ClientRead, proxy: Proxy) -> ClientRead:
    return read._replace(phase=SOURCE, source=ARANGODB, stamp=proxy.era)


def _by_postgresql(world: World, state: State, proxy: Proxy, again: ClientRead) -> Iterator[Step]:
    rules, read = world.rules, state.read
    if proxy.cut:
        yield "PostgreSQL does not answer", state._replace(read=again)
        return
    promoted = proxy.stage in (PROMOTED, DEMOTING)
    if promoted:
        holds = state.stage in (PROMOTED, DEMOTING) or not rules.read_tests_writer
    else:
        fresh = not any(one.stale and not one.evicted for one in state.proxies)
        holds = state.stage in (FLIPPED, HOLD) and proxy.current and fresh
        holds = holds or (not rules.leases_after_demotion and proxy.stage == FLIPPED)
    if holds:
        yield "PostgreSQL answers", state._replace(read=read._replace(phase=ANSWERING, value=state.rows[0].version))
    elif not promoted and (proxy.stage == FLIPPED or not rules.hold_asks_no_read):
        yield "the fence fails: ask ArangoDB", state._replace(read=_asking(read, proxy))
    else:
        yield "the fence fails: look again", state._replace(read=again)


def _repair(world: World, state: State, proxy: Proxy) -> Iterator[Step]:
    """Let PostgreSQL have what the answer shows, first; of a document that is absent ArangoDB is asked again."""
    read = state.read
    if proxy.stage == SHADOW:
        yield "no read repair", state._replace(read=read._replace(phase=ANSWERING, stamp=0))
    elif proxy.cut:
        if proxy.own:
            after = with_proxy(state, read.proxy, proxy._replace(alone=True))
            yield "no read repair, alone", after._replace(read=read._replace(phase=ANSWERING, stamp=0))
    else:
        if alive(read.value):
            stamp = read.stamp if world.rules.stamp_before_reading else proxy.era
            after, result = upsert(world, state, 0, alive(read.value), stamp)
            if result == APPLIED:
                yield "read repair", after._replace(read=read._replace(phase=ANSWERING, stamp=0))
                return
        if not state.down:
            era = state.era + 1
            looked = read._replace(phase=LOOKED, value=state.arangodb[0], had=state.rows[0].rev, stamp=era)
            yield "read repair asks again", state._replace(era=era, read=looked)


def _repair_writes(world: World, state: State, proxy: Proxy, again: ClientRead) -> Iterator[Step]:
    read = state.read
    if proxy.cut:
        yield "no answer", state._replace(read=again)
        return
    after, result = repaired(world, state, 0, read.value, read.had, read.stamp)
    if result == APPLIED:
        yield "read repair writes", after._replace(read=read._replace(phase=ANSWERING, had=0, stamp=0))
    elif result == AGAIN:
        yield "read repair is refused", state._replace(read=read._replace(phase=REPAIRING, had=0))
    else:
        yield "the fence fails: look again", state._replace(read=again)
