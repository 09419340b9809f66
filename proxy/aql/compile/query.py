"""A whole query as one statement: the top level."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from proxy.aql import ast
from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.output_columns import OutputColumns
from proxy.aql.compile.plan import ComparedStatement, Compiled, Listing
from proxy.aql.compile.result_builder import Finish
from proxy.aql.compile.scope import Block
from proxy.aql.compile.subqueries import compile_level
from proxy.aql.sql_terms import Deferred, with_binds


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled query whose parameters and LIMIT may depend on the bind variables of each run (`Deferred`).

    compared, most: of `compiled`, for each run; offset, count: of `compared`.
    """

    compiled: Compiled
    compared: ComparedStatement | None
    most: int | Deferred | None
    offset: int | Deferred
    count: int | Deferred | None


def compile_whole(c: Compilation, query: ast.Query) -> Template:
    """Compile a query to its statement. Raise NotCompilable, ArangoError, Unsupported."""
    c.mentioned = frozenset(node.name for node in ast.walk(query) if isinstance(node, ast.Variable))
    final = compile_level(c, query)
    columns = OutputColumns()
    expression = c.output(final.value, columns)
    block = c.block
    block.distinct = final.distinct
    guarded = [number for number, key in enumerate(block.order) if key.guarded and block.sorted_by == "sort"]
    finish = Finish(tuple(columns.columns), expression, final.distinct, len(guarded))
    selected = [as_text(sql, column.kind) for sql, column in zip(columns.sql, columns.columns, strict=True)]
    named = [f"{sql} AS c{number}" for number, sql in enumerate(selected)]
    outer = ["true AS found", *(f"q.c{number}" for number in range(len(named)))]
    outer += [f"(q.k{number}).r AS r{number}" for number in guarded]
    sql = f"SELECT {', '.join(outer)} FROM ({block.select(named or ['1 AS one'])}) q"
    text, parameters = c.parameters.numbered(sql)
    order = "" if final.distinct else _order(query.statements)
    if order == "sort" and not block.order:
        order = ""  # by constants only
    compared: ComparedStatement | None = None
    bounds: tuple[int | Deferred, int | Deferred | None] = (0, None)
    if order == "sort" and block.sorted_by == "sort" and _comparable(query.statements):
        compared, bounds = _compared(c, block, named, outer)
    compiled = Compiled(
        sql=text,
        parameters=parameters,
        collections=frozenset(c.collections),
        finish=finish,
        order=order,
        pushed=words_of(query),
        finished=("RETURN",) if not finish.plain else (),
        listings=tuple(Listing(scan.collection, (*scan.equal, *scan.order)) for scan in c.scans.values() if scan.order),
    )
    return Template(compiled, compared, _max_rows(block), *bounds)


def _compared(
    c: Compilation, block: Block, named: list[str], outer: list[str]
) -> tuple[ComparedStatement, tuple[int | Deferred, int | Deferred | None]]:
    """Compile the statement with the whole runs of equal sort keys that LIMIT cuts.

    n: the number of a row; run: of its run's first row.
    """
    cut, place = (block, "q") if block.limited is None else block.limited
    offset, count = cut.bounds or (0, None)
    first = c.parameters.add(_sum(offset, 1), "bigint")
    last = c.parameters.add((1 << 62) if count is None else _sum(offset, count), "bigint")
    cut.ties = (first, last)
    columns = named or ["1 AS one"]
    if cut is not block:
        columns = [*columns, f"{place}.n AS n", f"{place}.run AS run"]
    sql = f"SELECT {', '.join([*outer, 'q.n AS n', 'q.run AS run'])} FROM ({block.select(columns)}) q ORDER BY q.n"
    cut.ties = None
    text, parameters = c.parameters.numbered(sql)
    return ComparedStatement(text, parameters, 0, None), (offset, count)


def _sum(one: int | Deferred, other: int | Deferred) -> int | Deferred:
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    return Deferred(
        lambda binds: with_binds(one, binds) + with_binds(other, binds), ("sum", _identity(one), _identity(other))
    )


def _identity(value: int | Deferred) -> Hashable:
    return value.identity if isinstance(value, Deferred) else value


def _max_rows(block: Block) -> int | Deferred | None:
    """Return the maximum number of rows; None if the query does not determine it."""
    if not block.items:
        return 1
    bounds = block.bounds if block.limited is None else block.limited[0].bounds
    return None if bounds is None else bounds[1]


def as_text(sql: str, kind: str) -> str:
    """Return a column in the form in which the result builder reads its kind."""
    return f"({sql})::text" if kind in ("raw", "json", "rows") else sql


def _order(statements: tuple[ast.Statement, ...]) -> str:
    """Return what decides the order of the result, by the rules of the evaluator: "sort", "collect" or ""."""
    for statement in reversed(statements[:-1]):
        if isinstance(statement, ast.Sort):
            return "sort"
        if isinstance(statement, ast.Collect):
            return "collect"
        if not isinstance(statement, (ast.Limit, ast.Let, ast.Filter)):
            return ""
    return ""


def _comparable(statements: tuple[ast.Statement, ...]) -> bool:
    """Return True if only one LIMIT and LETs follow the SORT: then its runs are those of the result."""
    limits = 0
    for statement in reversed(statements[:-1]):
        if isinstance(statement, ast.Sort):
            return True
        if isinstance(statement, ast.Limit):
            limits += 1
            if limits > 1:
                return False
        elif not isinstance(statement, ast.Let) and not (isinstance(statement, ast.Filter) and not limits):
            return False
    return False


def words_of(query: ast.Query) -> tuple[str, ...]:
    """Return what the statement does, in words."""
    found: dict[str, None] = {}
    for node in ast.walk(query):
        if isinstance(node, (ast.For, ast.Filter, ast.Sort, ast.Limit, ast.Collect, ast.Traversal)):
            found[type(node).__name__.upper()] = None
        elif isinstance(node, ast.Subquery):
            found["subquery"] = None
    return tuple(found)
