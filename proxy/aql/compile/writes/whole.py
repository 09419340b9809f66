"""A whole query that writes, as one statement."""

from __future__ import annotations

from dataclasses import replace

from proxy.aql import ast
from proxy.aql.compile.blocks import wrap_limited
from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.expressions import pure
from proxy.aql.compile.output_columns import OutputColumns
from proxy.aql.compile.query import as_text, words_of
from proxy.aql.compile.result_builder import Finish
from proxy.aql.compile.scope import AliasVar, Block, ColumnRemapping, DocumentVar, FromItem, OrderKey
from proxy.aql.compile.subqueries import hoisted
from proxy.aql.compile.writes.change import NewVersionSql, change_of
from proxy.aql.compile.writes.compiled_write import CompiledWrite
from proxy.aql.compile.writes.dropped_rows import drops_the_others
from proxy.aql.compile.writes.target import WrittenTarget, loops, target_of
from proxy.aql.compile.writes.text import COLLECTION, ChosenRows, bare_statement, statement
from proxy.aql.execution.modifications import write_options_of
from proxy.aql.requests import WriteOptions
from proxy.aql.sql_terms import NotCompilable

_VERSIONS = frozenset({"OLD", "NEW"})


def compile_whole(c: Compilation, query: ast.Query) -> CompiledWrite:
    """Compile a query that writes to its statement. Raise NotCompilable, ArangoError, Unsupported."""
    before, node, after = _parts(query)
    c.mentioned = frozenset(below.name for below in ast.walk(query) if isinstance(below, ast.Variable))
    c.stable_sorts = True
    for one in before:
        c.statement(one)
    collection = _collection(c, node)
    options = options_of(c, node)
    target, change = _modification(c, collection, node, options, before)
    kept = _end_rows(c, collection, target, after)
    mentioned = mentioned_in(after)
    relation, total = c.table(collection).relation, "NULL"
    if not target.repeats and drops_the_others(c, query, before, collection):
        total = f"(SELECT _crossfade.count_of({c.parameters.add(relation, 'text')}))"
    chosen = ChosenRows(relation, kept[0], target, change, kept[1], "OLD" in mentioned, total)
    rows, returned, finish = returned_rows(c, after)
    text, parameters = c.parameters.numbered(statement(chosen, rows, returned))
    last = f"${len(parameters) + 1}::text"
    bare = bare_statement(chosen, rows)
    return CompiledWrite(
        sql=text.replace(COLLECTION, last),
        bare=None if bare is None else c.parameters.numbered(bare)[0].replace(COLLECTION, last),
        parameters=parameters,
        collection=collection,
        relation=relation,
        edge=c.table(collection).edge,
        finish=finish,
        pushed=(*words_of(query), node.kind if isinstance(node, ast.UpdateOrReplace) else "REMOVE"),
        finished=("RETURN",) if finish is not None and not finish.plain else (),
    )


def place_of(query: ast.Query) -> int:
    """Return the place of the modification among the statements. Raise NotCompilable unless there is just one."""
    writing = (ast.Insert, ast.UpdateOrReplace, ast.Remove, ast.Upsert)
    if sum(isinstance(below, writing) for below in ast.walk(query)) != 1:
        raise NotCompilable("several modifications")
    for place, node in enumerate(query.statements):
        if isinstance(node, writing):
            return place
    raise NotCompilable("a modification inside")


def _parts(
    query: ast.Query,
) -> tuple[tuple[ast.Statement, ...], ast.UpdateOrReplace | ast.Remove, tuple[ast.Statement, ...]]:
    """Return the statements before the modification, that one, and those after it."""
    place = place_of(query)
    node = query.statements[place]
    assert isinstance(node, ast.UpdateOrReplace | ast.Remove)
    return query.statements[:place], node, query.statements[place + 1 :]


def _collection(c: Compilation, node: ast.UpdateOrReplace | ast.Remove) -> str:
    name = c.collection_name(node.collection)
    assert name is not None
    return name


def options_of(c: Compilation, node: ast.Modification) -> WriteOptions:
    """Return the options of a modification. Raise NotCompilable if the statement cannot follow them."""
    if node.options is None:
        return WriteOptions()
    if not c.is_constant(node.options):
        raise NotCompilable("OPTIONS that are not constant")
    options = write_options_of(c.folded(node.options).value)
    if options.version_attribute is not None:
        raise NotCompilable("versionAttribute")
    return options


def _modification(
    c: Compilation,
    collection: str,
    node: ast.UpdateOrReplace | ast.Remove,
    options: WriteOptions,
    before: tuple[ast.Statement, ...],
) -> tuple[WrittenTarget, NewVersionSql | None]:
    """Compile the modification of the rows of the present block."""
    wrap_limited(c)
    given = [node.key] if isinstance(node, ast.Remove) else [node.document, node.key]
    if loops(before) and not all(value is None or pure(value) for value in given):
        raise NotCompilable("a change that reads documents, perhaps those that were changed for another row")
    if isinstance(node, ast.Remove):
        return target_of(c, collection, hoisted(c, node.key, calls=True), options, before), None
    document = _resolved(c, hoisted(c, node.document, calls=True))
    key = document if node.key is None else hoisted(c, node.key, calls=True)
    target = target_of(c, collection, key, options, before)
    return target, change_of(c, node, document, options, edge=c.table(collection).edge, many=bool(loops(before)))


def _resolved(c: Compilation, node: ast.Expr) -> ast.Expr:
    """Return the expression that a variable of LET stands for, if its variables mean the same here."""
    while isinstance(node, ast.Variable):
        var = c.scope.find(node.name)
        if not isinstance(var, AliasVar) or var.scope is not c.scope:
            break
        node = var.expression
    return node


def mentioned_in(statements: tuple[ast.Statement, ...]) -> frozenset[str]:
    """Return the variables that statements name."""
    return frozenset(below.name for one in statements for below in ast.walk(one) if isinstance(below, ast.Variable))


def _end_rows(
    c: Compilation, collection: str, target: WrittenTarget, after: tuple[ast.Statement, ...]
) -> tuple[Block, ColumnRemapping]:
    """End the block of the chosen rows, and begin the one of what follows. Return that block, and its columns that are
    needed afterwards.
    """
    inner, c.block = c.block, Block()
    inner.order = [replace(key, loose=key.loose and not after) for key in inner.order]
    kept = ColumnRemapping("s")
    if mentioned_in(after) - _VERSIONS:
        for var in inner.owned:
            var.remap(kept)
        c.block.owned += inner.owned
    prefix = target.var.prefix
    c.block.items.append(FromItem(lambda: "chosen s"))
    c.block.order, c.block.sorted_by = [OrderKey("s.place", descending=False, guarded=False)], "place"
    c.bind("OLD", DocumentVar("s.key", "s.old_doc", "s.old_raw", prefix, collection))
    c.bind("NEW", DocumentVar("s.key", "s.doc", "s.raw", prefix, collection))
    return inner, kept


def returned_rows(c: Compilation, after: tuple[ast.Statement, ...]) -> tuple[str | None, list[str], Finish | None]:
    """Compile the statements after the modification: the SELECT of what is returned, its columns, and the rest."""
    if not after:
        return None, [], None
    for one in after[:-1]:
        c.statement(one)
    final = after[-1]
    if not isinstance(final, ast.Return):
        raise NotCompilable(type(final).__name__.upper())
    columns = OutputColumns()
    expression = c.output(hoisted(c, final.value, calls=True), columns)
    block = c.block
    block.distinct = final.distinct
    guarded = [number for number, key in enumerate(block.order) if key.guarded and block.sorted_by == "sort"]
    selected = [as_text(sql, column.kind) for sql, column in zip(columns.sql, columns.columns, strict=True)]
    named = ["true AS found", *(f"{sql} AS c{number}" for number, sql in enumerate(selected))]
    inner = block.select(named)
    returned = ["found", *(f"c{number}" for number in range(len(selected)))]
    outer = [*(f"o.{name}" for name in returned), *(f"(o.k{number}).r AS r{number}" for number in guarded)]
    returned += [f"r{number}" for number in guarded]
    finish = Finish(tuple(columns.columns), expression, final.distinct, len(guarded))
    return f"SELECT {', '.join(outer)} FROM ({inner}) o", returned, finish
