"""Looking into strings: positions, prefixes, similarity."""

from __future__ import annotations

import struct

from proxy.aql.functions.registry import function, is_number
from proxy.aql.functions.sql_calls import SqlCall, of_bool, of_int, sql_form
from proxy.aql.printing import to_string
from proxy.aql.query_context import QueryContext
from proxy.aql.sql_terms import NotCompilable, Term
from proxy.aql.values import Value, double, to_integer, truthy

_SOUNDEX = {
    **dict.fromkeys("BFPV", "1"),
    **dict.fromkeys("CGJKQSXZ", "2"),
    **dict.fromkeys("DT", "3"),
    "L": "4",
    **dict.fromkeys("MN", "5"),
    "R": "6",
}
_MAX_DISTANCE = 20_000_000  # cells of the table of LEVENSHTEIN_DISTANCE


@function("CONTAINS", arguments=(2, 3))
def contains_text(_context: QueryContext, text: Value, search: Value, index: Value = False) -> Value:
    """CONTAINS(text, search, returnIndex): an empty search is never found"""
    wanted = to_string(search)
    at = to_string(text).find(wanted) if wanted else -1
    return at if truthy(index) else at >= 0


@sql_form("CONTAINS")
def contains_sql(call: SqlCall) -> Term:
    """Search by bytes; an empty text is contained in nothing."""
    text, search = call.text(0), call.text(1)
    sql = f'coalesce(strpos({text} COLLATE "C", nullif({search}, \'\') COLLATE "C"), 0)'
    if call.count == 3:
        wants_index = call.constant(2)
        if wants_index is None:
            raise NotCompilable("CONTAINS with a third argument")
        if truthy(wants_index.value):
            return of_int(f"({sql} - 1)")
    return of_bool(f"({sql} > 0)")


def _find(_context: QueryContext, text: Value, search: Value, where: tuple[Value, ...], *, last: bool) -> int:
    """Return the position of the search between two positions, of matches that do not overlap; -1 if there is none."""
    subject, wanted = to_string(text), to_string(search)
    start, end, bounded = 0, len(subject), False
    if where:
        start = to_integer(where[0])
    if len(where) > 1 and where[1] is not None:
        end, bounded = to_integer(where[1]), True
    if start < 0 or (bounded and (end < start or end < 0)):
        return -1
    if not wanted:  # an empty text is everywhere, also after the end
        return (end + bounded) if last else start
    found, at = -1, subject.find(wanted)
    while at >= 0 and at + len(wanted) - 1 <= end:
        if at >= start:
            found = at
            if not last:
                break
        at = subject.find(wanted, at + len(wanted))
    return found


@function("FIND_FIRST", arguments=(2, 4))
def find_first(context: QueryContext, text: Value, search: Value, *where: Value) -> Value:
    """FIND_FIRST(text, search, start, end): -1 if it is not found; the end is included"""
    return _find(context, text, search, where, last=False)


@function("FIND_LAST", arguments=(2, 4))
def find_last(context: QueryContext, text: Value, search: Value, *where: Value) -> Value:
    """FIND_LAST(text, search, start, end)"""
    return _find(context, text, search, where, last=True)


@function("STARTS_WITH", arguments=(2, 3))
def starts_with(context: QueryContext, text: Value, prefix: Value, least: Value = 1) -> Value:
    """STARTS_WITH(text, prefix) or STARTS_WITH(text, prefixes, minMatchCount)"""
    if text.__class__ is not str:
        context.warn_invalid_argument("STARTS_WITH")
        return None
    if prefix.__class__ is str:
        return bool(text.startswith(prefix))
    if prefix.__class__ is not list or not is_number(least):
        context.warn_invalid_argument("STARTS_WITH")
        return None
    matched = sum(1 for one in prefix if one.__class__ is str and text.startswith(one))
    return matched >= int(least)


@sql_form("STARTS_WITH")
def starts_with_sql(call: SqlCall) -> Term:
    """Test for one constant prefix. A first argument that is not a string, which warns, is refused as it runs."""
    prefix = call.constant(1)
    if call.count != 2 or prefix is None or prefix.kind not in ("text", "odd"):
        raise NotCompilable("STARTS_WITH of a prefix that is not constant")
    text = call.term(0)
    if isinstance(text, Term) and text.kind == "text":
        return of_bool(f"starts_with({text.sql}, {call.forms.text(prefix)})")
    sql = call.forms.json(text)
    checked = f"_crossfade.unless(jsonb_typeof({sql}) IS DISTINCT FROM 'string', {sql})"
    return of_bool(f"starts_with(_crossfade.text({checked}), {call.forms.text(prefix)})")


@function("LEVENSHTEIN_DISTANCE", arguments=2)
def levenshtein(context: QueryContext, a: Value, b: Value) -> Value:
    """LEVENSHTEIN_DISTANCE(a, b): insertions, deletions and substitutions"""
    first, second = to_string(a), to_string(b)
    context.check_size(len(first) * len(second), _MAX_DISTANCE)
    previous = list(range(len(second) + 1))
    for row, left in enumerate(first, 1):
        current = [row]
        for column, right in enumerate(second, 1):
            current.append(min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (left != right)))
        previous = current
    return previous[-1]


def _single(number: float) -> float:
    """Round a number to single precision, in which similarities are computed."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def _grams(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(len(text) - size + 1)]


def _similarity(
    context: QueryContext, name: str, text: Value, target: Value, size: Value, *, positional: bool
) -> Value:
    """Return the weight of the longest common sequence of grams, divided by the number of grams of the target.

    A pair of equal grams weighs 1. positional: a pair weighs its share of equal characters, and the divisor is the
    number of grams of the longer text.
    """
    if text.__class__ is not str or target.__class__ is not str or not is_number(size):
        context.warn_invalid_argument(name)
        return None
    width = to_integer(size)
    if width < 1:
        context.warn_in_function(name, 10, "Invalid ngram size. Should be 1 or greater")
        return None
    if positional and len(target) > len(text):
        text, target = target, text
    if len(target) < width or len(text) < width:
        if not positional:
            return int(text == target)
        equal = sum(x == y for x, y in zip(text, target, strict=False))
        return double(_single(equal / len(text))) if text else 1
    first, second = _grams(target, width), _grams(text, width)
    context.check_size(len(first) * len(second), _MAX_DISTANCE)
    table = [0.0] * (len(second) + 1)
    diagonal = 0.0
    for left in first:
        for column, right in enumerate(second, 1):
            above = table[column]
            if positional:
                weight = _single(sum(x == y for x, y in zip(left, right, strict=True)) / width)
            else:
                weight = float(left == right)
            table[column] = max(above, table[column - 1], _single(diagonal + weight))
            diagonal = above
    return double(_single(table[-1] / (len(second) if positional else len(first))))


@function("NGRAM_SIMILARITY", arguments=3)
def ngram_similarity(context: QueryContext, text: Value, target: Value, size: Value) -> Value:
    """NGRAM_SIMILARITY(input, target, n): matched grams by those of the target"""
    return _similarity(context, "NGRAM_SIMILARITY", text, target, size, positional=False)


@function("NGRAM_POSITIONAL_SIMILARITY", arguments=3)
def ngram_positional_similarity(context: QueryContext, text: Value, target: Value, size: Value) -> Value:
    """NGRAM_POSITIONAL_SIMILARITY(input, target, n)"""
    return _similarity(context, "NGRAM_POSITIONAL_SIMILARITY", text, target, size, positional=True)


@function("SOUNDEX", arguments=1)
def soundex(_context: QueryContext, value: Value) -> Value:
    """SOUNDEX(text): its first letter and three digits; equal digits of adjacent letters count once

    The digit of the first letter does not count.
    """
    text = to_string(value)
    start = next((at for at, char in enumerate(text) if char.isascii() and char.isalpha()), None)
    if start is None:
        return ""
    code, last = text[start].upper(), ""
    for char in text[start + 1 :]:
        digit = _SOUNDEX.get(char.upper(), "") if char.isascii() else ""
        if digit and digit != last:
            code += digit
        last = digit
    return (code + "000")[:4]
