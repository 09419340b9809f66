"""The new version of a target: SQL over a row `q` with its key, text, jsonb, new revision and the texts of values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from proxy.aql import ast
from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.writes.printed import Printed, attributes, json_name, members, printed
from proxy.aql.requests import WriteOptions
from proxy.aql.sql_terms import ConstantTerm, NotCompilable

_SYSTEM = ("_key", "_id", "_rev")
_ENDS = ("_from", "_to")


@dataclass(frozen=True, slots=True)
class NewVersionSql:
    """columns: SQL of the texts that a row has as p0, p1, …. raw: the new text. doc: the new jsonb; None: of raw."""

    columns: tuple[str, ...]
    raw: str
    doc: str | None


def change_of(
    c: Compilation, node: ast.UpdateOrReplace, document: ast.Expr, options: WriteOptions, *, edge: bool
) -> NewVersionSql:
    """Return the change of UPDATE and REPLACE. document: the object that it is given. Raise NotCompilable."""
    if edge and node.kind == "REPLACE":
        raise NotCompilable("REPLACE of an edge")
    values = {name: value for name, value in _values(c, document).items() if name not in _SYSTEM}
    if edge and any(name in values for name in _ENDS):
        raise NotCompilable("a change of the ends of an edge")
    values = {name: value for name, value in values.items() if name not in _ENDS}
    columns = tuple(value.sql for value in values.values())
    named = {name: replace(value, sql=f"q.p{number}") for number, (name, value) in enumerate(values.items())}
    return NewVersionSql(columns, *(_replaced(c, named) if node.kind == "REPLACE" else _patched(c, named, options)))


def _values(c: Compilation, document: ast.Expr) -> dict[str, Printed]:
    """Return the attributes of an object: of a literal, or of a constant."""
    if c.is_constant(document):
        term = c.term(document)
        assert isinstance(term, ConstantTerm)
        value = term.value
        if not isinstance(value, dict):
            raise NotCompilable("a change that is not an object")
        return {name: printed(c, ast.Literal(item)) for name, item in value.items()}
    if isinstance(document, ast.Object):
        return attributes(c, document)
    raise NotCompilable("a change that is computed as a whole")


def _replaced(c: Compilation, values: dict[str, Printed]) -> tuple[str, None]:
    text = f"',' || {members(c, values)}" if values else "''"
    return f"_crossfade.replaced(q.raw, q.rev, {text})", None


def _patched(c: Compilation, values: dict[str, Printed], options: WriteOptions) -> tuple[str, str | None]:
    if not values:
        raise NotCompilable("a change of nothing")
    names = c.parameters.add(list(values), "text[]")
    marks = c.parameters.add([f"{json_name(name)}:" for name in values], "text[]")
    texts = ", ".join(value.sql for value in values.values())
    raw = f"_crossfade.patched(q.raw, q.doc, q.rev, {names}, {marks}, ARRAY[{texts}], "
    raw += f"{_flag(options.keep_null)}, {_flag(options.merge_objects)})"
    if options.keep_null and all(value.flat for value in values.values()):
        return raw, f"q.doc || ('{{' || {members(c, values)} || '}}')::jsonb"
    return raw, None


def _flag(value: Any) -> str:
    return "true" if value else "false"
