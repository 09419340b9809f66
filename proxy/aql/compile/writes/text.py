"""The text of the statement: what is chosen, written, noted for ArangoDB, returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.aql.compile.scope import Block, ColumnRemapping
from proxy.aql.compile.writes.change import NewVersionSql
from proxy.aql.compile.writes.target import WrittenTarget

COLLECTION = "\x02"  # stands for the last parameter, the name of the collection
FLOOR = f"FROM _crossfade.stamp_floor WHERE collection = {COLLECTION}"
REVISION = f"nextval((SELECT revisions::regclass {FLOOR}))"


@dataclass(frozen=True, slots=True)
class ChosenRows:
    """The block that chooses rows, and what is done with the target of each. change: None for REMOVE.

    kept: the columns of the rows that what follows needs. old: it sees OLD. total: SQL of the number of documents in
    the collection, or NULL.
    """

    relation: str
    block: Block
    target: WrittenTarget
    change: NewVersionSql | None
    kept: ColumnRemapping
    old: bool
    total: str


def statement(chosen: ChosenRows, rows: str | None, returned: Sequence[str]) -> str:
    """Return the statement. rows: SELECT of what the query returns, from `chosen s`; None if nothing. returned: its
    columns.
    """
    if rows is None and _is_direct(chosen):
        return _whole(chosen, f"{_direct_update(chosen)} RETURNING {chosen.target.var.key}", "", None, returned)
    select = _select(chosen, places=rows is not None)
    # a row without a target is refused also if the table is empty, with which PostgreSQL would join no row
    tested = chosen.target.var.nullable
    apart = tested or rows is not None
    written = _update(chosen, "chosen" if apart else f"({select})")
    every = " WHERE (SELECT count(key) FROM chosen) >= 0" if tested else ""
    text = _whole(chosen, written, every, rows, returned)
    return f"WITH chosen AS MATERIALIZED ({select}), {text.removeprefix('WITH ')}" if apart else text


def bare_statement(chosen: ChosenRows, rows: str | None) -> str | None:
    """Return the UPDATE alone, for a collection of which nothing is noted. Its parameters are those of the statement,
    in the same order. None if the result is more than the number of documents, or the collection is not named in it.
    """
    alone = rows is None and chosen.change is not None and chosen.total == "NULL" and _is_direct(chosen)
    return _direct_update(chosen) if alone else None


def _whole(chosen: ChosenRows, update: str, every: str, rows: str | None, returned: Sequence[str]) -> str:
    """Return the statement of an UPDATE that returns its keys. every: the condition that all rows are chosen."""
    noted = (
        f"noted AS (INSERT INTO _crossfade.outbox (collection, key) SELECT {COLLECTION}, key FROM written "
        f'WHERE (SELECT in_arangodb {FLOOR}) ORDER BY key COLLATE "C")'
    )
    result = f"SELECT {', '.join(['w.n', 'w.total', *(f'q.{column}' for column in returned)])} "
    result += f"FROM (SELECT count(*) AS n, {chosen.total} AS total FROM written{every}) w"
    if rows is not None:
        result += f" LEFT JOIN ({rows}) q ON true"
    return f"WITH written AS ({update}), {noted} {result}"


def _select(chosen: ChosenRows, *, places: bool) -> str:
    """Return the SELECT of the rows: key, the columns that are kept, and of the target the new version and the old one.

    places: with the place of each row.
    """
    var, change = chosen.target.var, chosen.change
    columns = {"key": var.key} | {name: sql for sql, name in chosen.kept.columns.items()}
    kept = list(columns)
    if change is not None or chosen.old:
        columns |= {"raw": var.raw, "doc": var.doc}
    if change is not None:
        columns |= {f"p{number}": sql for number, sql in enumerate(change.columns)}
    drawn = [f"b.{name}" for name in columns if name != "key"]
    drawn.append(f"{_tested_key(chosen)} AS key")
    if places:
        drawn.append(f"row_number() OVER ({_ordered_by(chosen.block)}) AS place")
        kept.append("place")
    if change is not None:
        drawn.append(f"{REVISION} AS rev")
    rows = chosen.block.select([f"{sql} AS {name}" for name, sql in columns.items()])
    q = f"(SELECT {', '.join(drawn)} FROM ({rows}) b OFFSET 0) q"
    listed = [f"q.{name}" for name in kept]
    if chosen.old:
        listed += ["q.raw AS old_raw", "q.doc AS old_doc"]
    if change is None:
        return f"SELECT {', '.join(listed)} FROM {q}"
    listed += ["q.rev", f"{change.raw} AS raw", f"{change.doc} AS doc"]
    return f"SELECT {', '.join(listed)} FROM {with_steps(q, change)}"


def with_steps(q: str, change: NewVersionSql) -> str:
    """Return the FROM item of the rows `q` with the columns of all steps, each computed once."""
    for step in change.steps:
        if step:
            added = ", ".join(f"{sql} AS {name}" for name, sql in step.items())
            q = f"(SELECT q.*, {added} FROM {q} OFFSET 0) q"
    return q


def _ordered_by(block: Block) -> str:
    """Return the ORDER BY of the rows `b`."""
    keys = [f"b.k{number}{' DESC' * key.descending}" for number, key in enumerate(block.ordered_by())]
    return f"ORDER BY {', '.join(keys)}" if keys else ""


def _tested_key(chosen: ChosenRows) -> str:
    """Return SQL of the key, which refuses what is not exact: a row without a target, two with the same, the order of
    arrays or objects.
    """
    refused = []
    if chosen.target.var.nullable:
        refused.append("b.key IS NULL")
    if chosen.target.repeats:
        refused.append("count(*) OVER (PARTITION BY b.key) > 1")
    guard = chosen.block.guard("b")
    if guard:
        refused.append(guard)
    return f"_crossfade.unless({' OR '.join(refused)}, b.key)" if refused else "b.key"


def _is_direct(chosen: ChosenRows) -> bool:
    """Return True if the rows are those of the collection's table itself, each once, which a condition chooses."""
    block, var = chosen.block, chosen.target.var
    alias = var.key.removesuffix(".key")
    return (
        [item.text() for item in block.items if not item.left] == [f"{chosen.relation} {alias}"]
        and len(block.items) == 1
        and not (var.nullable or chosen.target.repeats or chosen.kept.columns)
        and not (block.limit or block.group or block.distinct or block.ties or block.guard("b"))
    )


def _direct_update(chosen: ChosenRows) -> str:
    """Return the UPDATE of the rows of the table itself, which spares a join."""
    (item,), where, change = chosen.block.items, chosen.block.where, chosen.change
    alias = chosen.target.var.key.removesuffix(".key")
    if change is None:
        era = "(SELECT era FROM _crossfade.era)"
        changed = f"raw = NULL, doc = NULL, mark = greatest({alias}.mark, {era})"
    else:
        columns = {"rev": REVISION, "raw": f"{alias}.raw", "doc": f"{alias}.doc"}
        columns |= {f"p{number}": sql for number, sql in enumerate(change.columns)}
        q = f"(SELECT {', '.join(f'{sql} AS {name}' for name, sql in columns.items())} OFFSET 0) q"
        made = f"SELECT q.rev, {change.raw}, {change.doc} FROM {with_steps(q, change)}"
        changed = f"(rev, raw, doc) = ({made})"
    return f"UPDATE {item.text()} SET {changed} WHERE {' AND '.join(where)}"


def _update(chosen: ChosenRows, source: str) -> str:
    """Return the UPDATE of the targets."""
    if chosen.change is None:
        return (
            f"UPDATE {chosen.relation} d SET raw = NULL, doc = NULL, mark = greatest(d.mark, e.era) "
            f"FROM {source} s, _crossfade.era e WHERE d.key = s.key RETURNING d.key"
        )
    return (
        f"UPDATE {chosen.relation} d SET rev = s.rev, raw = s.raw, doc = s.doc "
        f"FROM {source} s WHERE d.key = s.key RETURNING d.key"
    )
