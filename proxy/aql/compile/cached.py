"""The entry point: a query that reads -> its statement, compiled now or earlier, with the values of this run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.aql import ast
from proxy.aql.analyse import analyse
from proxy.aql.compile.outcomes import outcome_of
from proxy.aql.compile.plan import ComparedStatement, Compiled, CompiledTables, NotCompiled
from proxy.aql.compile.query import Template, compile_whole
from proxy.aql.sql_terms import with_binds


def compile_query(
    query: ast.Query, bind_vars: Mapping[str, Any] | None, catalog: CompiledTables
) -> Compiled | NotCompiled:
    """Compile a query to one statement, or return why it cannot be. Raise ArangoError as `analyse` does."""
    analysis = analyse(query, bind_vars)
    if analysis.modifies:
        return NotCompiled("modification")
    if analysis.unsupported:
        return NotCompiled(analysis.unsupported[0])
    if query.warnings:
        return NotCompiled(query.warnings[0][1])
    binds = bind_vars or {}
    return _with_binds(outcome_of("plans", query, binds, catalog, compile_whole), binds)


def _with_binds(outcome: Template | NotCompiled, binds: Mapping[str, Any]) -> Compiled | NotCompiled:
    """Return the outcome with the values of one run."""
    if isinstance(outcome, NotCompiled):
        return outcome
    made, form = outcome.compiled, outcome.compared
    compared = None
    if form is not None:
        compared = ComparedStatement(
            form.sql, form.given, with_binds(outcome.offset, binds), with_binds(outcome.count, binds), binds
        )
    return Compiled(  # not by `replace`, which takes three times as long
        sql=made.sql,
        parameters=tuple([with_binds(value, binds) for value in made.parameters]),
        collections=made.collections,
        finish=made.finish,
        order=made.order,
        compared=compared,
        most=with_binds(outcome.most, binds),
        pushed=made.pushed,
        finished=made.finished,
        listings=made.listings,
    )
