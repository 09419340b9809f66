"""Arrays: taking, adding, removing, reordering. Arguments are never changed: every result is a new array."""

from __future__ import annotations

from proxy.aql.functions.registry import function
from proxy.aql.functions.sets import distinct_elements
from proxy.aql.functions.sql_calls import SqlCall, of_bool, sql_form
from proxy.aql.query_context import MAX_ELEMENTS, QueryContext
from proxy.aql.sql_terms import NotCompilable, Term
from proxy.aql.values import Value, double, equal, hash_key, order_key, to_integer, to_number, truthy, unique


def _array(context: QueryContext, name: str, value: Value) -> bool:
    """Return True for an array; warn 1542 for other values."""
    if value.__class__ is list:
        return True
    context.warn_invalid_argument(name)
    return False


def _expected(context: QueryContext, name: str, value: Value) -> bool:
    """Return True for an array; warn 1563 for other values."""
    if value.__class__ is list:
        return True
    context.warn_no_array(name)
    return False


@function("FIRST", arguments=1, linear=True)
def first(context: QueryContext, value: Value) -> Value:
    """FIRST(array): null for an empty array"""
    if not _expected(context, "FIRST", value):
        return None
    return value[0] if value else None


@function("LAST", arguments=1, linear=True)
def last(context: QueryContext, value: Value) -> Value:
    """LAST(array)"""
    if not _expected(context, "LAST", value):
        return None
    return value[-1] if value else None


@sql_form("FIRST", "LAST")
def first_sql(call: SqlCall) -> Term:
    """Take an end of an array; another value, which warns, is refused as it runs."""
    return Term(f"(_crossfade.loop({call.json(0)}) -> {0 if call.name == 'FIRST' else -1})")


@function("NTH", arguments=2, linear=True)
def nth(context: QueryContext, value: Value, index: Value) -> Value:
    """NTH(array, index): null for an index outside the array, also a negative one"""
    if not _expected(context, "NTH", value):
        return None
    at = to_integer(index)
    return value[at] if 0 <= at < len(value) else None


@function("POSITION", "CONTAINS_ARRAY", arguments=(2, 3))
def position(context: QueryContext, value: Value, search: Value, index: Value = False) -> Value:
    """POSITION(array, value, returnIndex)"""
    if not _expected(context, "POSITION", value):
        return None
    at = next((i for i, item in enumerate(value) if equal(item, search)), -1)
    return at if truthy(index) else at >= 0


@sql_form("POSITION", "CONTAINS_ARRAY")
def position_sql(call: SqlCall) -> Term:
    """Test for an element; a first argument that is not an array, which warns, is refused as it runs."""
    if call.count > 2:
        raise NotCompilable(f"{call.name} that returns an index")
    array, value = call.json(0), call.json(1)
    return of_bool(f"_crossfade.member({value}, _crossfade.loop({array}))")


@function("APPEND", arguments=(2, 3))
def append(_context: QueryContext, value: Value, values: Value, only_new: Value = False) -> Value:
    """APPEND(array, values, unique): another value than an array is ignored as `array`, and one element as `values`"""
    distinct = truthy(only_new)
    nothing = values is None or values == []
    if nothing and not distinct and (values is not None or value is None or value.__class__ is list):
        return value
    if value is None and values == []:
        return None
    more = values if values.__class__ is list else [] if values is None else [values]
    found = [*(value if value.__class__ is list else []), *more]
    return unique(found) if distinct else found


def _with(context: QueryContext, name: str, value: Value, item: Value, only_new: Value, *, front: bool) -> Value:
    if value is None:
        return [item]
    if not _array(context, name, value):
        return None
    if truthy(only_new) and any(equal(item, other) for other in value):
        return value
    return [item, *value] if front else [*value, item]


@function("PUSH", arguments=(2, 3))
def push(context: QueryContext, value: Value, item: Value, only_new: Value = False) -> Value:
    """PUSH(array, value, unique)"""
    return _with(context, "PUSH", value, item, only_new, front=False)


@function("UNSHIFT", arguments=(2, 3))
def unshift(context: QueryContext, value: Value, item: Value, only_new: Value = False) -> Value:
    """UNSHIFT(array, value, unique)"""
    return _with(context, "UNSHIFT", value, item, only_new, front=True)


@function("POP", arguments=1)
def pop(context: QueryContext, value: Value) -> Value:
    """POP(array): without its last element"""
    if value is None:
        return None
    return value[:-1] if _array(context, "POP", value) else None


@function("SHIFT", arguments=1)
def shift(context: QueryContext, value: Value) -> Value:
    """SHIFT(array): without its first element"""
    if value is None:
        return None
    return value[1:] if _array(context, "SHIFT", value) else None


@function("REMOVE_VALUE", arguments=(2, 3))
def remove_value(context: QueryContext, value: Value, item: Value, limit: Value = None) -> Value:
    """REMOVE_VALUE(array, value, limit): a negative limit means no limit"""
    if value is None:
        return []
    if not _array(context, "REMOVE_VALUE", value):
        return None
    rest = -1 if limit is None else to_integer(limit)
    kept: list[Value] = []
    for other in value:
        if rest != 0 and equal(other, item):
            rest -= 1
        else:
            kept.append(other)
    return kept


@function("REMOVE_VALUES", arguments=2)
def remove_values(context: QueryContext, value: Value, values: Value) -> Value:
    """REMOVE_VALUES(array, values)"""
    if values is None:
        return value
    if value is None:
        return []
    if not _array(context, "REMOVE_VALUES", value) or not _array(context, "REMOVE_VALUES", values):
        return None
    unwanted = {hash_key(item) for item in values}
    return [item for item in value if hash_key(item) not in unwanted]


@function("REMOVE_NTH", arguments=2)
def remove_nth(context: QueryContext, value: Value, index: Value) -> Value:
    """REMOVE_NTH(array, index): a negative index counts from the end"""
    if value is None:
        return []
    if not _array(context, "REMOVE_NTH", value):
        return None
    place = float(to_number(index))  # truncated only if it counts from the beginning
    if not -len(value) <= place < len(value):
        return value
    at = int(place + len(value) if place < 0 else place)
    return value[:at] + value[at + 1 :]


@function("REPLACE_NTH", arguments=(3, 4))
def replace_nth(context: QueryContext, value: Value, index: Value, item: Value, *padding: Value) -> Value:
    """REPLACE_NTH(array, index, value, padding): error 1542 for an index of null, or if padding is missing"""
    if not _array(context, "REPLACE_NTH", value):
        return None
    at = to_integer(index)
    if index is None or (at > len(value) and not padding):
        raise context.argument_error("REPLACE_NTH")
    if at < 0:
        at = max(0, at + len(value))
    if at < len(value):
        return [*value[:at], item, *value[at + 1 :]]
    context.check_size(at + 1)
    return [*value, *padding[:1] * (at - len(value)), item]


@function("SLICE", arguments=(2, 3))
def slice_array(context: QueryContext, value: Value, start: Value, length: Value = None) -> Value:
    """SLICE(array, start, length): negative numbers count from the end"""
    if not _array(context, "SLICE", value):
        return None
    begin = to_integer(start)
    if begin < 0:
        begin = max(0, len(value) + begin)
    if length is None:
        return value[begin:]
    count = to_integer(length)
    end = begin + count if count >= 0 else len(value) + count
    return value[begin : max(begin, end)]


def flatten(value: list[Value], depth: int) -> list[Value]:
    """Dissolve that many levels of arrays inside an array."""
    flat: list[Value] = []
    for item in value:
        if item.__class__ is list and depth > 0:
            flat.extend(flatten(item, depth - 1))
        else:
            flat.append(item)
    return flat


@function("FLATTEN", arguments=(1, 2))
def flatten_array(context: QueryContext, value: Value, depth: Value = 1) -> Value:
    """FLATTEN(array, depth)"""
    if not _expected(context, "FLATTEN", value):
        return None
    return flatten(value, max(1, int(to_number(depth))))


@function("SORTED", arguments=1, order_free=True)
def sorted_array(context: QueryContext, value: Value) -> Value:
    """SORTED(array): in the order of all types"""
    return sorted(value, key=order_key) if _expected(context, "SORTED", value) else None


@function("SORTED_UNIQUE", arguments=1, order_free=True)
def sorted_unique(context: QueryContext, value: Value) -> Value:
    """SORTED_UNIQUE(array)"""
    return sorted(unique(value), key=order_key) if _expected(context, "SORTED_UNIQUE", value) else None


@function("UNIQUE", arguments=1)
def unique_array(context: QueryContext, value: Value) -> Value:
    """UNIQUE(array)"""
    return unique(value) if _expected(context, "UNIQUE", value) else None


@sql_form("UNIQUE")
def unique_sql(call: SqlCall) -> Term:
    """Take each element once; another value than an array, which warns, is refused as it runs."""
    return distinct_elements(f"_crossfade.loop({call.json(0)})", "")


@function("COUNT_DISTINCT", "COUNT_UNIQUE", arguments=1, order_free=True)
def count_distinct(context: QueryContext, value: Value) -> Value:
    """COUNT_DISTINCT(array)"""
    return len(unique(value)) if _expected(context, "COUNT_DISTINCT", value) else None


@function("INTERLEAVE", arguments=(2, None))
def interleave(context: QueryContext, *values: Value) -> Value:
    """INTERLEAVE(a, b, …): one element of each in turn, as long as there are elements"""
    if not all(_expected(context, "INTERLEAVE", value) for value in values):
        return None
    longest = max(len(value) for value in values)
    return [value[i] for i in range(longest) for value in values if i < len(value)]


@function("RANGE", arguments=(2, 3), large=True)
def range_function(context: QueryContext, start: Value, stop: Value, step: Value = None) -> Value:
    """RANGE(start, stop, step): whole numbers without a step, else from start by step up to stop"""
    if step is None:
        low, high = to_integer(start), to_integer(stop)
        context.check_size(abs(high - low) + 1)
        return list(range(low, high + 1)) if low <= high else list(range(low, high - 1, -1))
    value, last, by = float(to_number(start)), float(to_number(stop)), float(to_number(step))
    if by == 0 or (value < last and by < 0) or (value > last and by > 0):
        context.warn_invalid_argument("RANGE")
        return None
    count = (last - value) / by
    if count > MAX_ELEMENTS or value + by == value or last + by == last:  # too many, or it never gets past the last
        context.check_size(MAX_ELEMENTS + 1)
    found: list[Value] = []
    while (value <= last) if by > 0 else (value >= last):
        found.append(double(value))
        value += by
        context.check_size(len(found))
    return found
