"""Which filters narrow the fetch of a FOR over a collection, so that a store need not deliver all of it.

`FILTER d.path == value` directly after the FOR becomes an equality, if the value does not depend on d or a later
variable. On _key and _id, the same, IN, and an OR of such conditions on one of the two become keys. Only strings, bools
and numbers are pushed: a missing attribute equals null, and containment of arrays is not equality. The filters are
applied again, so a superset is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.aql import ast
from proxy.aql.analyse import path_of
from proxy.aql.compiled_types import Frame, Plain, Stepwise
from proxy.aql.requests import Fetch, Path
from proxy.aql.signatures import NOT_PUSHED
from proxy.aql.trees import conjuncts
from proxy.aql.values import Value

_SYSTEM = frozenset({"_key", "_id", "_rev"})
_KEYS: Final = (("_key",), ("_id",))


@dataclass(frozen=True, slots=True)
class Condition:
    """One pushed condition: `path op value`, op being == or IN."""

    path: Path
    op: str
    value: Plain


def conditions(
    variable: str,
    statements: tuple[ast.Statement, ...],
    known: set[str],
    compile_value: Callable[[ast.Expr], Plain | Stepwise],
) -> list[Condition]:
    """Return the conditions of the FILTERs that directly follow the FOR of `variable`; LETs may be between them.

    known: the variables that are bound before the FOR.
    """
    found: list[Condition] = []
    for statement in statements:
        if isinstance(statement, ast.Let):
            if any(isinstance(node, ast.Modification) for node in ast.walk(statement)):
                break  # it writes for every row that comes before the FILTER
            continue
        if not isinstance(statement, ast.Filter):
            break
        for part in conjuncts(statement.condition):
            if isinstance(part, ast.Logical):
                one = _either([_condition(variable, operand, known, compile_value) for operand in part.operands])
            else:
                one = _condition(variable, part, known, compile_value)
            if one is not None:
                found.append(one)
    return found


def _condition(
    variable: str, part: ast.Expr, known: set[str], compile_value: Callable[[ast.Expr], Plain | Stepwise]
) -> Condition | None:
    """Return the condition that one comparison pushes; None if it pushes none."""
    if not isinstance(part, ast.Binary) or part.op not in ("==", "IN"):
        return None
    sides = [(part.left, part.right)]
    if part.op == "==":
        sides.append((part.right, part.left))
    for attribute, value in sides:
        path = path_of(attribute)
        if path is None or path[0] != variable or not path[1] or not _independent(value, known):
            continue
        if part.op == "IN" and path[1] not in _KEYS:
            continue
        compiled = compile_value(value)
        return None if isinstance(compiled, Stepwise) else Condition(path[1], part.op, compiled)
    return None


def _either(operands: list[Condition | None]) -> Condition | None:
    """Return the condition on the keys of all operands of an OR; None if one operand is another condition."""
    wanted = [operand for operand in operands if operand is not None]
    path = wanted[0].path if wanted else ()
    if len(wanted) < len(operands) or path not in _KEYS or any(operand.path != path for operand in wanted):
        return None

    def keys(frame: Frame) -> Value:
        found: list[Value] = []
        for operand in wanted:
            value = operand.value(frame)
            found += [value] if operand.op == "==" else value if value.__class__ is list else []
        return found

    return Condition(path, "IN", keys)


def _independent(node: ast.Expr, known: set[str]) -> bool:
    for below in ast.walk(node):
        if isinstance(below, (ast.Subquery, ast.Collection, ast.Expansion, ast.ArrayTest, ast.Range)):
            return False
        if isinstance(below, ast.Parameter) and below.source:
            return False
        if isinstance(below, ast.Variable) and below.name not in known:
            return False
        if isinstance(below, ast.Call) and (below.name in NOT_PUSHED or "::" in below.name):
            return False
    return True


def narrowed(collection: str, pushed: list[Condition], frame: Frame) -> Fetch:
    """Return the fetch for one frame."""
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
