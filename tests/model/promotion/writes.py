"""A client's write: forwarded to ArangoDB and applied to PostgreSQL, or decided by PostgreSQL.

A conditional write expects the state that was acknowledged last when it began; it stands for `If-Match`, for an insert
(the key must be free) and for a query that reads, decides and writes. Its refusal, 409 or 412, shows a state, as a 404
does: like a read it must not be older than what was acknowledged before.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.mirror_state import Broken
from tests.model.promotion.control import next_place
from tests.model.promotion.instances import reopened, statement
from tests.model.promotion.state import (
    AT_PROXY,
    BOTH,
    COMMITTED,
    DEMOTING,
    DOCUMENT,
    EXECUTED,
    FLIPPED,
    FORWARDED,
    HOLD,
    LOCKED,
    LOST,
    NO_ROW,
    OPEN,
    PROMOTED,
    READ,
    SENT,
    SHADOW,
    TOMBSTONE,
    Proxy,
    Row,
    State,
    Step,
    World,
    Write,
    replaced,
    serves,
    with_proxy,
    with_row,
    with_write,
)
from tests.model.promotion.statements import AGAIN, FORBIDDEN, execute, given, matches, remove, repaired, upsert


def steps(world: World, state: State) -> Iterator[Step]:
    yield from _clients(world, state)
    before = None
    for index, write in enumerate(state.writes):
        if write == before:
            continue  # equal writes have equal steps: they are sorted
        before = write
        if write.phase in (FORWARDED, LOST):
            yield from _at_arangodb(world, state, index, write)
        elif write.phase in (SENT, LOCKED):  # they run whatever became of the proxy
            yield from _at_postgresql(world, state, index, write)
        else:
            proxy = state.proxies[write.proxy]
            if serves(proxy):
                yield from _at_proxy(world, state, index, write, proxy)


def _clients(world: World, state: State) -> Iterator[Step]:
    bounds, left = world.bounds, state.left
    if not left.writes or len(state.writes) >= bounds.slots:
        return
    after = state._replace(left=left._replace(writes=left.writes - 1))
    for proxy in range(bounds.proxies):
        for key in range(bounds.keys):
            for removes in (False, True) if bounds.removals else (False,):
                for conditional in (False, True) if bounds.conditional else (False,):
                    write = Write(AT_PROXY, proxy, key, removes, state.acked[key], conditional)
                    yield "client: write", after._replace(writes=(*after.writes, write))


def _at_proxy(world: World, state: State, index: int, write: Write, proxy: Proxy) -> Iterator[Step]:
    if write.phase == AT_PROXY:
        yield from _routed(world, state, index, write, proxy)
    elif write.phase == EXECUTED:
        yield from _executed(world, state, index, write, proxy)
    elif write.phase in (BOTH, COMMITTED):
        yield "ANSWER", with_write(answered(state, write), index, None)
    elif write.phase == OPEN:
        if write.refused and not write.done and proxy.stage == SHADOW:
            yield "ANSWER", with_write(answered(state, write), index, None)
        if not proxy.cut and not state.down:
            era, version = state.era + 1, state.arangodb[write.key]
            had = state.rows[write.key].rev
            looked = write._replace(phase=READ, read=version, stamp=era, had=had)
            yield "repair reads both databases", with_write(state._replace(era=era), index, looked)
    elif write.phase == READ and not proxy.cut:
        after, result = repaired(world, state, write.key, write.read, write.had, write.stamp)
        yield "repair writes", _settled(after, index, write, result)


def _routed(world: World, state: State, index: int, write: Write, proxy: Proxy) -> Iterator[Step]:
    alone = proxy.cut and proxy.own
    if proxy.stage == HOLD:
        forwards = alone and not world.rules.hold_sticks
    else:
        forwards = proxy.stage in (FLIPPED, SHADOW) and (proxy.registered or alone)
    if forwards:
        yield "forward", with_write(state, index, write._replace(phase=FORWARDED, stamp=proxy.era))
    if proxy.stage == PROMOTED and not proxy.cut:
        after, rev = state, 0
        if not world.rules.decides_under_lock and _refused(state, write):
            yield "refused by its condition", with_write(state, index, None)
            return
        if not world.rules.revision_after_lock and not write.removes:
            rev = state.sequence + 1
            after = state._replace(sequence=rev)
        yield "send to PostgreSQL", with_write(after, index, write._replace(phase=SENT, rev=rev))
    if proxy.stage in (HOLD, DEMOTING) or proxy.cut:
        yield "503", with_write(state, index, None)


def _at_arangodb(world: World, state: State, index: int, write: Write) -> Iterator[Step]:
    """Run it, however late, lose its answer, or know that it can no longer run."""
    if not state.down:
        if state.rights and not state.rights[0]:  # 403: wait, and try again
            again = write._replace(phase=AT_PROXY, stamp=0) if write.phase == FORWARDED else None
            yield "ArangoDB: no right", with_write(state, index, again)
        else:
            yield "ArangoDB executes", _execute(world, state, index, write)
    if write.phase == LOST:
        yield "it can no longer run", with_write(state, index, reopened(write))
    elif state.down:
        yield "the answer is lost", with_write(state, index, write._replace(phase=LOST, done=True))
    elif state.left.lost:
        after = state._replace(left=state.left._replace(lost=state.left.lost - 1))
        yield "the answer is lost", with_write(after, index, write._replace(phase=LOST, done=True))


def _execute(world: World, state: State, index: int, write: Write) -> State:
    found = state.arangodb[write.key]
    if write.conditional and not matches(found, write.base):
        if write.phase == LOST:
            return with_write(state, index, reopened(write))
        return with_write(state, index, reopened(write._replace(refused=True, version=found)))
    after, version = execute(world, state, write.key, write.removes)
    if write.phase == LOST:
        return with_write(after, index, reopened(write))
    if not version:
        return with_write(after, index, None)
    return with_write(after, index, write._replace(phase=EXECUTED, rev=version // 2, version=version))


def _executed(world: World, state: State, index: int, write: Write, proxy: Proxy) -> Iterator[Step]:
    if not proxy.cut:
        run = remove if write.removes else upsert
        after, result = run(world, state, write.key, write.rev, write.stamp)
        yield "apply", _settled(after, index, write, result)
        if state.left.orphans and not state.late:
            left = state.left._replace(orphans=state.left.orphans - 1)
            sent = state._replace(left=left, late=(*state.late, statement(write)))
            yield "apply: no answer", with_write(sent, index, reopened(write))
    alone = proxy.cut and proxy.own
    may = alone and (proxy.stage == FLIPPED or (proxy.stage == HOLD and not world.rules.hold_sticks))
    if not write.done and (may or proxy.stage == SHADOW):
        after = with_write(answered(state, write), index, write._replace(done=True))
        yield "ANSWER without PostgreSQL", with_proxy(after, write.proxy, proxy._replace(alone=proxy.alone or may))


def _settled(state: State, index: int, write: Write, result: int) -> State:
    if result == AGAIN:
        return with_write(state, index, reopened(write))
    if result == FORBIDDEN or write.done:
        return with_write(state, index, None)
    kept = Write(BOTH, write.proxy, write.key, write.removes, write.base, write.conditional)
    return with_write(state, index, kept._replace(version=write.version, refused=write.refused))


def answered(state: State, write: Write) -> State:
    """Tell the client. Raise Broken."""
    if write.refused:
        return shown(state, write, write.version)
    acked = replaced(state.acked, write.key, max(state.acked[write.key], write.version))
    return state._replace(acked=acked)


def shown(state: State, write: Write, version: int) -> State:
    """Let a refusal show a state. Raise Broken."""
    if version < write.base:
        raise Broken(f"STALE: {write.base} was acknowledged before the write began, its refusal shows {version}")
    return state._replace(seen=max(state.seen, version)) if write.key == 0 else state


def _at_postgresql(world: World, state: State, index: int, write: Write) -> Iterator[Step]:
    if write.phase == LOCKED:
        yield "commit", _commit(world, state, index, write)
        if write.done:
            yield "roll back", with_write(state, index, None)
        return
    if state.stage != PROMOTED and world.rules.promoted_tests_writer:
        again = None if write.done else write._replace(phase=AT_PROXY, rev=0)
        yield "refused by the fence", with_write(state, index, again)
        return
    row = state.rows[write.key]
    locked = any(other.locks and other.key == write.key for other in state.writes)
    if locked:
        return
    nothing = write.removes and row.kind != DOCUMENT
    if nothing or (world.rules.decides_under_lock and _refused(state, write)):
        after = state if write.done else shown(state, write, row.version)
        yield "refused by its condition", with_write(after, index, None)
        return
    after, rev = state, row.rev
    if not write.removes and not world.rules.revision_after_lock:
        rev = write.rev
    elif not write.removes:
        after, rev = _draw(world, state, write, row)
    locks = row.kind != NO_ROW
    version = 2 * rev + write.removes
    yield (
        "pass the fence, lock the row",
        with_write(
            after,
            index,
            write._replace(phase=LOCKED, rev=rev, version=version, locks=locks, place=next_place(state)),
        ),
    )


def _refused(state: State, write: Write) -> bool:
    """Return True if PostgreSQL does not have what a conditional write expects."""
    row = state.rows[write.key]
    return write.conditional and not matches(row.version if row.kind == DOCUMENT else 1, write.base)


def _draw(world: World, state: State, write: Write, row: Row) -> tuple[State, int]:
    if world.rules.one_sequence:
        return state._replace(sequence=state.sequence + 1), state.sequence + 1
    return state, max(row.rev, state.sequence) + 1


def _commit(world: World, state: State, index: int, write: Write) -> State:
    row, rules = state.rows[write.key], world.rules
    if not write.locks and row.kind != NO_ROW:  # inserted meanwhile: lock it, decide again
        return with_write(state, index, write._replace(phase=SENT, rev=0, version=0, place=0))
    if _refused(state, write):
        raise Broken(f"UPDATE LOST: {row.version} is replaced by a write that expects {write.base}")
    if write.removes:
        mark = max(row.mark, state.era)
        after = with_row(state, write.key, Row(TOMBSTONE, write.rev, write.version, mark))
        if not rules.tombstones:
            after = with_row(state, write.key, Row(NO_ROW, 0, write.version, 0))
    else:
        after = given(state, write.key, write.rev)
        mark = row.mark if row.kind != NO_ROW else state.era
        after = with_row(after, write.key, Row(DOCUMENT, write.rev, write.version, mark))
    outbox = tuple(sorted((*after.outbox, (write.place, write.key))))
    after = after._replace(outbox=outbox)
    done = write._replace(phase=COMMITTED, place=0, locks=False)
    return with_write(after, index, None if write.done else done)
