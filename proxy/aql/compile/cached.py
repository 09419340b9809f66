"""Queries that were compiled before: kept with the query's tree, found again by what their statements depend on.

That is the tables, the kinds of all bind variables (`terms.kind_of`) and the values of those that were looked at while
the statement was built (`terms.Binds` notes them); the values of the others are parameters, worked out for each run.
Nothing is kept that depends on the moment (DATE_NOW). How much is kept is bounded: `_MOST` a query, and queries are
kept by whoever keeps their trees.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from proxy.aql import ast
from proxy.aql.analyse import analyse
from proxy.aql.compile.plan import Compared, Compiled, NotCompiled, Tables
from proxy.aql.compile.query import QueryCompiler, Template
from proxy.aql.compile.sql_terms import NotCompilable, kind_of, settled
from proxy.base.errors import ArangoError, Unsupported
from proxy.model import json_values as values

_MOST: Final = 8  # outcomes of one query
Outcome: TypeAlias = Template | NotCompiled


@dataclass(frozen=True, slots=True)
class Kept:
    """An outcome, and of which values of which bind variables it is that of."""

    names: tuple[str, ...]
    values: tuple[Hashable, ...]
    outcome: Outcome


class _Known(dict[Hashable, list[Kept]]):
    """Outcomes of one query, by tables and kinds of its bind variables."""


def compile_query(query: ast.Query, bind_vars: Mapping[str, Any] | None, catalog: Tables) -> Compiled | NotCompiled:
    """The query as one statement, or why not. Raises ArangoError as `analyse` does."""
    analysis = analyse(query, bind_vars)
    if analysis.modifies:
        return NotCompiled("modification")
    if analysis.unsupported:
        return NotCompiled(analysis.unsupported[0])
    if query.warnings:
        return NotCompiled(query.warnings[0][1])
    binds = bind_vars or {}
    known = query.memo.get("plans")
    if not isinstance(known, _Known):
        known = query.memo["plans"] = _Known()
    identity = (
        catalog.icu,
        tuple(sorted(catalog.tables.items(), key=lambda item: item[0])),
        tuple((name, kind_of(value)) for name, value in sorted(binds.items())),
    )
    for kept in known.get(identity, ()):
        if kept.values == tuple(_hashable(binds[name]) for name in kept.names):
            return _settled(kept.outcome, binds)
    outcome, seen = _made(query, binds, catalog)
    if seen is not None:
        if sum(map(len, known.values())) >= _MOST:
            known.clear()
        names = tuple(sorted(seen))
        known.setdefault(identity, []).append(Kept(names, tuple(_hashable(binds[name]) for name in names), outcome))
    return _settled(outcome, binds)


def kept_of(query: ast.Query) -> list[Kept]:
    """The outcomes that are kept of a query."""
    known = query.memo.get("plans")
    return [kept for group in known.values() for kept in group] if isinstance(known, _Known) else []


def _made(query: ast.Query, binds: Mapping[str, Any], catalog: Tables) -> tuple[Outcome, set[str] | None]:
    """The outcome, and the bind variables whose values it depends on; None where it must not be kept."""
    whole = QueryCompiler(binds, catalog)
    outcome: Outcome
    try:
        outcome = whole.query(query)
    except NotCompilable as reason:
        outcome = NotCompiled(str(reason))
    except (ArangoError, Unsupported) as error:
        outcome = NotCompiled(f"{error}")
    except RecursionError:
        return NotCompiled("too much nesting"), None
    return outcome, None if whole.fleeting else whole.binds.seen


def _settled(outcome: Outcome, binds: Mapping[str, Any]) -> Compiled | NotCompiled:
    """The outcome with the values of one run."""
    if isinstance(outcome, NotCompiled):
        return outcome
    made, form = outcome.compiled, outcome.compared
    compared = None
    if form is not None:
        compared = Compared(form.sql, form.given, settled(outcome.offset, binds), settled(outcome.count, binds), binds)
    return Compiled(  # by name, which `replace` would take three times as long for
        sql=made.sql,
        parameters=_values(made.parameters, binds),
        collections=made.collections,
        finish=made.finish,
        dynamic=made.dynamic,
        order=made.order,
        compared=compared,
        most=settled(outcome.most, binds),
        pushed=made.pushed,
        finished=made.finished,
        listings=made.listings,
    )


def _values(parameters: tuple[object, ...], binds: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple([settled(value, binds) for value in parameters])


def _hashable(value: Any) -> Hashable:
    """Values of one kind by what tells them apart."""
    return value if value.__class__ is str else values.dump(value)
