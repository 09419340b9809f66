"""Making strings: joining, cutting, changing, measuring. Lengths and positions count code points."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from proxy.aql.collation import lower as lower_case
from proxy.aql.collation import upper as upper_case
from proxy.aql.context import MAX_TEXT, Context
from proxy.aql.functions.registry import function, is_number
from proxy.aql.functions.type_checks import is_ipv4
from proxy.aql.printing import json_text, to_string
from proxy.aql.values import Value, to_integer

_BLANKS = " \t\r\n\f\v"


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
    """CHAR_LENGTH(text)"""
    return len(to_string(value))


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
def substring(context: Context, value: Value, offset: Value, length: Value = None) -> Value:
    """SUBSTRING(text, offset, length): a negative offset counts from the end"""
    text, start = to_string(value), to_integer(offset)
    if start < 0:
        start = max(0, len(text) + start)
    if length is None:
        return text[start:]
    return text[start : start + max(0, to_integer(length))]


@function("SUBSTRING_BYTES")
def substring_bytes(
    context: Context, value: Value, offset: Value, length: Value = None, left: Value = 0, right: Value = 0
) -> Value:
    """SUBSTRING_BYTES(text, offset, length, left, right): by bytes of UTF-8, then so many characters more round it"""
    data = to_string(value).encode("utf-8", "surrogatepass")
    start = to_integer(offset)
    if start < 0:
        start = max(0, len(data) + start)
    start = min(start, len(data))
    end = len(data) if length is None else min(len(data), start + max(0, to_integer(length)))
    try:
        before, middle, after = data[:start].decode(), data[start:end].decode(), data[end:].decode()
    except UnicodeDecodeError:
        context.invalid("SUBSTRING_BYTES")
        return None
    more, rest = max(0, to_integer(left)), max(0, to_integer(right))
    return (before[len(before) - more if more < len(before) else 0 :] if more else "") + middle + after[:rest]


def _trim(context: Context, name: str, value: Value, what: Value, sides: int) -> Value:
    text, characters = to_string(value), _BLANKS
    if is_number(what):
        if name != "TRIM" or what not in (0, 1, 2):
            context.invalid(name)
            return None
        sides = int(what) or 3
    elif what is not None:
        characters = to_string(what)
    if sides & 1:
        text = text.lstrip(characters) if characters else text
    if sides & 2:
        text = text.rstrip(characters) if characters else text
    return text


@function("TRIM")
def trim(context: Context, value: Value, what: Value = None) -> Value:
    """TRIM(text, side) with 0 both, 1 left, 2 right; or TRIM(text, characters)"""
    return _trim(context, "TRIM", value, what, 3)


@function("LTRIM")
def ltrim(context: Context, value: Value, what: Value = None) -> Value:
    """LTRIM(text, characters)"""
    return _trim(context, "LTRIM", value, None if what is None else to_string(what), 1)


@function("RTRIM")
def rtrim(context: Context, value: Value, what: Value = None) -> Value:
    """RTRIM(text, characters)"""
    return _trim(context, "RTRIM", value, None if what is None else to_string(what), 2)


@function("REPEAT")
def repeat(context: Context, value: Value, count: Value, separator: Value = "") -> Value:
    """REPEAT(text, n, separator)"""
    times = to_integer(count)
    if times < 0:
        context.invalid("REPEAT")
        return None
    text, between = to_string(value), to_string(separator)
    context.size(times * (len(text) + len(between)), MAX_TEXT)
    return between.join([text] * times)


@function("REVERSE")
def reverse(context: Context, value: Value) -> Value:
    """REVERSE(text) or REVERSE(array)"""
    if value.__class__ is list or value.__class__ is str:
        return value[::-1]
    context.invalid("REVERSE")
    return None


@function("SPLIT")
def split(context: Context, value: Value, separator: Value = None, limit: Value = None) -> Value:
    """SPLIT(text, separator or separators, limit)"""
    text = to_string(value)
    most = None if limit is None else to_integer(limit)
    if most is not None and most < 0:
        context.invalid("SPLIT")
        return None
    if separator is None:
        parts = [text]
    else:
        marks = [to_string(mark) for mark in separator] if separator.__class__ is list else [to_string(separator)]
        if "" in marks:
            parts = list(text)
        elif len(marks) == 1:
            parts = text.split(marks[0])
        else:
            parts = re.split("|".join(re.escape(mark) for mark in marks), text) if marks else [text]
    return parts if most is None else parts[:most]


@function("SUBSTITUTE")
def substitute(context: Context, value: Value, search: Value, replacement: Value = None, limit: Value = None) -> Value:
    """SUBSTITUTE(text, search, replacement, limit), with texts, arrays, or an object of both and then the limit"""
    if search.__class__ is dict:
        limit = replacement
        pairs = [(name, to_string(item)) for name, item in search.items()]
    elif search.__class__ is list:
        words = [to_string(word) for word in search]
        if replacement.__class__ is list:
            others = [to_string(word) for word in replacement]
            others += [""] * (len(words) - len(others))
        else:
            others = [to_string(replacement)] * len(words)
        pairs = list(zip(words, others, strict=False))
    else:
        pairs = [(to_string(search), to_string(replacement))]
    table: dict[str, str] = {}
    for word, other in pairs:
        if word:
            table.setdefault(word, other)
    most = -1 if limit is None else to_integer(limit)
    if limit is not None and most < 0:
        context.invalid("SUBSTITUTE")
        return None
    text = to_string(value)
    if not table or most == 0:
        return text
    pattern = re.compile("|".join(re.escape(word) for word in table))
    return pattern.sub(lambda found: table[found[0]], text, count=max(0, most))


@function("TO_CHAR")
def to_char(context: Context, value: Value) -> Value:
    """TO_CHAR(code point) or TO_CHAR(array of them)"""
    codes = value if value.__class__ is list else [value]
    if not all(is_number(code) and 0 <= code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF for code in codes):
        context.invalid("TO_CHAR")
        return None
    return "".join(chr(int(code)) for code in codes)


@function("JSON_STRINGIFY")
def json_stringify(context: Context, value: Value) -> Value:
    """JSON_STRINGIFY(value)"""
    return json_text(value)


def _refuse_constant(name: str) -> Value:
    raise ValueError(name)


@function("JSON_PARSE")
def json_parse(context: Context, value: Value) -> Value:
    """JSON_PARSE(text): null and a warning for what is no JSON"""
    if value.__class__ is not str:
        context.invalid("JSON_PARSE")
        return None
    try:
        return json.loads(value, parse_constant=_refuse_constant)
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
    if not is_number(value) or not 0 <= value < 1 << 32:
        context.invalid("IPV4_FROM_NUMBER")
        return None
    return ".".join(str(int(value) >> shift & 255) for shift in (24, 16, 8, 0))
