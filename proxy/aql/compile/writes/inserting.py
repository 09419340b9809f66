"""INSERT and UPSERT of given rows, as one statement.

    [FOR over arrays, LET, FILTER, SORT, LIMIT] INSERT | UPSERT [statements over OLD and NEW, RETURN]

What needs no stored document is computed before the statement (`given_rows`). The statement looks documents up by key
or attributes, computes changes that read OLD, and inserts or updates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from proxy.aql import ast
from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.expressions import pure
from proxy.aql.compile.query import words_of
from proxy.aql.compile.scope import Block, DocumentVar, ElementVar, FromItem, OrderKey, VariableScope
from proxy.aql.compile.writes.change import NewVersionSql, change_of
from proxy.aql.compile.writes.compiled_write import CompiledWrite
from proxy.aql.compile.writes.given_rows import (
    KEY,
    GivenChange,
    GivenRows,
    Path,
    check_search,
    leaves,
    names_of,
    parameters_of,
    rows_query,
)
from proxy.aql.compile.writes.inserting_text import InsertedRows, statement
from proxy.aql.compile.writes.text import COLLECTION
from proxy.aql.compile.writes.whole import mentioned_in, options_of, returned_rows
from proxy.aql.requests import WriteOptions
from proxy.aql.sql_terms import Deferred, NotCompilable

_MERGES: Final = {"MERGE": False, "MERGE_RECURSIVE": True}  # whether objects are merged into objects
_NOTHING = DocumentVar("NULL::text", "NULL::jsonb", "NULL::json", "''", nullable=True)


@dataclass(frozen=True, slots=True)
class _Change:
    """change: of a document that is found. own: the expression that each row has of it. merging: its options.

    made: the change as the statement computes it.
    """

    change: GivenChange
    own: ast.Expr | None
    merging: WriteOptions
    made: ast.Expr | None = None


def compile_inserting(c: Compilation, query: ast.Query, place: int) -> CompiledWrite:
    """Compile a query whose statement at `place` is an INSERT or UPSERT, and its only modification.

    Raise NotCompilable, ArangoError, Unsupported.
    """
    before, node, after = query.statements[:place], query.statements[place], query.statements[place + 1 :]
    assert isinstance(node, ast.Insert | ast.Upsert)
    c.mentioned = mentioned_in(query.statements)
    collection = c.collection_name(node.collection)
    assert collection is not None
    table = c.table(collection)
    options = options_of(c, node)
    many = any(isinstance(one, ast.For) for one in before)
    if isinstance(node, ast.Insert):
        document, search, change = node.document, list[tuple[Path, ast.Expr]](), _overwriting(node, options)
        paths: tuple[Path, ...] = () if change is None else (KEY,)
    else:
        if node.search is None:
            raise NotCompilable("UPSERT with FILTER")
        document, search, change = node.insert, leaves(node.search), _change(node, options)
        paths = tuple(path for path, _ in search)
    check_search(paths, edge=table.edge)
    names = names_of(before)
    own = [] if change is None or change.own is None else [change.own]
    rows = rows_query(before, document, [value for _, value in search], [*own, *map(ast.Variable, names)])
    given = GivenRows(
        query=rows,
        binds=parameters_of(rows),
        many=many,
        variables=tuple(names),
        search=paths,
        indexed=frozenset(path for path in paths if path[0] in table.indexed and len(path) == 1),
        change=None if change is None else change.change,
    )
    made = None
    if change is not None and change.made is not None:
        made = _computed(c, collection, given, change)
    _begin_result(c, collection, given)
    shown, returned, finish = returned_rows(c, after)
    inserted = InsertedRows(
        table.relation, collection, table.edge, given, made, None if change is None else change.merging
    )
    text, parameters = c.parameters.numbered(statement(c, inserted, shown, returned))
    return CompiledWrite(
        sql=text.replace(COLLECTION, f"${len(parameters) + 1}::text"),
        bare=None,
        parameters=parameters,
        collection=collection,
        relation=table.relation,
        edge=table.edge,
        finish=finish,
        pushed=(*_words(query, after), "INSERT" if isinstance(node, ast.Insert) else "UPSERT"),
        finished=("RETURN",) if finish is not None and not finish.plain else (),
        given=replace(given, columns=frozenset(_columns(parameters))),
    )


def _columns(parameters: tuple[object, ...]) -> Iterator[str]:
    for value in parameters:
        if isinstance(value, Deferred) and isinstance(value.identity, str) and value.identity.startswith("#"):
            yield value.identity[1:]


def _words(query: ast.Query, after: tuple[ast.Statement, ...]) -> tuple[str, ...]:
    return words_of(replace(query, statements=after)) if after else ()


# ---- what happens to a document that is found


def _overwriting(node: ast.Insert, options: WriteOptions) -> _Change | None:
    """Return what overwriteMode asks for; None if a document that exists is an error."""
    if options.overwrite_mode in (None, "conflict"):
        return None
    if options.overwrite_mode == "ignore":
        return _Change(GivenChange("IGNORE", own=False), None, options)
    return _Change(GivenChange(options.overwrite_mode.upper(), own=True), node.document, options)


def _change(node: ast.Upsert, options: WriteOptions) -> _Change:
    change = node.change
    if isinstance(change, ast.Object) and not change.items and node.kind == "UPDATE":
        return _Change(GivenChange("UPDATE", own=True), change, options)
    if not _mentions_old(change):
        return _Change(GivenChange(node.kind, own=True), change, options)
    merged = _merged_into_old(change)
    if merged is not None:
        patch, deep = merged
        if node.kind == "REPLACE":  # what MERGE does, instead of what the options ask for
            return _Change(GivenChange("UPDATE", own=True, always=True), patch, WriteOptions(merge_objects=deep))
        if not options.keep_null or (deep and not options.merge_objects):
            raise NotCompilable("MERGE that is merged in another way")
        return _Change(GivenChange("UPDATE", own=True, merged=True), patch, options)
    if not isinstance(change, ast.Object):
        raise NotCompilable("a change that is computed as a whole")
    if any(item.name is None for item in change.items):
        raise NotCompilable("an attribute name that is computed")
    names = frozenset(item.name for item in change.items if item.name is not None)
    return _Change(GivenChange(node.kind, own=False, names=names), None, options, change)


def _mentions_old(node: ast.Node) -> bool:
    return any(isinstance(below, ast.Variable) and below.name == "OLD" for below in ast.walk(node))


def _merged_into_old(node: ast.Expr) -> tuple[ast.Expr, bool] | None:
    """Return the object that is merged into OLD by a call of MERGE, and whether objects inside are merged; OLD alone
    is merged with {}. None for any other expression.
    """
    if isinstance(node, ast.Variable):
        return ast.Object(()), False
    if not isinstance(node, ast.Call) or node.name not in _MERGES or len(node.arguments) != 2:
        return None
    old, patch = node.arguments
    if not isinstance(old, ast.Variable) or old.name != "OLD" or _mentions_old(patch):
        return None
    return patch, _MERGES[node.name]


def _computed(c: Compilation, collection: str, given: GivenRows, change: _Change) -> NewVersionSql:
    """Compile a change that reads OLD, over the rows `g` and the documents `t`."""
    assert change.made is not None
    if given.many and not _keeps_search(given, change.change):
        raise NotCompilable("a change of what UPSERT looks for")
    c.block = Block()
    c.block.items.append(FromItem(lambda: "given g"))
    for number, name in enumerate(given.variables):
        c.bind(name, _variable("g", number, name))
    table, prefix = c.table(collection), c.parameters.add(f"{collection}/", "text")
    c.bind("OLD", DocumentVar("t.key", "t.doc", "t.raw", prefix, collection, nullable=True))
    if not pure(change.made):
        raise NotCompilable("a change that reads documents, perhaps those that were changed for another row")
    node = ast.UpdateOrReplace(change.change.kind, None, change.made, ast.Collection(collection), None)
    return change_of(c, node, change.made, change.merging, edge=table.edge, many=given.many)


def _keeps_search(given: GivenRows, change: GivenChange) -> bool:
    """Return True if a change cannot make its document one that another row looks for, or no longer does."""
    heads = {path[0] for path in given.search} - {"_key"}
    return not heads or (change.kind == "UPDATE" and heads.isdisjoint(change.names))


def _variable(alias: str, number: int, name: str) -> ElementVar:
    """Return the variable of the rows with this number: an element of the array of its values."""
    source = ast.Parameter(f"##{name}", source=False)
    cell = f"{alias}.w{number}"
    return ElementVar(f"({cell})::jsonb", f"{alias}.place", source, VariableScope(), f"({cell})::json")


def _begin_result(c: Compilation, collection: str, given: GivenRows) -> None:
    """Begin the block of what follows the modification, over the rows `s`."""
    c.block = Block()
    c.block.items.append(FromItem(lambda: "chosen s"))
    c.block.order, c.block.sorted_by = [OrderKey("s.place", descending=False, guarded=False)], "place"
    for number, name in enumerate(given.variables):
        c.bind(name, _variable("s", number, name))
    prefix = c.parameters.add(f"{collection}/", "text")
    change = given.change
    found = change is not None and change.kind != "IGNORE"
    old = DocumentVar("s.old_key", "s.old_doc", "s.old_raw", prefix, collection, nullable=True)
    c.bind("OLD", old if found else replace(_NOTHING, collection=collection))
    ignores = change is not None and change.kind == "IGNORE"
    new = DocumentVar("s.new_key" if ignores else "s.key", "s.doc", "s.raw", prefix, collection, nullable=ignores)
    c.bind("NEW", new)
