"""What compiling a query came to, kept with its tree, and found by what the statement depends on.

A statement depends on the tables, the kinds of all bind variables (`sql_terms.kind_of`), and the values of those that
were read while it was compiled (`sql_terms.Binds` records them). The values of the others are parameters, computed for
each run. A statement that depends on the moment (DATE_NOW) is not kept. At most `_MAX_OUTCOMES` are kept for a query;
they live as long as its tree.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from proxy.aql import ast
from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.plan import CompiledTables, NotCompiled
from proxy.aql.sql_terms import NotCompilable, kind_of
from proxy.base.errors import ArangoError, Unsupported
from proxy.model import json_values as values

_MAX_OUTCOMES: Final = 8  # outcomes of one query
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CachedOutcome(Generic[T]):
    """An outcome, and the bind variables and values for which it holds."""

    names: tuple[str, ...]
    values: tuple[Hashable, ...]
    outcome: T | NotCompiled


class _CachedOutcomes(dict[Hashable, list[CachedOutcome[Any]]]):
    """Outcomes of one query, by tables and kinds of its bind variables."""


def outcome_of(
    kind: str,
    query: ast.Query,
    binds: Mapping[str, Any],
    catalog: CompiledTables,
    compiler: Callable[[Compilation, ast.Query], T],
) -> T | NotCompiled:
    """Return what a compiler makes of a query, perhaps from an earlier call. kind: of the compiler."""
    known = query.memo.get(kind)
    if not isinstance(known, _CachedOutcomes):
        known = query.memo[kind] = _CachedOutcomes()
    identity = (
        catalog.icu,
        tuple(sorted(catalog.tables.items(), key=lambda item: item[0])),
        tuple((name, kind_of(value)) for name, value in sorted(binds.items())),
    )
    for kept in known.get(identity, ()):
        if kept.values == tuple(_hashable(binds[name]) for name in kept.names):
            found: T | NotCompiled = kept.outcome
            return found
    outcome, seen = _compiled(query, binds, catalog, compiler)
    if seen is not None:
        if sum(map(len, known.values())) >= _MAX_OUTCOMES:
            known.clear()
        names = tuple(sorted(seen))
        known.setdefault(identity, []).append(
            CachedOutcome(names, tuple(_hashable(binds[name]) for name in names), outcome)
        )
    return outcome


def _compiled(
    query: ast.Query,
    binds: Mapping[str, Any],
    catalog: CompiledTables,
    compiler: Callable[[Compilation, ast.Query], T],
) -> tuple[T | NotCompiled, set[str] | None]:
    """Return the outcome, and the bind variables whose values it depends on; None if it must not be kept."""
    compilation = Compilation(binds, catalog)
    outcome: T | NotCompiled
    try:
        outcome = compiler(compilation, query)
    except NotCompilable as reason:
        outcome = NotCompiled(str(reason))
    except (ArangoError, Unsupported) as error:
        outcome = NotCompiled(f"{error}")
    except RecursionError:
        return NotCompiled("too much nesting"), None
    return outcome, None if compilation.momentary else compilation.binds.seen


def _hashable(value: Any) -> Hashable:
    """Return what distinguishes values of one kind."""
    return value if value.__class__ is str else values.dump(value)
