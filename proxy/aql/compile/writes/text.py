"""The text of the statement: what is chosen, written, noted for ArangoDB, returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.aql.compile.scope import Block, ColumnRemapping
from proxy.aql.compile.writes.change import NewVersionSql
from proxy.aql.compile.writes.target import WrittenTarget

COLLECTION = "\x02"  # stands for the last parameter, the name of the collection
_FLOOR = f"FROM _crossfade.stamp_floor WHERE collection = {COLLECTION}"


@dataclass(frozen=True, slots=True)
class ChosenRows:
    """The block that chooses rows, and what is done with the target of each. change: None for REMOVE.

    kept: the columns of the rows that what follows needs. old: it sees OLD.
    """

    relation: str
    block: Block
    target: WrittenTarget
    change: NewVersionSql | None
    kept: ColumnRemapping
    old: bool


def statement(chosen: ChosenRows, rows: str | None, returned: Sequence[str]) -> str:
    """Return the statement. rows: SELECT of what the query returns, from `chosen s`; None if nothing. returned: its
    columns.
    """
    select = _select(chosen, places=rows is not None)
    # a row without a target is refused also if the table is empty, with which PostgreSQL would join no row
    tested = chosen.target.var.nullable
    apart = tested or rows is not None
    written = f"written AS ({_update(chosen, 'chosen' if apart else f'({select})')})"
    if apart:
        written = f"chosen AS MATERIALIZED ({select}), {written}"
    noted = (
        f"noted AS (INSERT INTO _crossfade.outbox (collection, key) SELECT {COLLECTION}, key FROM written "
        f'WHERE (SELECT in_arangodb {_FLOOR}) ORDER BY key COLLATE "C")'
    )
    result = f"SELECT {', '.join(['w.n', *(f'q.{column}' for column in returned)])} "
    every = " WHERE (SELECT count(key) FROM chosen) >= 0" if tested else ""
    result += f"FROM (SELECT count(*) AS n FROM written{every}) w"
    if rows is not None:
        result += f" LEFT JOIN ({rows}) q ON true"
    return f"WITH {written}, {noted} {result}"


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
        drawn.append(f"nextval((SELECT revisions {_FLOOR})::regclass) AS rev")
    rows = chosen.block.select([f"{sql} AS {name}" for name, sql in columns.items()])
    q = f"(SELECT {', '.join(drawn)} FROM ({rows}) b OFFSET 0) q"
    listed = [f"q.{name}" for name in kept]
    if chosen.old:
        listed += ["q.raw AS old_raw", "q.doc AS old_doc"]
    if change is None:
        return f"SELECT {', '.join(listed)} FROM {q}"
    listed += ["q.rev", f"{change.raw} AS raw"]
    if change.doc is not None:
        return f"SELECT {', '.join([*listed, f'{change.doc} AS doc'])} FROM {q}"
    made = f"SELECT {', '.join(listed)} FROM {q} OFFSET 0"
    return f"SELECT m.*, _crossfade.queryable_unescaped(m.raw) AS doc FROM ({made}) m"


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
