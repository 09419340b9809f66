"""JSON values as ArangoDB reads, compares and prints them. Pure.

Values are plain Python ones (None, bool, int, float, str, list, dict). Rules: protocol page, section 2, "JSON values":
integers from INT64_MIN to UINT64_MAX are exact, everything else with a `.`, an exponent or more digits is a double;
duplicate attribute names, NaN, lone surrogates and nesting over 200 are refused; attributes keep their order.
"""

from __future__ import annotations

import functools
import json
import math
import re
import secrets
import string
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import orjson

from proxy.model.json_faults import JsonError, Rank, malformed

# None | bool | int | float | str | list[Json] | dict[str, Json]; a recursive type costs more than it helps here
Json = Any
MAX_DEPTH: Final = 200
_TOO_DEEP: Final = "Array or Object nesting too deep"
_WITHOUT_DOUBLES: Final = frozenset({dict, list, str, int, bool, type(None)})
_EXACT: Final = float(1 << 53)  # doubles below are printed as integers if they are whole
_WIDE: Final = float(1 << 64)  # whole doubles from 2^53 up to here are printed with `.0`
_CONTROL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u00([01])([a-f])")
# A number with a fraction, an exponent or at least 19 digits; a string that matches costs only time.
_MAYBE_DOUBLE: Final = re.compile(rb"[\[:,\s]-?\d+[.eE]|\d{19}|^-?\d+[.eE]")
# An integer that may not fit into 64 bits; some strings and fractions match too.
_LONG: Final = re.compile(rb"\d{20}")
_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_CUT: Final = ((1 << 64) - 1) // 10
# what stands between texts that are parsed together: without digits, which would be a long number
_SECRET: Final = "".join(secrets.choice(string.ascii_letters) for _ in range(40))
_BETWEEN: Final = f',"{_SECRET}",'.encode()
INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 64) - 1


def parse(body: bytes) -> Json:
    """Return the value of a JSON text. Raise ArangoError 600, with ArangoDB's message for the common mistakes."""
    value, _, doubles = _parsed(body)
    return json.loads(body, parse_int=_integer) if doubles and _LONG.search(body) else value


def parse_printed(body: bytes) -> tuple[Json, bytes]:
    """Return the value of a JSON text, and the text as ArangoDB prints it: compact, numbers in their shortest form."""
    value, printed, doubles = _parsed(body)
    if not doubles:
        return value, _upper_controls(printed)
    if _LONG.search(body):
        value = json.loads(body, parse_int=_integer)
    if _MAYBE_DOUBLE.search(body):
        return value, dump(value)
    return value, _upper_controls(printed)


def _parsed(body: bytes) -> tuple[Json, bytes, bool]:
    """Return the value of a JSON text and its text as orjson reads and prints them, and whether it has a double."""
    try:
        value = orjson.loads(body)
        printed = orjson.dumps(value)
    except orjson.JSONDecodeError as error:
        raise malformed(body, str(error)) from error
    except TypeError as error:
        raise malformed(body, str(error), Rank.PRINTED) from error
    # Colons that the printed text lacks belong to repeated attributes (or to escaped colons in strings).
    if body.count(b":") != printed.count(b":") or (b"\\" in body and b"\\u003" in body):
        _refuse_duplicates(body)
    kinds, depth = _kinds(value)
    if depth > MAX_DEPTH:
        raise JsonError(_TOO_DEEP, Rank.DEEP)
    return value, printed, not kinds <= _WITHOUT_DOUBLES


def parse_array(body: bytes) -> tuple[Json, Sequence[bytes]]:
    """Return the value of a JSON text, as `parse` does, and if it is an array, its elements as ArangoDB prints them."""
    if body.lstrip()[:1] != b"[":
        return parse(body), ()  # without printing doubles: their text is not needed
    value, printed = parse_printed(body)
    return value, list(map(bytes, _ELEMENTS.decode(printed)))


def parse_objects(texts: Sequence[bytes]) -> tuple[list[dict[str, Json]], Sequence[bytes]] | None:
    """Return the values of several JSON texts, as `parse` does, by one call of the parser; None if that may be wrong.

    With them, their texts as ArangoDB prints them; none if there is a double among the values, which takes longer.
    Values that nobody can guess stand between the texts: if each of them is where it must be, each text is one value.
    """
    body = b"[" + _BETWEEN.join(texts) + b"]"
    try:
        values = orjson.loads(body)
        printed = orjson.dumps(values)
    except (orjson.JSONDecodeError, TypeError):
        return None
    found: list[dict[str, Json]] = values[::2]
    if len(found) != len(texts) or values[1::2] != [_SECRET] * (len(texts) - 1) or set(map(type, found)) != {dict}:
        return None
    if body.count(b":") != printed.count(b":") or (b"\\" in body and b"\\u003" in body):
        return None
    kinds, depth = _kinds(found)
    doubles = not kinds <= _WITHOUT_DOUBLES
    if depth > MAX_DEPTH or (doubles and _LONG.search(body)):
        return None
    return found, () if doubles else list(map(bytes, _ELEMENTS.decode(_upper_controls(printed))[::2]))


def _has_no_double(value: Json) -> bool:
    """Return True if a value consists of objects, arrays, text, integers, booleans and null only: without a double,
    which may be printed, or read, in another way than orjson's.

    To check the values costs a fraction of a search in their text.
    """
    return _kinds(value)[0] <= _WITHOUT_DOUBLES


def _kinds(value: Json) -> tuple[set[type], int]:
    """Return the types of the values in a value, and how deep its arrays and objects nest."""
    level = value.values() if type(value) is dict else value if type(value) is list else (value,)
    found: set[type] = set()
    depth = 0
    while True:
        kinds = set(map(type, level))
        found |= kinds
        depth += 1
        if dict in kinds:
            nested = [item for item in level if type(item) is dict or type(item) is list]
            level = [child for item in nested for child in (item.values() if type(item) is dict else item)]
        elif list in kinds:
            level = [child for item in level if type(item) is list for child in item]
        else:
            return found, depth


def dump(value: Json) -> bytes:
    """Return a value as ArangoDB prints it, compact. Integers beyond 64 bits are printed as doubles."""
    try:
        if _has_no_double(value):
            return _upper_controls(orjson.dumps(value))
    except TypeError:
        pass  # an integer beyond 64 bits, or a name that is no text
    try:
        return _upper_controls(orjson.dumps(_printable(value)))
    except TypeError:
        return _upper_controls(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


@functools.lru_cache(1024)
def within_quotes(text: str) -> str:
    """Return a text as it is printed, without the quotation marks around it: a collection's name may contain them."""
    return dump(text).decode()[1:-1]


def number_text(value: float) -> str:
    """Return a double as ArangoDB prints it: whole ones without a fraction, exponents from eight zeros on.

    The digits are the shortest that read back as the same double. Out of range (NaN, infinity): null.
    """
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "-0" if str(value)[0] == "-" else "0"
    size = abs(value)
    if _EXACT <= size < _WIDE:
        return f"{int(value)}.0"
    sign = "-" if value < 0 else ""
    digits, _, exponent = f"{size!r}".partition("e")
    whole, _, fraction = digits.partition(".")
    fraction = fraction if fraction != "0" else ""
    shift = int(exponent or "0") - len(fraction)
    digits = (whole + fraction).lstrip("0")
    stripped = digits.rstrip("0")
    shift += len(digits) - len(stripped)
    digits, count = stripped, len(stripped)
    magnitude = shift + count - 1
    if shift >= 0 and abs(magnitude) < count + 7:
        return sign + digits + "0" * shift
    if shift < 0 and (shift > -7 or abs(magnitude) < 4):
        point = count + shift
        if point <= 0:
            return f"{sign}0.{'0' * -point}{digits}"
        return f"{sign}{digits[:point]}.{digits[point:]}"
    mantissa = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{sign}{mantissa}e{'-' if magnitude < 0 else '+'}{abs(magnitude)}"


def same(left: Json, right: Json) -> bool:
    """Return True if ArangoDB treats them as equal: true is not 1, 1 is 1.0, null is a value, order is irrelevant."""
    if left != right:
        return False
    if isinstance(left, dict):
        return isinstance(right, dict) and all(same(value, right[name]) for name, value in left.items())
    if isinstance(left, list):
        return all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool)


def _integer(text: str) -> int | float:
    """Return an integer as VelocyPack's parser reads it: beyond 64 bits a double, rounded after each digit.

    That is not always the nearest double (which `strtod` would give).
    """
    digits = text.removeprefix("-")
    negative = text[0] == "-"
    if len(digits) <= 20:
        value = -int(digits) if negative else int(digits)
        if INT_MIN <= value <= INT_MAX:
            return value
    whole, place = 0, 0
    while place < len(digits) and (whole < _CUT or (whole == _CUT and digits[place] <= "5")):
        whole = whole * 10 + int(digits[place])
        place += 1
    double = float(whole)
    for digit in digits[place:]:
        double = double * 10.0 + int(digit)
    return -double if negative else double


def _printable(value: Json) -> Json:
    if isinstance(value, float):
        return orjson.Fragment(number_text(value).encode())
    if isinstance(value, dict):
        return {name: _printable(child) if type(child) not in _PLAIN else child for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(child) if type(child) not in _PLAIN else child for child in value]
    if isinstance(value, int) and not isinstance(value, bool) and not INT_MIN <= value <= INT_MAX:
        return orjson.Fragment(number_text(float(value)).encode())
    return value


_PLAIN: Final = frozenset({str, bool, type(None)})


def _upper_controls(printed: bytes) -> bytes:
    # ArangoDB prints the hexadecimal digits of control characters in upper case
    if b"\\" not in printed or b"\\u00" not in printed:
        return printed
    return _CONTROL.sub(lambda m: m[1] + b"\\u00" + m[2] + m[3].upper(), printed)


def _refuse_duplicates(body: bytes) -> None:
    def unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise JsonError("Duplicate attribute name", Rank.REPEATED)
        return found

    try:
        json.loads(body, object_pairs_hook=unique)
    except RecursionError as error:
        raise JsonError(_TOO_DEEP, Rank.REPEATED) from error
