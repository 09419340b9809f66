"""Which filters narrow the fetch of a FOR over a collection, so that a store need not hand over all of it.

`FILTER d.path == value` directly under the FOR, where the value does not depend on d or anything later, becomes an
equality; the same on _key and _id, and IN, become keys. Only strings, bools and numbers are pushed: a missing
attribute equals null, and containment of arrays is not equality. What is pushed is filtered again, so a superset does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from proxy.aql import ast
from proxy.aql.analyse import path_of
from proxy.aql.compiled import Frame, Plain, Stepwise
from proxy.aql.requests import Fetch, Path
from proxy.aql.signatures import RANDOM
from proxy.aql.values import Value

_UNSAFE = RANDOM | {"ASSERT", "WARN", "FAIL", "SLEEP", "CALL", "APPLY", "RANGE", "REPEAT"}
_SYSTEM = frozenset({"_key", "_id", "_rev"})


@dataclass(frozen=True, slots=True)
class Condition:
    """One pushed condition: `path op value`, op being == or IN."""

    path: Path
    op: str
    value: Plain


def conjuncts(node: ast.Expr) -> Iterator[ast.Expr]:
    """The parts of a chain of AND."""
    if isinstance(node, ast.Logical) and node.op == "AND":
        for operand in node.operands:
            yield from conjuncts(operand)
    else:
        yield node


def conditions(
    variable: str,
    statements: tuple[ast.Statement, ...],
    known: set[str],
    compile_value: Callable[[ast.Expr], Plain | Stepwise],
) -> list[Condition]:
    """The conditions of the FILTERs that directly follow the FOR of `variable`; LETs between do no harm.

    known: the variables that are bound before the FOR.
    """
    found: list[Condition] = []
    for statement in statements:
        if isinstance(statement, ast.Let):
            continue
        if not isinstance(statement, ast.Filter):
            break
        for part in conjuncts(statement.condition):
            if not isinstance(part, ast.Binary) or part.op not in ("==", "IN"):
                continue
            sides = [(part.left, part.right)]
            if part.op == "==":
                sides.append((part.right, part.left))
            for attribute, value in sides:
                path = path_of(attribute)
                if path is None or path[0] != variable or not path[1] or not _independent(value, known):
                    continue
                if part.op == "IN" and path[1] not in (("_key",), ("_id",)):
                    continue
                compiled = compile_value(value)
                if not isinstance(compiled, Stepwise):
                    found.append(Condition(path[1], part.op, compiled))
                break
    return found


def _independent(node: ast.Expr, known: set[str]) -> bool:
    for below in ast.walk(node):
        if isinstance(below, (ast.Subquery, ast.Collection, ast.Expansion, ast.ArrayTest, ast.Range)):
            return False
        if isinstance(below, ast.Parameter) and below.source:
            return False
        if isinstance(below, ast.Variable) and below.name not in known:
            return False
        if isinstance(below, ast.Call) and (below.name in _UNSAFE or "::" in below.name):
            return False
    return True


def narrowed(collection: str, pushed: list[Condition], frame: Frame) -> Fetch:
    """The fetch for one row of what is bound before the FOR."""
    equalities: list[tuple[Path, Value]] = []
    keys: dict[str, None] | None = None
    for condition in pushed:
        value = condition.value(frame)
        if condition.path[0] in _SYSTEM:
            if condition.path[1:] or condition.path[0] == "_rev":
                continue
            wanted = _keys(collection, condition, value)
            keys = wanted if keys is None else {key: None for key in keys if key in wanted}
        elif value.__class__ in (str, bool, int, float):
            equalities.append((condition.path, value))
    return Fetch(collection, tuple(equalities), None if keys is None else tuple(keys))


def _keys(collection: str, condition: Condition, value: Value) -> dict[str, None]:
    values = [value] if condition.op == "==" else value if value.__class__ is list else []
    texts = [text for text in values if text.__class__ is str]
    if condition.path[0] == "_id":
        prefix = collection + "/"
        texts = [text[len(prefix) :] for text in texts if text.startswith(prefix)]
    return dict.fromkeys(texts)
