"""The cache of compiled queries that write, kept as those of queries that read (`proxy.aql.compile.outcomes`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proxy.aql import ast
from proxy.aql.analyse import analyse
from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.outcomes import outcome_of
from proxy.aql.compile.plan import CompiledTables, NotCompiled
from proxy.aql.compile.writes.batched_write import BatchedWrite, batched_write
from proxy.aql.compile.writes.compiled_write import CompiledWrite
from proxy.aql.compile.writes.inserting import compile_inserting
from proxy.aql.compile.writes.whole import compile_whole, place_of
from proxy.aql.sql_terms import with_binds


def compile_write(
    query: ast.Query, bind_vars: Mapping[str, Any] | None, catalog: CompiledTables
) -> CompiledWrite | BatchedWrite | NotCompiled:
    """Compile a query that writes to one statement, or return why it cannot be, and what is known of a query that
    writes in batches. Raise ArangoError as `analyse` does.
    """
    analysis = analyse(query, bind_vars)
    if analysis.unsupported:
        return NotCompiled(analysis.unsupported[0])
    if query.warnings:
        return NotCompiled(query.warnings[0][1])
    binds = bind_vars or {}
    outcome = outcome_of("writes", query, binds, catalog, _compiled)
    if isinstance(outcome, NotCompiled):
        return batched_write(query, binds, outcome.reason) or outcome
    if outcome.given is not None:
        return outcome
    return replace(outcome, parameters=tuple([with_binds(value, binds) for value in outcome.parameters]))


def _compiled(c: Compilation, query: ast.Query) -> CompiledWrite:
    """Compile a query to its statement. Raise NotCompilable, ArangoError, Unsupported."""
    place = place_of(query)
    if isinstance(query.statements[place], ast.Insert | ast.Upsert):
        return compile_inserting(c, query, place)
    return compile_whole(c, query)
