"""The cache of compiled queries: kept with a query's tree, and found by what the statement depends on.

A statement depends on the tables, the kinds of all bind variables (`sql_terms.kind_of`), and the values of those that
were read while it was compiled (`sql_terms.Binds` records them). The values of the others are parameters, computed for
each run. A statement that depends on the moment (DATE_NOW) is not kept. At most `_MAX_OUTCOMES` are kept for a query;
they live as long as its tree.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from proxy.aql import ast
from proxy.aql.analyse import analyse
from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.plan import ComparedStatement, Compiled, CompiledTables, NotCompiled
from proxy.aql.compile.query import Template, compile_whole
from proxy.aql.sql_terms import NotCompilable, kind_of, with_binds
from proxy.base.errors import ArangoError, Unsupported
from proxy.model import json_values as values

_MAX_OUTCOMES: Final = 8  # outcomes of one query
Outcome: TypeAlias = Template | NotCompiled


@dataclass(frozen=True, slots=True)
class CachedOutcome:
    """An outcome, and the bind variables and values for which it holds."""

    names: tuple[str, ...]
    values: tuple[Hashable, ...]
    outcome: Outcome


class _CachedOutcomes(dict[Hashable, list[CachedOutcome]]):
    """Outcomes of one query, by tables and kinds of its bind variables."""


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
    known = query.memo.get("plans")
    if not isinstance(known, _CachedOutcomes):
        known = query.memo["plans"] = _CachedOutcomes()
    identity = (
        catalog.icu,
        tuple(sorted(catalog.tables.items(), key=lambda item: item[0])),
        tuple((name, kind_of(value)) for name, value in sorted(binds.items())),
    )
    for kept in known.get(identity, ()):
        if kept.values == tuple(_hashable(binds[name]) for name in kept.names):
            return _with_binds(kept.outcome, binds)
    outcome, seen = _compiled(query, binds, catalog)
    if seen is not None:
        if sum(map(len, known.values())) >= _MAX_OUTCOMES:
            known.clear()
        names = tuple(sorted(seen))
        known.setdefault(identity, []).append(
            CachedOutcome(names, tuple(_hashable(binds[name]) for name in names), outcome)
        )
    return _with_binds(outcome, binds)


def _compiled(query: ast.Query, binds: Mapping[str, Any], catalog: CompiledTables) -> tuple[Outcome, set[str] | None]:
    """Return the outcome, and the bind variables whose values it depends on; None if it must not be kept."""
    compilation = Compilation(binds, catalog)
    outcome: Outcome
    try:
        outcome = compile_whole(compilation, query)
    except NotCompilable as reason:
        outcome = NotCompiled(str(reason))
    except (ArangoError, Unsupported) as error:
        outcome = NotCompiled(f"{error}")
    except RecursionError:
        return NotCompiled("too much nesting"), None
    return outcome, None if compilation.momentary else compilation.binds.seen


def _with_binds(outcome: Outcome, binds: Mapping[str, Any]) -> Compiled | NotCompiled:
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
        parameters=_values(made.parameters, binds),
        collections=made.collections,
        finish=made.finish,
        order=made.order,
        compared=compared,
        most=with_binds(outcome.most, binds),
        pushed=made.pushed,
        finished=made.finished,
        listings=made.listings,
    )


def _values(parameters: tuple[object, ...], binds: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple([with_binds(value, binds) for value in parameters])


def _hashable(value: Any) -> Hashable:
    """Return what distinguishes values of one kind."""
    return value if value.__class__ is str else values.dump(value)
