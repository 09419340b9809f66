"""SORT and LIMIT."""

from __future__ import annotations

from dataclasses import replace

from proxy.aql import ast
from proxy.aql.compile.blocks import wrap_limited
from proxy.aql.compile.compilation import Compilation, statement_of
from proxy.aql.compile.scope import DocumentVar, OrderKey
from proxy.aql.compile.subqueries import hoisted
from proxy.aql.sql_terms import BoundTerm, ConstantTerm, Deferred, NotCompilable, Term


@statement_of(ast.Sort)
def sort(c: Compilation, node: ast.Sort) -> None:
    """Compile SORT, which replaces any earlier order."""
    wrap_limited(c)
    before, c.block.limited = (c.block.order, c.block.sorted_by), None
    c.block.order, c.block.sorted_by = [], "sort"
    for key in node.keys:
        descending = _descending(c, key.direction)
        term = c.term(hoisted(c, key.value))
        if isinstance(term, ConstantTerm):
            continue
        if c.by_key:  # in the order of bytes, which is that of the column
            c.block.order.append(OrderKey(term.sql, descending, guarded=False))
        else:
            c.block.order.append(_order_key(c, term, descending=descending))
    if not c.block.order:
        c.block.order, c.block.sorted_by = before  # by constants only
        return
    _record_order(c)
    if c.stable_sorts:
        c.block.order += [replace(key, loose=False) for key in before[0]]


def _record_order(c: Compilation) -> None:
    """Record which index would give the order, if the rows are those of one collection."""
    documents = [var for var in c.block.owned if isinstance(var, DocumentVar) and var.doc in c.scans]
    keys = c.block.order
    if len(c.block.items) != 1 or len(documents) != 1 or not keys:
        return
    doc = documents[0].doc
    alias = doc.partition(".")[0] + "."
    if any(alias not in key.sql or "\x01" in key.sql or "(SELECT" in key.sql for key in keys):
        return
    mixed = len({key.descending for key in keys}) > 1
    c.scans[doc].order = tuple(
        key.sql.replace(alias, "") + (" DESC" if mixed and key.descending else "") for key in keys
    )


def _order_key(c: Compilation, term: Term, *, descending: bool) -> OrderKey:
    """Compile a term to a key of ORDER BY."""
    if term.kind in ("int", "bool"):
        return OrderKey(term.sql, descending, guarded=False)
    if not c.catalog.icu and term.kind != "number":
        raise NotCompilable("order of strings without ICU")
    return OrderKey(c.sort_key(term), descending, not term.scalar)


def _descending(c: Compilation, direction: str | ast.Expr) -> bool:
    """Return True for DESC, or a constant that means it."""
    if isinstance(direction, str):
        return direction == "DESC"
    if c.is_constant(direction):
        value = c.folded(direction).value
        if isinstance(value, str) and value.upper() in ("ASC", "DESC"):
            return value.upper() == "DESC"
        if isinstance(value, bool | int | float):
            return not value
    raise NotCompilable("a direction of SORT")


@statement_of(ast.Limit)
def limit(c: Compilation, node: ast.Limit) -> None:
    """Compile LIMIT offset, count. A count of null is 0, but after an offset it means the rest."""
    wrap_limited(c)
    offset = 0 if node.offset is None else _limit_number(c, node.offset)
    count = _limit_number(c, node.count)
    if count is None and node.offset is None:
        count = 0
    if count is not None:
        c.block.limit += f" LIMIT {c.parameters.add(count, 'bigint')}"
    if offset:
        c.block.limit += f" OFFSET {c.parameters.add(offset, 'bigint')}"
    if not c.block.limit:
        c.block.limit = " OFFSET 0"
    c.block.bounds = (offset or 0, count)


def _limit_number(c: Compilation, node: ast.Expr) -> int | Deferred | None:
    """Return a number of LIMIT, None for null; a bind variable's is computed for each run."""
    if not c.is_constant(node):
        raise NotCompilable("a LIMIT that is not constant")
    term = c.term(node)
    if isinstance(term, BoundTerm) and term.kind == "count":
        name = term.name
        return Deferred(lambda binds: binds[name], ("limit", name))
    assert isinstance(term, ConstantTerm)
    value = term.value
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 62:
        raise NotCompilable("a LIMIT out of range")
    return int(value)
