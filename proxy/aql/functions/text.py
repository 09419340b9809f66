"""Making strings: joining, cutting, changing, measuring. Lengths and positions count code points."""

from __future__ import annotations

import json
import math
import re
import sys
from urllib.parse import quote

from proxy.aql.collation import lower as lower_case
from proxy.aql.collation import upper as upper_case
from proxy.aql.functions.registry import function, is_number
from proxy.aql.functions.type_checks import is_ipv4
from proxy.aql.printing import json_text, to_string
from proxy.aql.query_context import MAX_TEXT, Context
from proxy.aql.values import Value, double, to_integer

_BLANKS = " \t\r\n"
_LONGEST_REPEATED = 16 << 20  # bytes of what REPEAT makes


@function("CONCAT")
def concat(context: Context, *values: Value) -> Value:
    """CONCAT(a, b, …) or CONCAT(array): nulls are skipped"""
    if len(values) == 1 and values[0].__class__ is list:
        values = tuple(values[0])
    return "".join([to_string(value) for value in values if value is not None])


@function("CONCAT_SEPARATOR")
def concat_separator(context: Context, separator: Value, *values: Value) -> Value:
    """CONCAT_SEPARATOR(separator, a, b, …) or (separator, array): nulls are skipped"""
    if len(values) == 1 and values[0].__class__ is list:
        values = tuple(values[0])
    return to_string(separator).join([to_string(value) for value in values if value is not None])


@function("CHAR_LENGTH")
def char_length(context: Context, value: Value) -> Value:
    """CHAR_LENGTH(text): of arrays and objects the bytes of their text"""
    text = to_string(value)
    return len(text) if value.__class__ is str else len(text.encode("utf-8", "surrogatepass"))


@function("LENGTH", "COUNT")
def length(context: Context, value: Value) -> Value:
    """LENGTH(value): of arrays and objects the members, of anything else the characters of its text; true is 1"""
    kind = value.__class__
    if kind is list or kind is dict or kind is str:
        return len(value)
    if value is None or kind is bool:
        return int(value or 0)
    return len(to_string(value))


@function("LOWER")
def lower(context: Context, value: Value) -> Value:
    """LOWER(text)"""
    return lower_case(to_string(value))


@function("UPPER")
def upper(context: Context, value: Value) -> Value:
    """UPPER(text)"""
    return upper_case(to_string(value))


@function("LEFT")
def left(context: Context, value: Value, count: Value) -> Value:
    """LEFT(text, n)"""
    return to_string(value)[: max(0, to_integer(count))]


@function("RIGHT")
def right(context: Context, value: Value, count: Value) -> Value:
    """RIGHT(text, n)"""
    text, size = to_string(value), max(0, to_integer(count))
    return text[max(0, len(text) - size) :] if size else ""


@function("SUBSTRING")
def substring(context: Context, value: Value, offset: Value, *length: Value) -> Value:
    """SUBSTRING(text, offset, length): a negative offset counts from the end; a length of null is 0"""
    text, start = to_string(value), to_integer(offset)
    if start < 0:
        start = max(0, len(text) + start)
    if not length:
        return text[start:]
    return text[start : start + max(0, to_integer(length[0]))]


@function("SUBSTRING_BYTES")
def substring_bytes(context: Context, value: Value, offset: Value, *rest_of: Value) -> Value:
    """SUBSTRING_BYTES(text, offset, length, left, right): by bytes of UTF-8, then so many characters more round it, on
    both sides as many where `right` is left out"""
    if value.__class__ is not str:
        context.caution("SUBSTRING_BYTES", 10)
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
        context.caution("SUBSTRING_BYTES", 10)
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


@function("TRIM")
def trim(context: Context, value: Value, what: Value = None) -> Value:
    """TRIM(text, side) with 1 left, 2 right and any other number both; or TRIM(text, characters)"""
    sides = {1: 1, 2: 2}.get(to_integer(what), 3) if is_number(what) else 3
    return _trim(to_string(value), what if what.__class__ is str else _BLANKS, sides)


@function("LTRIM")
def ltrim(context: Context, value: Value, what: Value = _BLANKS) -> Value:
    """LTRIM(text, characters)"""
    return _trim(to_string(value), to_string(what), 1)


@function("RTRIM")
def rtrim(context: Context, value: Value, what: Value = _BLANKS) -> Value:
    """RTRIM(text, characters)"""
    return _trim(to_string(value), to_string(what), 2)


@function("REPEAT")
def repeat(context: Context, value: Value, count: Value, separator: Value = "") -> Value:
    """REPEAT(text, n, separator): null and warning 32 beyond 16 MiB"""
    times = to_integer(count)
    if times < 0:
        context.invalid("REPEAT")
        return None
    text, between = to_string(value), to_string(separator)
    if not times or not (text or between):
        return ""
    size = len(text.encode("utf-8", "surrogatepass")) * times
    if size > _LONGEST_REPEATED:
        context.caution("REPEAT", 32, "Output string of AQL REPEAT function was limited to 16MB.")
        return None
    context.size(times * (len(text) + len(between)), MAX_TEXT)
    return between.join([text] * times)


@function("REVERSE")
def reverse(context: Context, value: Value) -> Value:
    """REVERSE(text) or REVERSE(array)"""
    if value.__class__ is list or value.__class__ is str:
        return value[::-1]
    context.no_array("REVERSE")
    return None


@function("SPLIT")
def split(context: Context, value: Value, *rest: Value) -> Value:
    """SPLIT(text, separator or separators, limit): an empty separator, or one that is no text, parts every character"""
    limit = split_limit(context, "SPLIT", rest[1:])
    if limit is None:
        return None
    if not rest:
        return [value]
    separator = rest[0]
    if separator.__class__ is dict:
        context.invalid("SPLIT")
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


def split_limit(context: Context, name: str, given: tuple[Value, ...]) -> int | None:
    """How many parts a split may give, where `given` has a limit; None where the result is null: a negative limit says
    so without a warning."""
    if not given:
        return sys.maxsize
    if not is_number(given[0]):
        context.invalid(name)
        return None
    limit = to_integer(given[0])
    return None if limit < 0 else limit


def _replacements(search: Value, rest: tuple[Value, ...]) -> tuple[dict[str, str], tuple[Value, ...]] | None:
    """What SUBSTITUTE is to put for which text, and the arguments behind; None where one is of a wrong type."""
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


@function("SUBSTITUTE")
def substitute(context: Context, value: Value, search: Value, *rest: Value) -> Value:
    """SUBSTITUTE(text, search, replacement, limit), with texts, arrays, or an object of both and then the limit; -1 is
    no limit"""
    if search.__class__ is dict and len(rest) > 1:
        context.warn(1541, "invalid number of arguments for function 'SUBSTITUTE()'")
        return None
    found = _replacements(search, rest)
    if found is None:
        context.invalid("SUBSTITUTE")
        return None
    table, behind = found
    limit = to_integer(behind[0]) if behind else -1
    text = to_string(value)
    if not table or limit == 0 or limit < -1:
        return text
    pattern = re.compile("|".join(re.escape(word) for word in table))
    return pattern.sub(lambda found: table[found[0]], text, count=max(0, limit))


@function("TO_CHAR")
def to_char(context: Context, value: Value) -> Value:
    """TO_CHAR(code point)"""
    code = to_integer(value) if is_number(value) else -1
    if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        context.invalid("TO_CHAR")
        return None
    return chr(code)


@function("JSON_STRINGIFY")
def json_stringify(context: Context, value: Value) -> Value:
    """JSON_STRINGIFY(value)"""
    return json_text(value)


def _refuse_constant(name: str) -> Value:
    raise ValueError(name)


def _json_integer(text: str) -> Value:
    number = int(text) if len(text) < 32 else None
    return number if number is not None and -(1 << 63) <= number < 1 << 64 else _json_double(text)


def _json_double(text: str) -> Value:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return double(number)


@function("JSON_PARSE")
def json_parse(context: Context, value: Value) -> Value:
    """JSON_PARSE(text): null and a warning for what is no JSON"""
    if value.__class__ is not str:
        context.invalid("JSON_PARSE")
        return None
    try:
        return json.loads(value, parse_constant=_refuse_constant, parse_int=_json_integer, parse_float=_json_double)
    except (ValueError, RecursionError):
        context.invalid("JSON_PARSE")
        return None


@function("ENCODE_URI_COMPONENT")
def encode_uri_component(context: Context, value: Value) -> Value:
    """ENCODE_URI_COMPONENT(text)"""
    return quote(to_string(value), safe="-_.!~*'()", errors="replace")


@function("IPV4_TO_NUMBER")
def ipv4_to_number(context: Context, value: Value) -> Value:
    """IPV4_TO_NUMBER("1.2.3.4")"""
    if not is_ipv4(value):
        context.invalid("IPV4_TO_NUMBER")
        return None
    number = 0
    for part in str(value).split("."):
        number = number << 8 | int(part)
    return number


@function("IPV4_FROM_NUMBER")
def ipv4_from_number(context: Context, value: Value) -> Value:
    """IPV4_FROM_NUMBER(16909060)"""
    number = int(value) if is_number(value) else -1
    if not 0 <= number < 1 << 32:
        context.invalid("IPV4_FROM_NUMBER")
        return None
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
