"""The registry of AQL's functions: one decorator declares all facts of a function beside its implementation.

    @function("SUBSTRING", arguments=(2, 3), linear=True)
    def substring(context: QueryContext, value: Value, offset: Value, *length: Value) -> Value: ...

An implementation takes the run's `QueryContext` and the evaluated arguments. The SQL form of a function, if it has
one, is declared beside it as well (`proxy.aql.functions.sql_calls`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from proxy.aql.values import Value

Implementation: TypeAlias = Callable[..., Value]
Arguments: TypeAlias = int | tuple[int, int | None]  # an exact number, or the least and the most (None: no limit)

REGISTRY: Final[dict[str, Function]] = {}


@dataclass(frozen=True, slots=True)
class Function:
    """One function of AQL.

    least, most: the number of arguments; most None: no limit. implementation: None if the pipeline evaluates it, or if
    it is not supported. random: the data alone does not determine its value. per_row: called for each row even if its
    arguments are constants; ArangoDB computes other calls of constants once, before the query runs. effect: it may end
    or delay the query, or warn, whatever its value is used for. session: its value depends on who runs the query and
    where. large: its value can be much larger than its arguments. fetches: it reads documents. takes_collection: an
    argument may be the name of a collection. linear: its time is proportional to the size of its arguments.
    order_free: the order of an array's elements does not change its value. supported: False for functions of search,
    geo, full-text and vector indexes, and of other subsystems, which are refused by name.
    """

    least: int
    most: int | None
    implementation: Implementation | None
    random: bool = False
    per_row: bool = False
    effect: bool = False
    session: bool = False
    large: bool = False
    fetches: bool = False
    takes_collection: bool = False
    linear: bool = False
    order_free: bool = False
    supported: bool = True


def function(*names: str, arguments: Arguments, **facts: bool) -> Callable[[Implementation], Implementation]:
    """Register an implementation under one or several names. facts: see `Function`."""

    def register(implementation: Implementation) -> Implementation:
        _add(names, arguments, implementation, facts)
        return implementation

    return register


def without_implementation(*names: str, arguments: Arguments, **facts: bool) -> None:
    """Register functions that are known by name and evaluated elsewhere, or nowhere. facts: see `Function`."""
    _add(names, arguments, None, facts)


def _add(
    names: tuple[str, ...], arguments: Arguments, implementation: Implementation | None, facts: dict[str, bool]
) -> None:
    least, most = (arguments, arguments) if isinstance(arguments, int) else arguments
    for name in names:
        REGISTRY[name] = Function(least, most, implementation, **facts)


def is_number(value: Any) -> bool:
    """Return True for a number; a bool is not one."""
    return value.__class__ is int or value.__class__ is float
