"""DOCUMENT(): a document by key or id, as a FROM item of the present block."""

from __future__ import annotations

from typing import Final

from proxy.aql import ast
from proxy.aql.compile.blocks import wrap_limited
from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.scope import DocumentVar, FromItem
from proxy.aql.sql_terms import AnyTerm, BoundTerm, ConstantTerm, NotCompilable, Term
from proxy.model.documents import valid_key

_MAX_COLLECTIONS: Final = 200  # that one lookup of a computed id searches


def lookup(c: Compilation, node: ast.Call) -> DocumentVar:
    """Compile DOCUMENT(id) and DOCUMENT(collection, id)."""
    wrap_limited(c)
    collection = _named_collection(c, node.arguments[0]) if len(node.arguments) == 2 else None
    wanted = c.term(node.arguments[-1])
    if isinstance(wanted, BoundTerm) and wanted.kind == "text" and collection is not None:
        return looked_up(c, collection, Term(c.text(wanted), "text", scalar=True))
    if isinstance(wanted, ConstantTerm):
        collection, wanted = _constant_id(collection, wanted)
    return looked_up(c, collection, wanted)


def _named_collection(c: Compilation, node: ast.Expr) -> str:
    """Return the collection that the first of two arguments names."""
    collection = c.collection_name(node)
    if collection is not None:
        return collection
    term = c.term(node)
    if not isinstance(term, ConstantTerm) or not isinstance(term.value, str):
        raise NotCompilable("DOCUMENT of a collection that is computed")
    return term.value


def _constant_id(collection: str | None, wanted: ConstantTerm) -> tuple[str, ConstantTerm]:
    """Return the collection and the key of a constant id."""
    if not isinstance(wanted.value, str):
        raise NotCompilable("DOCUMENT of several")
    head, slash, key = wanted.value.partition("/")
    if slash and collection in (None, head):
        collection, wanted = head, ConstantTerm(key)
    elif slash or collection is None:
        raise NotCompilable("DOCUMENT of another collection")
    if not valid_key(wanted.value):
        raise NotCompilable("DOCUMENT of an invalid key")
    return collection, wanted


def looked_up(c: Compilation, collection: str | None, wanted: AnyTerm) -> DocumentVar:
    """Add the document of a key or id to the present block, once; its columns are NULL if there is none."""
    text = _id_text(c, wanted)
    identity = f"{collection} {text}"
    known = c.block.lookups.get(identity)
    if known is not None:
        return known
    alias = c.fresh("t")
    if collection is not None:
        source, prefix = _in_collection(c, collection, text, is_key=isinstance(wanted, ConstantTerm))
    else:
        source, prefix = _in_any_collection(c, text), f"{alias}.prefix"
    var = DocumentVar(f"{alias}.key", f"{alias}.doc", f"{alias}.raw", prefix, collection, nullable=True)
    c.block.items.append(FromItem(lambda: f"LATERAL ({source}) {alias}", left=True))
    c.block.owned.append(var)
    c.block.lookups[identity] = var
    return var


def _id_text(c: Compilation, wanted: AnyTerm) -> str:
    if isinstance(wanted, ConstantTerm):
        return c.text(wanted)
    if wanted.kind == "text":
        return wanted.sql
    value = c.json(wanted)  # an object names no document, whatever its _id
    return f"_crossfade.id_text(CASE jsonb_typeof({value}) WHEN 'object' THEN 'null' ELSE {value} END)"


def _in_collection(c: Compilation, collection: str, text: str, *, is_key: bool) -> tuple[str, str]:
    """Return the SELECT from one collection, and `collection/` as SQL. is_key: the text is not an id."""
    table = c.table(collection)
    prefix = c.parameters.add(f"{collection}/", "text")
    key = text
    if not is_key:
        size = c.parameters.add(len(collection) + 1, "integer")
        after = c.parameters.add(len(collection) + 2, "integer")
        key = f"CASE WHEN left({text}, {size}) = {prefix} THEN substr({text}, {after}) ELSE {text} END"
    return f"SELECT key, doc, raw FROM {table.relation} WHERE doc IS NOT NULL AND key = {key}", prefix


def _in_any_collection(c: Compilation, text: str) -> str:
    """Return the SELECT from the collection that an id names while the statement runs."""
    names = sorted(c.catalog.tables)
    if not names or len(names) > _MAX_COLLECTIONS:
        raise NotCompilable("DOCUMENT of a computed id over too many collections")
    prefixes = c.parameters.add(names, "text[]")
    whole = f"_crossfade.known({text}, {prefixes})"
    parts = []
    for name in names:
        prefix = c.parameters.add(f"{name}/", "text")
        table = c.table(name)
        parts.append(
            f"SELECT key, doc, raw, {prefix} AS prefix FROM {table.relation} WHERE doc IS NOT NULL "
            f"AND key = CASE WHEN w.id LIKE '%/%' AND split_part(w.id, '/', 1) || '/' = {prefix} "
            f"THEN substr(w.id, char_length({prefix}) + 1) END"
        )
    return f"SELECT u.* FROM (SELECT {whole} AS id OFFSET 0) w, LATERAL ({' UNION ALL '.join(parts)}) u"
