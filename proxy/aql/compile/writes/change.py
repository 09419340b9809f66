"""The new version of a target: SQL over a row `q` with its key, text, jsonb, new revision and the texts of values.

Where many documents are changed, the new text is made in steps of expressions that PostgreSQL inlines, each of which
adds columns to the row: the text with the new revision, t0, then with one more attribute, t1, t2, …
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from proxy.aql import ast
from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.writes.printed import Printed, attributes, json_name, members, printed
from proxy.aql.requests import WriteOptions
from proxy.aql.sql_terms import ConstantTerm, NotCompilable

_SYSTEM = ("_key", "_id", "_rev")
_ENDS = ("_from", "_to")
_STEPS: Final = 4  # attributes that are changed in steps; each takes time to plan
_REVISION_PLACE: Final = {False: 12, True: 20}  # of an edge: the number of `_rev` among the parts between quotes


@dataclass(frozen=True, slots=True)
class NewVersionSql:
    """columns: SQL of what a row has as p0, p1, …. steps: what is added to it, in order: SQL by the name of the column.
    raw: the new text, doc: the new jsonb, both over the last step.
    """

    columns: tuple[str, ...]
    steps: tuple[dict[str, str], ...]
    raw: str
    doc: str


def change_of(
    c: Compilation, node: ast.UpdateOrReplace, document: ast.Expr, options: WriteOptions, *, edge: bool, many: bool
) -> NewVersionSql:
    """Return the change of UPDATE and REPLACE. document: the object that it is given. many: it may change more than one
    document. Raise NotCompilable.
    """
    if edge and node.kind == "REPLACE":
        raise NotCompilable("REPLACE of an edge")
    values = {name: value for name, value in _values(c, document).items() if name not in _SYSTEM}
    if edge and any(name in values for name in _ENDS):
        raise NotCompilable("a change of the ends of an edge")
    values = {name: value for name, value in values.items() if name not in _ENDS}
    columns = tuple(value.number or value.sql for value in values.values())
    texts = {
        f"v{number}": f"_crossfade.printed_column(q.p{number})"
        for number, value in enumerate(values.values())
        if value.number is not None
    }
    named = {
        name: replace(value, sql=f"q.p{number}" if value.number is None else f"q.v{number}")
        for number, (name, value) in enumerate(values.items())
    }
    if node.kind == "REPLACE":
        return _replaced(c, columns, texts, named)
    if not values:
        raise NotCompilable("a change of nothing")
    raw = _patched(c, named, options)
    if not many or len(values) > _STEPS:
        made = NewVersionSql(columns, (texts,), raw, "")
    else:
        made = _in_steps(c, NewVersionSql(columns, (texts,), raw, ""), named, options, _REVISION_PLACE[edge])
    if options.keep_null and all(value.flat for value in values.values()):
        return replace(made, doc=_changed_doc(c, named))
    steps = (*made.steps, {"made": made.raw})
    doc = "_crossfade.queryable_unescaped(q.made)"
    if options.keep_null:
        objects = " OR ".join(f"starts_with({value.sql}, '{{')" for value in named.values() if not value.flat)
        doc = f"CASE WHEN {objects} THEN {doc} ELSE {_changed_doc(c, named)} END"
    return replace(made, steps=steps, raw="q.made", doc=doc)


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


def _replaced(
    c: Compilation, columns: tuple[str, ...], texts: dict[str, str], values: Mapping[str, Printed]
) -> NewVersionSql:
    if not values:
        return NewVersionSql(columns, (), "_crossfade.replaced(q.raw, q.rev, '')", "'{}'::jsonb")
    steps = (texts, {"members": members(c, values)})
    doc = "_crossfade.queryable_members(q.members)"
    return NewVersionSql(columns, steps, "_crossfade.replaced(q.raw, q.rev, ',' || q.members)", doc)


def _patched(c: Compilation, values: Mapping[str, Printed], options: WriteOptions) -> str:
    """Return SQL of the new text, whatever the change."""
    names = c.parameters.add(list(values), "text[]")
    marks = c.parameters.add([f"{json_name(name)}:" for name in values], "text[]")
    texts = ", ".join(value.sql for value in values.values())
    return f"_crossfade.patched(q.raw, q.doc, q.rev, {names}, {marks}, ARRAY[{texts}], {_flags(options)})"


def _in_steps(
    c: Compilation, change: NewVersionSql, values: Mapping[str, Printed], options: WriteOptions, place: int
) -> NewVersionSql:
    """Return the change with a new text that is made in steps, if they can do it."""
    begun = {"t0": f"_crossfade.with_revision(q.raw::text, q.rev, {place})"}
    for number, name in enumerate(values):
        begun[f"f{number}"] = f"_crossfade.former_text(q.raw, q.doc, {c.parameters.add(name, 'text')})"
    texts = list(_texts(c, values, options))
    later = [{f"t{number}": text} for number, text in enumerate(texts[:-1], 1)]
    raw = f"CASE WHEN octet_length(q.t0) = octet_length(q.raw::text) THEN {texts[-1]}::json END"
    steps = ({**change.steps[0], **begun}, *later)
    return replace(change, steps=steps, raw=f"coalesce({raw}, {change.raw})")


def _texts(c: Compilation, values: Mapping[str, Printed], options: WriteOptions) -> Iterator[str]:
    """Yield SQL of the text with one more attribute changed."""
    for number, (name, value) in enumerate(values.items()):
        mark = c.parameters.add(f"{json_name(name)}:", "text")
        yield f"_crossfade.with_member(q.t{number}, q.f{number}, {mark}, {value.sql}, {_flags(options)})"


def _changed_doc(c: Compilation, values: Mapping[str, Printed]) -> str:
    """Return SQL of the new jsonb, if values only take the places of others."""
    if len(values) > 1:
        return f"q.doc || ('{{' || {members(c, values)} || '}}')::jsonb"
    ((name, value),) = values.items()
    return f"jsonb_set(q.doc, {c.parameters.add([name], 'text[]')}, {value.sql}::jsonb)"


def _flags(options: WriteOptions) -> str:
    """Return the last arguments of the functions that change texts: keepNull and mergeObjects."""
    return ", ".join("true" if flag else "false" for flag in (options.keep_null, options.merge_objects))
