"""The text of the statement of an INSERT or UPSERT: given rows, what they find, what is written and returned."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.writes.change import NewVersionSql
from proxy.aql.compile.writes.given_rows import KEY, GivenRows, column
from proxy.aql.compile.writes.text import COLLECTION, FLOOR, REVISION, with_steps
from proxy.aql.requests import WriteOptions
from proxy.model.json_values import dump

_LINES = "string_to_array({}, E'\\n', '')"  # an empty line is NULL


@dataclass(frozen=True, slots=True)
class InsertedRows:
    """made: the change of a document that is found, if the statement computes it. merging: the options of a change."""

    relation: str
    collection: str
    edge: bool
    given: GivenRows
    made: NewVersionSql | None
    merging: WriteOptions | None


def statement(c: Compilation, rows: InsertedRows, shown: str | None, returned: Sequence[str]) -> str:
    """Return the statement. shown: SELECT of what the query returns, from `chosen s`; None if nothing. returned: its
    columns.
    """
    chosen = _looked_up(c, rows, shown or "") if rows.given.search else _inserted_alone(c, rows, shown or "")
    parts = [_given(c, rows, [chosen, shown or ""]), f"chosen AS MATERIALIZED ({chosen})", _insert(rows)]
    written = "inserted"
    if rows.given.change is not None and rows.given.change.kind != "IGNORE":
        parts += [*_update(rows), "written AS (SELECT key FROM updated UNION ALL SELECT key FROM inserted)"]
        written = "written"
    parts.append(
        f"noted AS (INSERT INTO _crossfade.outbox (collection, key) SELECT {COLLECTION}, key FROM {written} "
        f'WHERE (SELECT in_arangodb {FLOOR}) ORDER BY key COLLATE "C")'
    )
    wanted, waited = "s.writes" if rows.given.search else "true", ""
    if rows.given.search:
        parts.append(_kept(rows))
        waited = " OR (SELECT count(*) FROM kept) < 0"  # never: but it is executed
    # a key that has a document is not inserted: that is an error, or left to the evaluator
    counted = (
        f"SELECT _crossfade.unless(count(*) <> (SELECT count(*) FROM chosen s WHERE {wanted}){waited}, "
        f"(SELECT count(*) FROM chosen)) AS n, (SELECT count(*) FROM inserted) AS made FROM {written}"
    )
    result = f"SELECT {', '.join(['w.n', 'w.made', *(f'q.{name}' for name in returned)])} FROM ({counted}) w"
    if shown is not None:
        result += f" LEFT JOIN ({shown}) q ON true"
    return f"WITH {', '.join(parts)} {result}"


# ---- the rows


def _given(c: Compilation, rows: InsertedRows, users: Sequence[str]) -> str:
    """Return the rows that are given, each with a revision: those columns that the statement uses."""
    text = " ".join(users)
    used = [name for name in _names(rows) if _uses(text, "gqs", name)]
    lines = ", ".join(_LINES.format(column(c, name)) for name in used)
    listed = ", ".join(f"r.{name}" for name in used)
    return (
        f"given AS MATERIALIZED (SELECT {listed}, r.place, {REVISION} AS rev "
        f"FROM unnest({lines}) WITH ORDINALITY r ({', '.join(used)}, place))"
    )


def _names(rows: InsertedRows) -> list[str]:
    """Return the names of all columns that rows may have.

    key, body_ends, body: of the document to insert; k: the key that is looked for, s0, s1, …: the values, c: a document
    of them; patch, changes, change_ends, change_body: of the change; kept_ends: the ends that a patch has; w0, w1, …:
    the variables.
    """
    given = rows.given
    searched = [f"s{number}" for number in range(len(given.search))]
    variables = [f"w{number}" for number in range(len(given.variables))]
    change = ["patch", "changes", "kept_ends", "change_ends", "change_body"]
    return ["key", "body_ends", "body", "k", "c", *searched, *change, *variables]


def _uses(text: str, aliases: str, name: str) -> bool:
    return re.search(rf"\b[{aliases}]\.{name}\b", text) is not None


def _variables(rows: InsertedRows, alias: str, shown: str) -> list[str]:
    """Return the columns of variables that what follows the modification uses."""
    names = [f"w{number}" for number in range(len(rows.given.variables))]
    return [f"{alias}.{name}" for name in names if _uses(shown, "s", name)]


def _document(c: Compilation, rows: InsertedRows, alias: str, key: str, ends: str, members: str) -> str:
    """Return SQL of a document's text: its system attributes, then its members."""
    identifier = c.parameters.add(f'","_id":{dump(f"{rows.collection}/").decode()[:-1]}', "text")
    ends_of = f" || {alias}.{ends}" if rows.edge else ""
    return (
        f'(\'{{"_key":"\' || {key} || {identifier} || {key} || \'",\'{ends_of} || \'"_rev":"\' '
        f"|| _crossfade.revision_text({alias}.rev) || '\"' || coalesce({alias}.{members}, '') || '}}')::json"
    )


def _inserted_alone(c: Compilation, rows: InsertedRows, shown: str) -> str:
    """Return the SELECT of the new documents, for which nothing is looked up."""
    listed = ["g.key", "g.place", "g.rev", *_variables(rows, "g", shown)]
    text = _document(c, rows, "g", "g.key", "body_ends", "body")
    made = f"SELECT {', '.join(listed)}, {text} AS raw FROM given g OFFSET 0"
    return f"SELECT m.*, _crossfade.queryable(m.raw) AS doc FROM ({made}) m"


def _looked_up(c: Compilation, rows: InsertedRows, shown: str) -> str:
    """Return the SELECT of the new versions of the documents that are found, and of the new documents."""
    change = rows.given.change
    assert change is not None
    ignores = change.kind == "IGNORE"
    columns = () if rows.made is None else rows.made.columns
    found = [f"CASE WHEN t.key IS NOT NULL THEN {sql} END AS p{number}" for number, sql in enumerate(columns)]
    drawn = ", ".join(["g.*", "t.key AS old_key", "t.raw", "t.doc", *found])
    q = f"(SELECT {drawn} FROM given g LEFT JOIN LATERAL ({_lookup(c, rows)}) t ON true OFFSET 0) q"
    if rows.made is not None:  # of what is found alone
        steps = tuple({name: _if_found(sql) for name, sql in step.items()} for step in rows.made.steps)
        q = with_steps(q, replace(rows.made, steps=steps))
    new = _document(c, rows, "q", "q.key", "body_ends", "body")
    listed = ["q.place", "q.rev", "q.old_key", "coalesce(q.old_key, q.key) AS key", *_variables(rows, "q", shown)]
    if ignores:
        listed.append("CASE WHEN q.old_key IS NULL THEN q.key END AS new_key")
        changed, writes = "NULL::json", "q.old_key IS NULL"
    else:
        listed += ["q.raw AS old_raw", "q.doc AS old_doc"]
        writes = f"(q.old_key IS NULL OR {_changes(rows)})"
        changed = _changed(c, rows)
        if _changes(rows) != "true":
            changed = f"CASE WHEN {_changes(rows)} THEN {changed} ELSE q.raw END"
    listed += [f"{writes} AS writes", f"CASE WHEN q.old_key IS NULL THEN {new} ELSE {changed} END AS raw"]
    doc = "CASE WHEN m.old_key IS NULL THEN _crossfade.queryable(m.raw)"
    if rows.made is not None:
        listed.append(f"{_if_found(rows.made.doc)} AS new_doc")
        doc += " ELSE m.new_doc"
    elif not ignores:
        doc += " WHEN m.writes THEN _crossfade.queryable_unescaped(m.raw) ELSE m.old_doc"
    return f"SELECT m.*, {doc} END AS doc FROM (SELECT {', '.join(listed)} FROM {q} OFFSET 0) m"


def _if_found(sql: str) -> str:
    return f"CASE WHEN q.old_key IS NOT NULL THEN {sql} END"


def _changes(rows: InsertedRows) -> str:
    """Return the condition that a document which is found gets a new version."""
    change = rows.given.change
    assert change is not None
    if change.kind == "REPLACE" or not change.own or change.always:
        return "true"
    if change.merged:
        return "true" if rows.edge else "(q.changes IS NOT NULL OR q.doc <> '{}')"
    return "(q.changes IS NOT NULL)"


def _changed(c: Compilation, rows: InsertedRows) -> str:
    """Return SQL of the new text of a document that is found."""
    change = rows.given.change
    assert change is not None
    if rows.made is not None:
        return rows.made.raw
    if change.kind == "REPLACE":
        return _document(c, rows, "q", "q.old_key", "change_ends", "change_body")
    assert rows.merging is not None
    flags = f"{str(rows.merging.keep_null).lower()}, {str(rows.merging.merge_objects).lower()}"
    patched = f"_crossfade.patched_with(q.raw, q.doc, q.rev, q.patch::json, {flags})"
    if rows.given.many:
        merged = _merged(rows.merging)
        patched = f"CASE WHEN octet_length(q.patch) * 8 < octet_length(q.raw::text) THEN {patched} ELSE {merged} END"
    # the ends of an edge are not merged: those that it has stay
    return f"_crossfade.unless(NOT q.doc @> q.kept_ends::jsonb, {patched})" if rows.edge else patched


def _merged(merging: WriteOptions) -> str:
    """Return SQL of a document with its patch, merged in one pass over all attributes: as `_crossfade.merged` does it,
    in a text that PostgreSQL plans once for all rows.
    """
    value = [
        "WHEN f.key = '_rev' THEN '\"' || _crossfade.revision_text(q.rev) || '\"'",
        "WHEN a.key IS NULL THEN f.value::text",
    ]
    kept = ""
    if merging.keep_null:
        value.append("WHEN f.value::text = a.value::text THEN f.value::text")
    else:
        value.append(
            "WHEN f.key IS NULL AND json_typeof(a.value) = 'object' "
            f"THEN _crossfade.merged('{{}}', a.value, false, {str(merging.merge_objects).lower()}, false)::text"
        )
        kept = " WHERE a.key IS NULL OR json_typeof(a.value) <> 'null'"
    if merging.merge_objects:
        value.append(
            "WHEN json_typeof(a.value) = 'object' AND json_typeof(f.value) = 'object' "
            f"THEN _crossfade.merged(f.value, a.value, {str(merging.keep_null).lower()}, true, false)::text"
        )
    members = f"to_json(coalesce(f.key, a.key))::text || ':' || CASE {' '.join(value)} ELSE a.value::text END"
    return (
        "_crossfade.unless(strpos(q.raw::text, '\\u') > 0 OR strpos(q.patch, '\\u') > 0, (SELECT ('{' || "
        f"string_agg({members}, ',' ORDER BY f.place, a.place) || '}}')::json "
        "FROM json_each(q.raw) WITH ORDINALITY f (key, value, place) "
        f"FULL JOIN json_each(q.patch::json) WITH ORDINALITY a (key, value, place) ON f.key = a.key{kept}))"
    )


def _lookup(c: Compilation, rows: InsertedRows) -> str:
    """Return the SELECT of the document that a row finds: of several, the one with the first key.

    OFFSET: else PostgreSQL might read the whole table in the order of keys until it meets one.
    """
    where, narrowed = ["d.doc IS NOT NULL"], False
    for number, path in enumerate(rows.given.search):
        if path == KEY:
            where.append("d.key = g.k")
            continue
        value = f"(g.s{number})::jsonb"
        steps = "d.doc" + "".join(f" -> {c.parameters.name(name)}" for name in path)
        if path in rows.given.indexed:
            where.append(f"({steps}) = {value}")
        else:
            where.append(f"coalesce({steps}, 'null') = {value}")
            narrowed = True
        if rows.edge and path in (("_from",), ("_to",)):
            where.append(f"d.{path[0][1:]}_id = {value} #>> '{{}}'")
    if narrowed and not rows.given.indexed and KEY not in rows.given.search:
        where.append("d.doc @> (g.c)::jsonb")
    found = f"SELECT d.key, d.doc, d.raw FROM {rows.relation} d WHERE {' AND '.join(where)}"
    if KEY in rows.given.search:
        return found
    return f'SELECT x.* FROM ({found} OFFSET 0) x ORDER BY x.key COLLATE "C" LIMIT 1'


# ---- what is written


def _insert(rows: InsertedRows) -> str:
    """Return the INSERT of new documents; one of them may have a tombstone."""
    where = " WHERE s.old_key IS NULL" if rows.given.search else ""
    return (
        f"inserted AS (INSERT INTO {rows.relation} AS d (key, rev, raw, doc, mark) "
        f"SELECT s.key, s.rev, s.raw, s.doc, (SELECT era FROM _crossfade.era) FROM chosen s{where} "
        'ORDER BY s.key COLLATE "C" ON CONFLICT (key) DO UPDATE SET rev = excluded.rev, raw = excluded.raw, '
        "doc = excluded.doc WHERE d.doc IS NULL RETURNING d.key)"
    )


def _kept(rows: InsertedRows) -> str:
    """Return the SELECT that waits for documents which stay as they are, if other transactions have them."""
    kept = "SELECT s.old_key FROM chosen s WHERE s.old_key IS NOT NULL AND NOT s.writes"
    return (
        f"kept AS MATERIALIZED (SELECT d.key FROM {rows.relation} d WHERE d.key = ANY (ARRAY({kept})) "
        'ORDER BY d.key COLLATE "C" FOR SHARE)'
    )


def _update(rows: InsertedRows) -> list[str]:
    """Return the UPDATE of documents that were found; several are locked in the order of keys, against deadlocks."""
    where = "s.writes AND s.old_key IS NOT NULL"
    parts, source = [], "chosen s"
    if rows.given.many:
        parts.append(
            f"locked AS MATERIALIZED (SELECT d.key FROM {rows.relation} d WHERE d.key = ANY (ARRAY("
            f'SELECT s.old_key FROM chosen s WHERE {where})) ORDER BY d.key COLLATE "C" FOR UPDATE)'
        )
        source = "locked l JOIN chosen s ON s.old_key = l.key"
    updated = f"UPDATE {rows.relation} d SET rev = s.rev, raw = s.raw, doc = s.doc FROM {source}"
    return [*parts, f"updated AS ({updated} WHERE {where} AND d.key = s.old_key RETURNING d.key)"]
