"""The mirror's protocol as a small explicit-state model: every interleaving of its steps, within bounds.

Clients write through a proxy: an intent is journaled, the origin executes, the answer is captured and queued, rows are
applied to PostgreSQL, the intent is completed. Also: answers are lost, the process is killed between any two
steps (what it had sent to either database may still run), intents are repaired by reading the origin again, tombstones
are purged at any time, a backfill copies. Writes are puts, deletes and re-inserts of a key; a batch over two keys,
applied row by row; a transaction over two keys, committed and applied as a whole, or aborted; a truncation, after which
the stamp floor is raised and every key is repaired; a query over two keys, returned one batch after the other
and read again; a document that PostgreSQL cannot hold (a dead letter).

Properties: LOST a tombstone that would refuse the origin's living version for ever, or a version that is missing when
all is at rest; GHOST at rest, a document that the origin does not have; OLDER an older version over a newer one;
STUCK no step is possible though not all is at rest (convergence: from every state rest can be reached).

Left out, and held elsewhere or not at all: the flip (tests/model/test_flip.py); drop and rename; keys that ArangoDB
makes, and scans for them; writes that mark a collection as unverified (opaque ones, a full disk); the journal's file
format (tests/model/journal.py explores the code itself) and its loss with the machine; several proxies, which differ
here only in what a crash takes along; more than two keys; clocks; requests that run at the origin beyond the time
bound; statements of PostgreSQL that take effect in part; the single writes of a transaction before its commit, of
which the origin shows nothing. A revision is given and committed in one step, as ArangoDB 3.12 does under its lock of
the key.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.mirror_state import (
    APPLIED,
    BATCH,
    BOTH,
    COPY,
    COPYING,
    CURSOR,
    DELETE,
    EXECUTED,
    LOOKED,
    NOTHING,
    OPEN,
    POISON,
    QUEUED,
    READ,
    SENT,
    TRANSACTION,
    TRUNCATE,
    Bounds,
    Broken,
    Cell,
    Op,
    Rules,
    State,
    Step,
)


class Model:
    """The steps of a world. `successors` may raise Broken; `check` returns what is wrong with a state."""

    def __init__(self, bounds: Bounds, rules: Rules | None = None) -> None:
        self.bounds = bounds
        self.rules = rules or Rules()

    def initial(self) -> State:
        bounds = self.bounds
        origin = tuple(1 if bounds.history else 0 for _ in range(bounds.keys))
        left = (bounds.writes, bounds.crashes, bounds.lost, bounds.purges, bounds.copies)
        cells = (NOTHING,) * bounds.keys
        return State(origin, cells, (0,) * bounds.keys, int(bounds.history), 1, 0, (), (), left)

    # ---- properties

    @staticmethod
    def at_rest(state: State) -> bool:
        return not state.ops and not state.orphans

    def check(self, state: State) -> str:
        """Return what is wrong, or an empty text."""
        for key, rev in enumerate(state.origin):
            cell = state.target[key]
            if rev and cell.mark >= 0 and not cell.alive and cell.rev >= rev:
                return f"LOST: the tombstone {cell.rev} of key {key} refuses the living {rev} for ever"
        if self.at_rest(state):
            for key, rev in enumerate(state.origin):
                cell = state.target[key]
                has = cell.rev if cell.alive else 0
                if has == rev or (rev and state.dead[key] == rev):
                    continue
                if self.bounds.history and rev == 1 and cell.mark < 0:
                    continue  # history that no backfill has copied yet
                what = "LOST" if rev else "GHOST"
                return f"{what}: at rest, key {key} is {rev} in the origin and {has} in the target"
        return ""

    # ---- the statements of I4

    def _allowed(self, state: State, stamp: int) -> bool:
        return stamp >= state.horizon or not self.rules.horizon_tested

    def _put(self, state: State, key: int, cell: Cell) -> State:
        code = cell.rev * 2 + (not cell.alive)
        if cell.alive and code < state.target[key].seen:
            raise Broken(f"OLDER: revision {cell.rev} of key {key} over {state.target[key].seen / 2:g}")
        target = list(state.target)
        target[key] = cell._replace(seen=max(code, target[key].seen))
        dead = state.dead
        if dead[key] and cell.rev >= dead[key]:  # a superseded dead letter is cleared
            dead = tuple(0 if k == key else rev for k, rev in enumerate(dead))
        return state._replace(target=tuple(target), dead=dead)

    def _upsert(self, state: State, key: int, rev: int, stamp: int, *, equal: bool = False) -> tuple[State, bool]:
        """Return (the state after, whether the row is done: applied, or superseded by what is stored)."""
        cell = state.target[key]
        if self._allowed(state, stamp):
            if cell.mark < 0:
                return self._put(state, key, Cell(rev, True, stamp, 0)), True
            spared = cell.alive or stamp > cell.mark or not self.rules.equal_spares_tombstones
            greater = rev > cell.rev or (equal and rev == cell.rev and spared) or not self.rules.revision_guard
            if greater and (stamp >= cell.mark or not self.rules.horizon_tested):
                return self._put(state, key, cell._replace(rev=rev, alive=True)), True
        return state, cell.mark >= 0 and cell.rev >= rev

    def _remove(self, state: State, key: int, rev: int, stamp: int) -> tuple[State, bool]:
        cell = state.target[key]
        if self._allowed(state, stamp) and (cell.mark < 0 or cell.rev <= rev):
            if not self.rules.tombstones:
                return self._put(state, key, NOTHING), True
            return self._put(state, key, Cell(rev, False, max(cell.mark, state.era), 0)), True
        return state, cell.mark >= 0 and (cell.rev > rev or (cell.rev == rev and not cell.alive))

    def _absent(self, state: State, key: int, r0: int, era: int) -> tuple[State, bool]:
        cell = state.target[key]
        if not self.rules.absent:  # the naive repair: delete what was seen, where anything was
            return self._remove(state, key, r0, era) if r0 else (state, True)
        if not self._allowed(state, era) or (cell.alive and cell.rev > r0):
            return state, False
        rev = max(cell.rev, r0) if cell.mark >= 0 else r0
        return self._put(state, key, Cell(rev, False, max(cell.mark, era, state.era), 0)), True

    # ---- steps

    def successors(self, state: State) -> Iterator[Step]:
        """Yield every possible step. Raise Broken."""
        yield from self._clients(state)
        yield from self._world(state)
        seen = None
        for index, op in enumerate(state.ops):
            if op != seen:  # equal operations have equal steps: they are sorted
                seen = op
                rest = state.ops[:index] + state.ops[index + 1 :]
                yield from self._operation(state, op, rest)

    def _clients(self, state: State) -> Iterator[Step]:
        writes, _, _, _, copies = state.left
        if writes:
            left = (writes - 1, *state.left[1:])
            for kind in self.bounds.kinds:
                for keys in self._choices(kind):
                    op = Op(SENT, kind, keys, state.era, False, (), ())
                    yield "intend", _with(state._replace(left=left), state.ops, op)
        if copies:
            left = (*state.left[:4], copies - 1)
            for key, rev in enumerate(state.origin):
                if rev:
                    op = Op(COPYING, COPY, (key,), state.era, False, ((key, rev, False),), ())
                    yield "copy", _with(state._replace(left=left), state.ops, op)

    def _choices(self, kind: int) -> tuple[tuple[int, ...], ...]:
        """Return the keys that a write of the kind may concern."""
        if kind == TRUNCATE:
            return (tuple(range(self.bounds.keys)),)
        return (BOTH,) if kind in (BATCH, TRANSACTION, CURSOR) else tuple((key,) for key in range(self.bounds.keys))

    def _world(self, state: State) -> Iterator[Step]:
        _, crashes, _, purges, _ = state.left
        if purges and any(cell.mark >= 0 and not cell.alive for cell in state.target):
            horizon = state.era + 1  # the era is raised, and everything from before it goes
            gone = tuple(
                cell._replace(rev=0, mark=-1) if cell.mark >= 0 and not cell.alive else cell for cell in state.target
            )
            left = (*state.left[:3], purges - 1, state.left[4])
            raised = horizon if self.rules.purge_raises_horizon else state.horizon
            yield "purge", state._replace(target=gone, era=horizon, horizon=raised, left=left)
        if crashes and any(op.state == QUEUED or (op.kind != COPY and op.state != OPEN) for op in state.ops):
            yield from self._crash(state._replace(left=(state.left[0], crashes - 1, *state.left[2:])))
        for index, (row, stamp, absent) in enumerate(state.orphans):
            without = state._replace(orphans=state.orphans[:index] + state.orphans[index + 1 :])
            yield "gone", without
            yield "orphan", self._row(without, row, stamp, absent=absent)[0]

    def _row(self, state: State, row: tuple[int, int, bool], stamp: int, *, absent: bool = False) -> tuple[State, bool]:
        key, rev, removed = row
        if absent:
            return self._absent(state, key, rev, stamp)
        return self._remove(state, key, rev, stamp) if removed else self._upsert(state, key, rev, stamp)

    def _crash(self, state: State) -> Iterator[Step]:
        """Keep only the journal; one statement of the dead process may still run in PostgreSQL."""
        ops: list[Op] = []
        under_way: set[tuple[tuple[int, int, bool], int, bool]] = set()
        for op in state.ops:
            if op.kind == COPY:
                if op.state != QUEUED:  # another process; a completed write in memory is gone
                    ops.append(op)
                continue
            if op.state == QUEUED and op.kind != POISON:
                under_way |= {(row, op.stamp, False) for row in op.rows}
            if op.state == READ:
                for (key, rev, removed), r0 in zip(op.rows, op.r0, strict=True):
                    under_way.add(
                        ((key, r0, True), op.stamp, True) if removed else ((key, rev, False), op.stamp, False)
                    )
            if op.state in (SENT, EXECUTED) and not self.rules.intent_before_forward:
                continue  # forwarded without an intent: nothing is left of it
            ops.append(Op(OPEN, op.kind, _keys(op), 0, op.late or op.state == SENT, (), ()))
        after = state._replace(ops=tuple(sorted(ops)))
        yield "crash", after
        for statement in sorted(under_way):
            yield "crash", after._replace(orphans=tuple(sorted((*state.orphans, statement))))

    def _operation(self, state: State, op: Op, rest: tuple[Op, ...]) -> Iterator[Step]:
        if op.state == SENT:
            yield "execute", self._execute(state, op, rest)
            if op.kind == TRANSACTION:
                if self.rules.abort_applies_nothing:
                    yield "abort", state._replace(ops=rest)
                else:  # its rows were applied as they were answered
                    after = self._execute(state, op, rest)
                    yield "abort", after._replace(origin=state.origin)
            if state.left[2]:
                left = (*state.left[:2], state.left[2] - 1, *state.left[3:])
                lost = Op(OPEN, op.kind, _keys(op), 0, True, (), ())
                yield "lose", _with(state._replace(left=left), rest, lost)
        elif op.state == EXECUTED:
            stamp = op.stamp if self.rules.stamp_before_sending else state.era
            if op.kind == TRUNCATE:
                yield "spill", _with(state, rest, Op(OPEN, op.kind, op.keys, 0, False, (), ()))
            elif op.kind == CURSOR:
                yield from self._next_batch(state, op, rest)
            elif not op.rows:
                yield "nothing", state._replace(ops=rest)
            else:
                yield "capture", _with(state, rest, op._replace(state=QUEUED, stamp=stamp))
            if state.left[2]:
                left = (*state.left[:2], state.left[2] - 1, *state.left[3:])
                yield "lose", _with(state._replace(left=left), rest, Op(OPEN, op.kind, _keys(op), 0, False, (), ()))
        elif op.state == QUEUED:
            yield "spill", _with(state, rest, Op(OPEN, op.kind, _keys(op), 0, False, (), ()))
            if not self.rules.applied_before_settled:
                yield "settle", _with(state, rest, op._replace(kind=COPY))  # no process would handle it after a crash
            yield "apply", self._apply(state, op, rest)
        elif op.state == APPLIED:
            yield "settle", state._replace(ops=rest)
        elif op.state == COPYING:
            after, done = self._row(state, op.rows[0], op.stamp)
            again = Op(OPEN, COPY, op.keys, 0, False, (), ())
            yield "apply", after._replace(ops=rest) if done else _with(after, rest, again)
        else:
            yield from self._repair(state, op, rest)
        if op.late:
            yield "gone", _with(state, rest, op._replace(late=False))
            executed = self._execute(state, op._replace(late=False), rest)
            yield "late", _with(executed, rest, op._replace(late=False))

    def _next_batch(self, state: State, op: Op, rest: tuple[Op, ...]) -> Iterator[Step]:
        """Read the next batch of a cursor, whose key is read again; the first comes with the answer."""
        first, left = len(op.keys) == len(BOTH), op.keys[1:]
        if first or self.rules.reads_on:
            after = (*rest, op._replace(keys=left, rows=())) if left else rest
            yield "cursor-batch", _with(state, tuple(sorted(after)), Op(OPEN, CURSOR, op.keys[:1], 0, False, (), ()))

    def _execute(self, state: State, op: Op, rest: tuple[Op, ...]) -> State:
        """Execute the write at the origin: each put gets its own revision."""
        origin, clock, rows = list(state.origin), state.clock, []
        for key in _keys(op):
            if op.kind in (DELETE, TRUNCATE) or (op.kind in (TRANSACTION, CURSOR) and key == 1):
                if origin[key]:
                    rows.append((key, origin[key], True))
                origin[key] = 0
            else:
                clock += 1
                origin[key] = clock
                rows.append((key, clock, False))
        after = state._replace(origin=tuple(origin), clock=clock)
        return _with(after, rest, op._replace(state=EXECUTED, rows=tuple(rows)))

    def _apply(self, state: State, op: Op, rest: tuple[Op, ...]) -> State:
        """Apply one row of a batch, all rows of a transaction, or a dead letter."""
        if op.kind == POISON:
            return self._bury(state, op.rows[0], rest)
        if op.kind == TRANSACTION:
            after, done = state, True
            for row in op.rows:
                after, one = self._row(after, row, op.stamp)
                done = done and one
            following = op._replace(state=APPLIED, rows=())
        else:
            after, done = self._row(state, op.rows[0], op.stamp)
            left = op.rows[1:]
            following = op._replace(rows=left) if left else op._replace(state=APPLIED, rows=())
        if not done:
            if not self.rules.refused_is_read_again:
                return after._replace(ops=rest)
            following = Op(OPEN, op.kind, _keys(op), 0, False, (), ())
        return _with(after, rest, following)

    @staticmethod
    def _bury(state: State, row: tuple[int, int, bool], rest: tuple[Op, ...]) -> State:
        """Record a dead letter, unless a newer version is stored by now."""
        key, rev, _ = row
        dead = state.dead
        if not (state.target[key].mark >= 0 and state.target[key].rev >= rev):
            dead = tuple(max(old, rev) if k == key else old for k, old in enumerate(dead))
        return state._replace(ops=rest, dead=dead)

    def _repair(self, state: State, op: Op, rest: tuple[Op, ...]) -> Iterator[Step]:
        if op.state == OPEN:
            if op.late and self.rules.waits_for_late:
                return
            if not self.rules.looks_before_reading:
                found = tuple((key, state.origin[key], not state.origin[key]) for key in op.keys)
                yield "read", _with(state, rest, op._replace(state=LOOKED, stamp=state.era, rows=found))
                return
            era = state.era + 1
            if op.kind == TRUNCATE:
                living = tuple(cell.rev if cell.alive else -1 for cell in state.target)
                horizon = era if self.rules.sweep_raises_horizon else state.horizon
                looked = op._replace(state=LOOKED, stamp=era, r0=living)
                yield "raise", _with(state._replace(era=era, horizon=horizon), rest, looked)
                return
            r0 = tuple(state.target[key].rev for key in op.keys)
            yield "look", _with(state._replace(era=era), rest, op._replace(state=LOOKED, stamp=era, r0=r0))
        elif op.state == LOOKED:
            if not self.rules.looks_before_reading:
                r0 = tuple(state.target[key].rev for key in op.keys)
                yield "look", _with(state, rest, op._replace(state=READ, r0=r0))
                return
            found = tuple((key, state.origin[key], not state.origin[key]) for key in op.keys)
            if op.kind == TRUNCATE:  # what neither side has, or both have, is not read
                differ = [(row, had) for row, had in zip(found, op.r0, strict=True) if max(had, 0) != row[1]]
                rows, r0 = tuple(row for row, _ in differ), tuple(max(had, 0) for _, had in differ)
                yield "read", _with(state, rest, op._replace(state=READ, rows=rows, r0=r0))
                return
            yield "read", _with(state, rest, op._replace(state=READ, rows=found))
        else:
            after, again = state, []
            for (key, rev, removed), had in zip(op.rows, op.r0, strict=True):
                if removed:
                    after, done = self._absent(after, key, had, op.stamp)
                elif op.kind == POISON:
                    after, done = self._bury(after, (key, rev, False), after.ops), True
                else:
                    after, done = self._upsert(after, key, rev, op.stamp, equal=True)
                if not done:
                    again.append(key)
            ended = after._replace(ops=rest)
            yield "write", ended if not again and not op.late else _with(after, rest, _reopened(op, again))


def _reopened(op: Op, keys: list[int]) -> Op:
    kind = DELETE if op.kind == TRUNCATE and keys else op.kind  # then by those keys
    return Op(OPEN, kind, tuple(keys) or op.keys, 0, op.late, (), ())


def _keys(op: Op) -> tuple[int, ...]:
    return op.keys


def _with(state: State, rest: tuple[Op, ...], op: Op) -> State:
    ops = tuple(sorted((*rest, op))) if rest else (op,)
    return State(*state[:6], ops, *state[7:])  # `_replace` takes thrice as long


def canonical(state: State) -> State:
    """Return the same state with eras counted without gaps: only their order matters."""
    marks = {0, state.era, state.horizon}
    for cell in state.target:
        if cell.mark >= 0:
            marks.add(cell.mark)
    for op in state.ops:
        marks.add(op.stamp)
    for _, stamp, _ in state.orphans:
        marks.add(stamp)
    if len(marks) == state.era + 1:
        return state
    rank = {mark: place for place, mark in enumerate(sorted(marks))}
    rank[-1] = -1
    return State(
        state.origin,
        tuple(Cell(cell.rev, cell.alive, rank[cell.mark], cell.seen) for cell in state.target),
        state.dead,
        state.clock,
        rank[state.era],
        rank[state.horizon],
        tuple(sorted(op._replace(stamp=rank[op.stamp]) for op in state.ops)),
        tuple(sorted((row, rank[stamp], absent) for row, stamp, absent in state.orphans)),
        state.left,
    )
