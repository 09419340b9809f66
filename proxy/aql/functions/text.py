"""Making strings: joining, cutting, changing, measuring. Lengths and positions count code points."""

from __future__ import annotations

import re
import sys

from proxy.aql.collation import lower as lower_case
from proxy.aql.collation import upper as upper_case
from proxy.aql.functions.registry import function, is_number
from proxy.aql.functions.sql_calls import SqlCall, of_text, sql_form
from proxy.aql.printing import to_string
from proxy.aql.query_context import MAX_TEXT, QueryContext
from proxy.aql.sql_terms import ConstantTerm, NotCompilable, Term
from proxy.aql.values import Value, to_integer

_BLANKS = " \t\r\n"
_MAX_POSITION = 1 << 30  # well inside PostgreSQL's integer
_LONGEST_REPEATED = 16 << 20  # bytes of what REPEAT makes


@function("CONCAT", arguments=(1, None), linear=True)
def concat(_context: QueryContext, *values: Value) -> Value:
    """CONCAT(a, b, …) or CONCAT(array): nulls are skipped"""
    if len(values) == 1 and values[0].__class__ is list:
        values = tuple(values[0])
    return "".join([to_string(value) for value in values if value is not None])


@sql_form("CONCAT")
def concat_sql(call: SqlCall) -> Term:
    """Join texts; the text of null is ""."""
    if call.count == 1:
        raise NotCompilable("CONCAT of one argument, which may be an array")
    return of_text("(" + " || ".join(call.text(position) for position in range(call.count)) + ")")


@function("CONCAT_SEPARATOR", arguments=(2, None))
def concat_separator(_context: QueryContext, separator: Value, *values: Value) -> Value:
    """CONCAT_SEPARATOR(separator, a, b, …) or (separator, array): nulls are skipped"""
    if len(values) == 1 and values[0].__class__ is list:
        values = tuple(values[0])
    return to_string(separator).join([to_string(value) for value in values if value is not None])


@sql_form("CONCAT_SEPARATOR")
def concat_separator_sql(call: SqlCall) -> Term:
    """Join texts with `concat_ws`, which skips NULL as the function skips null."""
    if call.count < 3:
        raise NotCompilable("CONCAT_SEPARATOR of one argument, which may be an array")
    parts = []
    for position in range(1, call.count):
        term = call.term(position)
        if isinstance(term, ConstantTerm):
            parts.append("NULL::text" if term.kind == "null" else call.forms.text(term))
        elif term.kind == "json":
            parts.append(f"CASE WHEN {term.sql} <> 'null' THEN {call.forms.text(term)} END")
        else:
            parts.append(call.forms.text(term))
    return of_text(f"concat_ws({call.text(0)}, {', '.join(parts)})")


@function("CHAR_LENGTH", arguments=1, linear=True)
def char_length(_context: QueryContext, value: Value) -> Value:
    """CHAR_LENGTH(text): for arrays and objects, the bytes of their text"""
    text = to_string(value)
    return len(text) if value.__class__ is str else len(text.encode("utf-8", "surrogatepass"))


@function("LENGTH", "COUNT", arguments=1, takes_collection=True, linear=True, order_free=True)
def length(_context: QueryContext, value: Value) -> Value:
    """LENGTH(value): the members of an array or object, the characters of the text of another value; 1 for true"""
    kind = value.__class__
    if kind is list or kind is dict or kind is str:
        return len(value)
    if value is None or kind is bool:
        return int(value or 0)
    return len(to_string(value))


@function("LOWER", arguments=1, linear=True)
def lower(_context: QueryContext, value: Value) -> Value:
    """LOWER(text)"""
    return lower_case(to_string(value))


@sql_form("LOWER")
def lower_sql(call: SqlCall) -> Term:
    """Call the SQL function with the same rules."""
    return of_text(f"_crossfade.lower({call.text(0)})")


@function("UPPER", arguments=1, linear=True)
def upper(_context: QueryContext, value: Value) -> Value:
    """UPPER(text)"""
    return upper_case(to_string(value))


@sql_form("UPPER")
def upper_sql(call: SqlCall) -> Term:
    """Call the SQL function with the same rules."""
    return of_text(f"_crossfade.upper({call.text(0)})")


@function("LEFT", arguments=2, linear=True)
def left(_context: QueryContext, value: Value, count: Value) -> Value:
    """LEFT(text, n)"""
    return to_string(value)[: max(0, to_integer(count))]


@sql_form("LEFT")
def left_sql(call: SqlCall) -> Term:
    """Cut at a constant position."""
    count = call.constant(1)
    if count is None or type(count.value) is not int or not 0 <= count.value < _MAX_POSITION:
        raise NotCompilable("LEFT at a position that is not constant")
    return of_text(f"left({call.text(0)}, {call.parameters.add(count.value, 'integer')})")


@function("RIGHT", arguments=2, linear=True)
def right(_context: QueryContext, value: Value, count: Value) -> Value:
    """RIGHT(text, n)"""
    text, size = to_string(value), max(0, to_integer(count))
    return text[max(0, len(text) - size) :] if size else ""


@function("SUBSTRING", arguments=(2, 3), linear=True)
def substring(_context: QueryContext, value: Value, offset: Value, *length: Value) -> Value:
    """SUBSTRING(text, offset, length): a negative offset counts from the end; a length of null is 0"""
    text, start = to_string(value), to_integer(offset)
    if start < 0:
        start = max(0, len(text) + start)
    if not length:
        return text[start:]
    return text[start : start + max(0, to_integer(length[0]))]


@sql_form("SUBSTRING")
def substring_sql(call: SqlCall) -> Term:
    """Cut at constant positions that are not negative."""
    text = call.text(0)
    places = []
    for position in range(1, call.count):
        term = call.constant(position)
        if term is None or type(term.value) is not int or not 0 <= term.value < _MAX_POSITION:
            raise NotCompilable("SUBSTRING at a position that is not constant")
        places.append(term.value)
    sql = f"substr({text}, {call.parameters.add(places[0] + 1, 'integer')}"
    if len(places) > 1:
        sql += f", {call.parameters.add(places[1], 'integer')}"
    return of_text(sql + ")")


@function("SUBSTRING_BYTES", arguments=(2, 5))
def substring_bytes(context: QueryContext, value: Value, offset: Value, *rest_of: Value) -> Value:
    """SUBSTRING_BYTES(text, offset, length, left, right): by bytes of UTF-8, then `left` and `right` characters more

    Without `right`, as many characters as `left`.
    """
    if value.__class__ is not str:
        context.warn_in_function("SUBSTRING_BYTES", 10)
        return None
    data = value.encode("utf-8", "surrogatepass")
    start = to_integer(offset)
    if start < 0:
        start = max(0, len(data) + start)
    start = min(start, len(data))
    end = min(len(data), start + max(0, to_integer(rest_of[0]))) if rest_of else len(data)
    try:
        before, middle, after = data[:start].decode(), data[start:end].decode(), data[end:].decode()
    except UnicodeDecodeError:
        context.warn_in_function("SUBSTRING_BYTES", 10)
        return None
    more = max(0, to_integer(rest_of[1])) if len(rest_of) > 1 else 0
    rest = max(0, to_integer(rest_of[2])) if len(rest_of) > 2 else more
    return (before[len(before) - more if more < len(before) else 0 :] if more else "") + middle + after[:rest]


def _trim(text: str, characters: str, sides: int) -> str:
    if sides & 1:
        text = text.lstrip(characters) if characters else text
    if sides & 2:
        text = text.rstrip(characters) if characters else text
    return text


@function("TRIM", arguments=(1, 2))
def trim(_context: QueryContext, value: Value, what: Value = None) -> Value:
    """TRIM(text, side) with 1 left, 2 right and any other number both; or TRIM(text, characters)"""
    sides = {1: 1, 2: 2}.get(to_integer(what), 3) if is_number(what) else 3
    return _trim(to_string(value), what if what.__class__ is str else _BLANKS, sides)


@sql_form("TRIM")
def trim_sql(call: SqlCall) -> Term:
    """Trim white space."""
    if call.count > 1:
        raise NotCompilable("TRIM with characters")
    return of_text(f"btrim({call.text(0)}, E' \\t\\r\\n')")


@function("LTRIM", arguments=(1, 2))
def ltrim(_context: QueryContext, value: Value, what: Value = _BLANKS) -> Value:
    """LTRIM(text, characters)"""
    return _trim(to_string(value), to_string(what), 1)


@function("RTRIM", arguments=(1, 2))
def rtrim(_context: QueryContext, value: Value, what: Value = _BLANKS) -> Value:
    """RTRIM(text, characters)"""
    return _trim(to_string(value), to_string(what), 2)


@function("REPEAT", arguments=(2, 3), large=True)
def repeat(context: QueryContext, value: Value, count: Value, separator: Value = "") -> Value:
    """REPEAT(text, n, separator): null and warning 32 beyond 16 MiB"""
    times = to_integer(count)
    if times < 0:
        context.warn_invalid_argument("REPEAT")
        return None
    text, between = to_string(value), to_string(separator)
    if not times or not (text or between):
        return ""
    size = len(text.encode("utf-8", "surrogatepass")) * times
    if size > _LONGEST_REPEATED:
        context.warn_in_function("REPEAT", 32, "Output string of AQL REPEAT function was limited to 16MB.")
        return None
    context.check_size(times * (len(text) + len(between)), MAX_TEXT)
    return between.join([text] * times)


@function("REVERSE", arguments=1)
def reverse(context: QueryContext, value: Value) -> Value:
    """REVERSE(text) or REVERSE(array)"""
    if value.__class__ is list or value.__class__ is str:
        return value[::-1]
    context.warn_no_array("REVERSE")
    return None


@function("SPLIT", arguments=(1, 3))
def split(context: QueryContext, value: Value, *rest: Value) -> Value:
    """SPLIT(text, separator or separators, limit): an empty one, or one that is not a text, splits every character"""
    limit = split_limit(context, "SPLIT", rest[1:])
    if limit is None:
        return None
    if not rest:
        return [value]
    separator = rest[0]
    if separator.__class__ is dict:
        context.warn_invalid_argument("SPLIT")
        return None
    if limit == 0:
        return []
    marks = separator if separator.__class__ is list else [separator]
    text = to_string(value)
    if not marks or not all(mark.__class__ is str and mark for mark in marks):
        parts = list(text)
    elif len(marks) == 1:
        parts = text.split(marks[0])
    else:
        parts = re.split("|".join(re.escape(mark) for mark in marks), text)
    return parts[:limit]


@sql_form("SPLIT")
def split_sql(call: SqlCall) -> Term:
    """Split at a constant text. Of an empty text PostgreSQL makes no part, AQL one."""
    if call.count != 2:
        raise NotCompilable("SPLIT with a limit")
    mark = call.constant(1)
    if mark is None or not isinstance(mark.value, str) or not mark.value:
        raise NotCompilable("SPLIT at a separator that is not constant")
    text, at = call.text(0), call.forms.text(mark)
    return Term(f"CASE WHEN {text} = '' THEN '[\"\"]'::jsonb ELSE to_jsonb(string_to_array({text}, {at})) END")


def split_limit(context: QueryContext, name: str, given: tuple[Value, ...]) -> int | None:
    """Return the maximum number of parts; None if the result is null, for a negative limit without a warning."""
    if not given:
        return sys.maxsize
    if not is_number(given[0]):
        context.warn_invalid_argument(name)
        return None
    limit = to_integer(given[0])
    return None if limit < 0 else limit


def _replacements(search: Value, rest: tuple[Value, ...]) -> tuple[dict[str, str], tuple[Value, ...]] | None:
    """Return the replacements of SUBSTITUTE and its further arguments; None if one has a wrong type."""
    if search.__class__ is dict:
        words, others, rest = list(search), list(search.values()), rest[:1]
    else:
        words = search if search.__class__ is list else [search]
        given = rest[0] if rest else []
        others = given if given.__class__ is list else [given] * len(words)
        rest = rest[1:]
        if given.__class__ is not list and given.__class__ is not str:
            return None
    if not all(word.__class__ is str for word in words):
        return None
    if not all(other.__class__ is str or other is None for other in others):
        return None
    table: dict[str, str] = {}
    for at, word in enumerate(words):
        if word:
            table.setdefault(word, (others[at] or "") if at < len(others) else "")
    return table, rest


@function("SUBSTITUTE", arguments=(2, 4))
def substitute(context: QueryContext, value: Value, search: Value, *rest: Value) -> Value:
    """SUBSTITUTE(text, search, replacement, limit), or (text, {search: replacement}, limit); -1 means no limit"""
    if search.__class__ is dict and len(rest) > 1:
        context.warn(1541, "invalid number of arguments for function 'SUBSTITUTE()'")
        return None
    found = _replacements(search, rest)
    if found is None:
        context.warn_invalid_argument("SUBSTITUTE")
        return None
    table, further = found
    limit = to_integer(further[0]) if further else -1
    text = to_string(value)
    if not table or limit == 0 or limit < -1:
        return text
    pattern = re.compile("|".join(re.escape(word) for word in table))
    return pattern.sub(lambda found: table[found[0]], text, count=max(0, limit))


@function("TO_CHAR", arguments=1)
def to_char(context: QueryContext, value: Value) -> Value:
    """TO_CHAR(code point)"""
    code = to_integer(value) if is_number(value) else -1
    if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        context.warn_invalid_argument("TO_CHAR")
        return None
    return chr(code)
