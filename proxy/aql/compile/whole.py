"""A whole query as one statement: the top level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.aql import ast
from proxy.aql.analyse import analyse
from proxy.aql.compile.collect import CollectCompiler
from proxy.aql.compile.finish import Finish
from proxy.aql.compile.output import Sink
from proxy.aql.compile.plan import Compared, Compiled, Listing, NotCompiled, Tables
from proxy.aql.compile.scope import Block
from proxy.aql.compile.terms import Refused
from proxy.errors import ArangoError, Unsupported


def compile_query(query: ast.Query, bind_vars: Mapping[str, Any] | None, catalog: Tables) -> Compiled | NotCompiled:
    """The query as one statement, or why not. Raises ArangoError as `analyse` does."""
    analysis = analyse(query, bind_vars)
    if analysis.modifies:
        return NotCompiled("modification")
    if analysis.unsupported:
        return NotCompiled(analysis.unsupported[0])
    try:
        return _Whole(bind_vars or {}, catalog).query(query)
    except Refused as reason:
        return NotCompiled(str(reason))
    except (ArangoError, Unsupported) as error:
        return NotCompiled(f"{error}")
    except RecursionError:
        return NotCompiled("too much nesting")


class _Whole(CollectCompiler):
    def query(self, query: ast.Query) -> Compiled:
        final = self.statements(query)
        sink = Sink()
        expression = self.output(final.value, sink)
        block = self.block
        guarded = [number for number, key in enumerate(block.order) if key.guarded and block.sorted_by == "sort"]
        finish = Finish(tuple(sink.columns), expression, final.distinct, len(guarded))
        columns = [_text(sql, column.kind) for sql, column in zip(sink.sql, sink.columns, strict=True)]
        named = [f"{sql} AS c{number}" for number, sql in enumerate(columns)]
        outer = ["true AS found", *(f"q.c{number}" for number in range(len(named)))]
        outer += [f"(q.k{number}).r AS r{number}" for number in guarded]
        sql = f"SELECT {', '.join(outer)} FROM ({block.select(named or ['1 AS one'])}) q"
        text, parameters = self.parameters.numbered(sql)
        compared = None
        order = "" if final.distinct else _order(query.statements)
        if order == "sort" and not block.order:
            order = ""  # by constants alone
        if order == "sort" and block.sorted_by == "sort" and _comparable(query.statements):
            compared = self.compared(block, named, outer)
        return Compiled(
            sql=text,
            parameters=parameters,
            collections=frozenset(self.used),
            finish=finish,
            most=_most(block),
            dynamic=self.dynamic,
            order=order,
            compared=compared,
            pushed=_words(query),
            finished=("RETURN",) if not finish.plain else (),
            listings=tuple(
                Listing(scan.collection, (*scan.equal, *scan.order)) for scan in self.scans.values() if scan.order
            ),
        )

    def compared(self, block: Block, named: list[str], outer: list[str]) -> Compared:
        """The same with the whole of the runs of equal sort keys that LIMIT cuts: n is a row's number, run its run."""
        cut, place = (block, "q") if block.limited is None else block.limited
        offset, count = cut.bounds or (0, None)
        first = self.parameters.add(offset + 1, "bigint")
        last = self.parameters.add((1 << 62) if count is None else offset + count, "bigint")
        cut.ties = (first, last)
        columns = named or ["1 AS one"]
        if cut is not block:
            columns = [*columns, f"{place}.n AS n", f"{place}.run AS run"]
        sql = f"SELECT {', '.join([*outer, 'q.n AS n', 'q.run AS run'])} FROM ({block.select(columns)}) q ORDER BY q.n"
        cut.ties = None
        text, parameters = self.parameters.numbered(sql)
        return Compared(text, parameters, offset, count)


def _most(block: Block) -> int | None:
    """How many rows it gives at most."""
    if not block.items:
        return 1
    bounds = block.bounds if block.limited is None else block.limited[0].bounds
    return None if bounds is None else bounds[1]


def _text(sql: str, kind: str) -> str:
    return f"({sql})::text" if kind in ("raw", "json", "rows") else sql


def _order(statements: tuple[ast.Statement, ...]) -> str:
    """What decides the order of the result, as the evaluator sees it: "sort", "collect" or nothing."""
    for statement in reversed(statements[:-1]):
        if isinstance(statement, ast.Sort):
            return "sort"
        if isinstance(statement, ast.Collect):
            return "collect"
        if not isinstance(statement, (ast.Limit, ast.Let, ast.Filter)):
            return ""
    return ""


def _comparable(statements: tuple[ast.Statement, ...]) -> bool:
    """Whether behind the SORT there is nothing but one LIMIT and LETs: then its runs are those of the result."""
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


def _words(query: ast.Query) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for node in ast.walk(query):
        if isinstance(node, (ast.For, ast.Filter, ast.Sort, ast.Limit, ast.Collect)):
            found[type(node).__name__.upper()] = None
        elif isinstance(node, ast.Subquery):
            found["subquery"] = None
    return tuple(found)
