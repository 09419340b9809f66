"""What the databases do: statements of the mirror in PostgreSQL, writes and pushes in ArangoDB."""

from __future__ import annotations

from tests.model.mirror_state import Broken
from tests.model.promotion.state import (
    DOCUMENT,
    NO_ROW,
    TOMBSTONE,
    Row,
    State,
    World,
    alive,
    origin_writes,
    replaced,
    with_row,
)

APPLIED, AGAIN, FORBIDDEN = range(3)


def _refused(world: World, state: State, stamp: int) -> int:
    if world.rules.forward_tests_writer and not origin_writes(state):
        return FORBIDDEN
    return AGAIN if stamp < state.mark else APPLIED


def upsert(world: World, state: State, key: int, rev: int, stamp: int) -> tuple[State, int]:
    row = state.rows[key]
    superseded = row.kind != NO_ROW and row.rev >= rev
    if refused := _refused(world, state, stamp):
        return state, APPLIED if refused == AGAIN and superseded else refused
    if row.kind == NO_ROW:
        return with_row(state, key, Row(DOCUMENT, rev, 2 * rev, stamp)), APPLIED
    if rev > row.rev and stamp >= row.mark:
        return with_row(state, key, Row(DOCUMENT, rev, 2 * rev, row.mark)), APPLIED
    return state, APPLIED if superseded else AGAIN


def remove(world: World, state: State, key: int, rev: int, stamp: int) -> tuple[State, int]:
    row = state.rows[key]
    if refused := _refused(world, state, stamp):
        superseded = row.kind != NO_ROW and (row.rev > rev or (row.rev == rev and row.kind == TOMBSTONE))
        return state, APPLIED if refused == AGAIN and superseded else refused
    if row.kind == NO_ROW or row.rev <= rev:
        state = with_row(state, key, Row(TOMBSTONE, rev, 2 * rev + 1, max(row.mark, state.era)))
    return state, APPLIED


def absent(world: World, state: State, key: int, had: int, stamp: int, version: int) -> tuple[State, int]:
    """Let a repair write that it found nothing. version: of the removal, if there was one."""
    if refused := _refused(world, state, stamp):
        return state, refused
    row = state.rows[key]
    if row.kind == DOCUMENT and row.rev > had:
        return state, AGAIN
    mark = max(row.mark, stamp, state.era)
    return with_row(state, key, Row(TOMBSTONE, max(row.rev, had), max(row.version, version), mark)), APPLIED


def repaired(world: World, state: State, key: int, version: int, had: int, stamp: int) -> tuple[State, int]:
    """Let a repair write the version of ArangoDB that it read."""
    if alive(version):
        return upsert(world, state, key, alive(version), stamp)
    return absent(world, state, key, had, stamp, version)


def matches(version: int, expected: int) -> bool:
    """Return True if a condition on the state holds; every removal is like the other."""
    return alive(version) == alive(expected)


def given(state: State, key: int, rev: int, *, stray: bool = False) -> State:
    """Note that a revision is given. stray: by a forwarded write of which no client was told. Raise Broken."""
    if rev <= state.newest[key] and not stray:
        raise Broken(f"REVISION {rev} of key {key} after {state.newest[key]}")
    if state.used >> rev & 1:
        raise Broken(f"REVISION {rev} is given twice in the collection")
    newest = replaced(state.newest, key, max(rev, state.newest[key]))
    return state._replace(newest=newest, used=state.used | 1 << rev)


def execute(world: World, state: State, key: int, removes: bool) -> tuple[State, int]:
    """Let ArangoDB execute a write that was forwarded. Return its version too, 0 if there was nothing to remove."""
    if removes:
        rev = alive(state.arangodb[key])
        if not rev:
            return state, 0
        version = 2 * rev + 1
    else:
        rev = state.clock + 1
        stray = not origin_writes(state) and state.left.glass < world.bounds.left.glass
        state = given(state._replace(clock=rev), key, rev, stray=stray)
        version = 2 * rev
    return state._replace(arangodb=replaced(state.arangodb, key, version)), version


def push(world: World, state: State, documents: tuple[tuple[int, int], ...]) -> State:
    """Let ArangoDB have what a push carries. Raise Broken."""
    arangodb = state.arangodb
    for key, version in documents:
        if version % 2 == 0 and version == arangodb[key] and not world.rules.equal_left_alone:
            raise Broken(f"REVISION {version // 2} of key {key} is written over itself")
        arangodb = replaced(arangodb, key, version)
    return state._replace(arangodb=arangodb)
