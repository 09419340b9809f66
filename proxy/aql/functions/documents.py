"""Objects: attributes, merging, keeping, translating, identifiers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.aql.functions.registry import function, is_number
from proxy.aql.functions.sql_calls import SqlCall, of_text, sql_form
from proxy.aql.printing import to_string
from proxy.aql.query_context import QueryContext
from proxy.aql.sql_terms import Term
from proxy.aql.values import Value, equal, order_key, truthy

Object = dict[str, Any]


def _object(context: QueryContext, name: str, value: Value) -> bool:
    if value.__class__ is dict:
        return True
    context.warn_invalid_argument(name)
    return False


@function("HAS", arguments=2, linear=True)
def has(_context: QueryContext, value: Value, name: Value) -> Value:
    """HAS(object, name): true for an attribute that is null"""
    return value.__class__ is dict and to_string(name) in value


@function("ATTRIBUTES", "KEYS", arguments=(1, 3), linear=True)
def attributes(context: QueryContext, value: Value, without_internal: Value = False, in_order: Value = False) -> Value:
    """ATTRIBUTES(object, removeInternal, sort)"""
    if not _object(context, "ATTRIBUTES", value):
        return None
    names = [name for name in value if not (truthy(without_internal) and name.startswith("_"))]
    return sorted(names, key=order_key) if truthy(in_order) else names


@function("VALUES", arguments=(1, 2), linear=True)
def values_of(context: QueryContext, value: Value, without_internal: Value = False) -> Value:
    """VALUES(object, removeInternal)"""
    if not _object(context, "VALUES", value):
        return None
    return [item for name, item in value.items() if not (truthy(without_internal) and name.startswith("_"))]


@function("ENTRIES", arguments=1)
def entries(context: QueryContext, value: Value) -> Value:
    """ENTRIES(object): pairs of name and value"""
    return [[name, item] for name, item in value.items()] if _object(context, "ENTRIES", value) else None


def _merge(context: QueryContext, name: str, values: tuple[Value, ...], *, deep: bool) -> Value:
    if len(values) == 1 and values[0].__class__ is list:
        values = tuple(values[0])
    merged: Object = {}
    for value in values:
        if not _object(context, name, value):
            return None
        merged = merge_deep(merged, value) if deep else merged | value
    return merged


def merge_deep(a: Object, b: Object) -> Object:
    """Merge b into a copy of a, objects inside objects as well; null overwrites."""
    merged = dict(a)
    for name, item in b.items():
        old = merged.get(name)
        merged[name] = merge_deep(old, item) if old.__class__ is dict and item.__class__ is dict else item
    return merged


@function("MERGE", arguments=(1, None), linear=True)
def merge(context: QueryContext, *values: Value) -> Value:
    """MERGE(a, b, …) or MERGE(array): shallow, the later wins; null for a value that is not an object"""
    return _merge(context, "MERGE", values, deep=False)


@function("MERGE_RECURSIVE", arguments=(1, None))
def merge_recursive(context: QueryContext, *values: Value) -> Value:
    """MERGE_RECURSIVE(a, b, …)"""
    return _merge(context, "MERGE_RECURSIVE", values, deep=True)


def _names(context: QueryContext, function_name: str, values: tuple[Value, ...]) -> set[str]:
    """Return the attributes that arguments name: texts, numbers, and arrays of texts; warn of other elements."""
    found: set[str] = set()
    for value in values:
        if value.__class__ is list:
            for name in value:
                if name.__class__ is str:
                    found.add(name)
                else:
                    context.warn_invalid_argument(function_name)
        elif value.__class__ in (str, int, float):
            found.add(to_string(value))
    return found


@function("UNSET", arguments=(2, None), linear=True)
def unset(context: QueryContext, value: Value, *names: Value) -> Value:
    """UNSET(object, names…): without these attributes"""
    if not _object(context, "UNSET", value):
        return None
    unwanted = _names(context, "UNSET", names)
    return {name: item for name, item in value.items() if name not in unwanted}


@function("KEEP", arguments=(2, None), linear=True)
def keep(context: QueryContext, value: Value, *names: Value) -> Value:
    """KEEP(object, names…): only these attributes"""
    if not _object(context, "KEEP", value):
        return None
    wanted = _names(context, "KEEP", names)
    return {name: item for name, item in value.items() if name in wanted}


def _unset_deep(value: Value, unwanted: set[str]) -> Value:
    if value.__class__ is not dict:
        return value
    return {name: _unset_deep(item, unwanted) for name, item in value.items() if name not in unwanted}


def _keep_deep(value: Value, wanted: set[str]) -> Value:
    if value.__class__ is not dict:
        return value
    return {name: _keep_deep(item, wanted) for name, item in value.items() if name in wanted}


@function("UNSET_RECURSIVE", arguments=(2, None))
def unset_recursive(context: QueryContext, value: Value, *names: Value) -> Value:
    """UNSET_RECURSIVE(object, names…): in objects inside objects too, not in arrays"""
    if not _object(context, "UNSET_RECURSIVE", value):
        return None
    return _unset_deep(value, _names(context, "UNSET_RECURSIVE", names))


@function("KEEP_RECURSIVE", arguments=(2, None))
def keep_recursive(context: QueryContext, value: Value, *names: Value) -> Value:
    """KEEP_RECURSIVE(object, names…)"""
    if not _object(context, "KEEP_RECURSIVE", value):
        return None
    return _keep_deep(value, _names(context, "KEEP_RECURSIVE", names))


@function("TRANSLATE", arguments=(2, 3))
def translate(context: QueryContext, value: Value, table: Value, *default: Value) -> Value:
    """TRANSLATE(value, table, default): the value itself if it is not in the table"""
    if not _object(context, "TRANSLATE", table):
        return None
    return table.get(to_string(value), default[0] if default else value)


@function("ZIP", arguments=2)
def zip_object(context: QueryContext, names: Value, values: Value) -> Value:
    """ZIP(names, values): of equal names the first wins"""
    if names.__class__ is not list or values.__class__ is not list or len(names) != len(values):
        context.warn_invalid_argument("ZIP")
        return None
    built: Object = {}
    for name, value in zip(names, values, strict=True):
        built.setdefault(to_string(name), value)
    return built


@function("VALUE", arguments=2)
def value_at(context: QueryContext, value: Value, path: Value) -> Value:
    """VALUE(object, path): the value at a path of names and indexes"""
    if value.__class__ is not dict or path.__class__ is not list:
        context.warn_invalid_argument("VALUE")
        return None
    found: Value = value
    for step in path:
        if step.__class__ is str:
            found = found.get(step) if found.__class__ is dict else None
        elif is_number(step):
            at = int(step)
            found = found[at] if found.__class__ is list and 0 <= at < len(found) else None
        if found is None:
            return None
    return found if path else None


@function("MATCHES", arguments=(2, 3))
def matches(context: QueryContext, value: Value, examples: Value, index: Value = False) -> Value:
    """MATCHES(object, example or examples, returnIndex): false if it is not an object, even with returnIndex"""
    if value.__class__ is not dict:
        return False
    wanted = examples if examples.__class__ is list else [examples]
    at = -1
    for number, example in enumerate(wanted):
        if example.__class__ is not dict:
            context.warn_invalid_argument("MATCHES")
            continue
        if all(equal(value.get(name), item) for name, item in example.items()):
            at = number
            break
    return at if truthy(index) else at >= 0


def identifier(value: Value) -> tuple[str, str] | None:
    """Return collection and key of `collection/key`, or of an object with such an _id."""
    if value.__class__ is dict:
        value = value.get("_id")
    if value.__class__ is not str:
        return None
    name, slash, key = value.partition("/")
    return (name, key) if slash and "/" not in key else None


def _part(context: QueryContext, name: str, value: Value) -> Iterator[tuple[str, str]]:
    found = identifier(value)
    if found is None:
        context.warn_invalid_argument(name)
    else:
        yield found


@function("PARSE_IDENTIFIER", arguments=1, linear=True)
def parse_identifier(context: QueryContext, value: Value) -> Value:
    """PARSE_IDENTIFIER(id or document)"""
    for name, key in _part(context, "PARSE_IDENTIFIER", value):
        return {"collection": name, "key": key}
    return None


@sql_form("PARSE_IDENTIFIER")
def parse_identifier_sql(call: SqlCall) -> Term:
    """Split an id; another value, which warns, is refused as it runs."""
    value = f"_crossfade.handle({call.json(0)})"
    parts = f"'collection', split_part({value}, '/', 1), 'key', split_part({value}, '/', 2)"
    return Term(f"jsonb_build_object({parts})")


@function("PARSE_COLLECTION", arguments=1)
def parse_collection(context: QueryContext, value: Value) -> Value:
    """PARSE_COLLECTION(id or document)"""
    return next((name for name, _ in _part(context, "PARSE_COLLECTION", value)), None)


@function("PARSE_KEY", arguments=1, linear=True)
def parse_key(context: QueryContext, value: Value) -> Value:
    """PARSE_KEY(id or document)"""
    return next((key for _, key in _part(context, "PARSE_KEY", value)), None)


@sql_form("PARSE_KEY", "PARSE_COLLECTION")
def parse_part_sql(call: SqlCall) -> Term:
    """Take a part of an id; another value, which warns, is refused as it runs."""
    part = 2 if call.name == "PARSE_KEY" else 1
    return of_text(f"split_part(_crossfade.handle({call.json(0)}), '/', {part})")


@function("IS_SAME_COLLECTION", arguments=2, takes_collection=True)
def is_same_collection(context: QueryContext, collection: Value, other: Value) -> Value:
    """IS_SAME_COLLECTION(collection, id or document)"""
    names: list[str] = []
    for value in (collection, other):
        text = value.get("_id") if value.__class__ is dict else value
        name = text.partition("/")[0] if text.__class__ is str else ""
        if name:
            names.append(name)
    if len(names) < 2:
        context.warn_invalid_argument("IS_SAME_COLLECTION")
        return None
    return names[0] == names[1]
