"""Looking into strings: positions, prefixes, similarity."""

from __future__ import annotations

from proxy.aql.context import Context
from proxy.aql.functions.registry import function, is_number
from proxy.aql.printing import to_string
from proxy.aql.values import Value, to_integer, truthy

_SOUNDEX = {
    **dict.fromkeys("BFPV", "1"),
    **dict.fromkeys("CGJKQSXZ", "2"),
    **dict.fromkeys("DT", "3"),
    "L": "4",
    **dict.fromkeys("MN", "5"),
    "R": "6",
}
_MAX_DISTANCE = 20_000_000  # cells of the table of LEVENSHTEIN_DISTANCE


@function("CONTAINS")
def contains_text(context: Context, text: Value, search: Value, index: Value = False) -> Value:
    """CONTAINS(text, search, returnIndex): an empty search is found nowhere"""
    wanted = to_string(search)
    at = to_string(text).find(wanted) if wanted else -1
    return at if truthy(index) else at >= 0


def _bounds(start: Value, end: Value, size: int) -> tuple[int, int] | None:
    first = 0 if start is None else to_integer(start)
    last = size - 1 if end is None else to_integer(end)
    if first < 0 or last < 0 or (end is not None and last < first):
        return None
    return first, min(last, size - 1) + 1


@function("FIND_FIRST")
def find_first(context: Context, text: Value, search: Value, start: Value = None, end: Value = None) -> Value:
    """FIND_FIRST(text, search, start, end): -1 where it is not; the end is included"""
    subject = to_string(text)
    bounds = _bounds(start, end, len(subject))
    return -1 if bounds is None else subject.find(to_string(search), *bounds)


@function("FIND_LAST")
def find_last(context: Context, text: Value, search: Value, start: Value = None, end: Value = None) -> Value:
    """FIND_LAST(text, search, start, end)"""
    subject = to_string(text)
    bounds = _bounds(start, end, len(subject))
    return -1 if bounds is None else subject.rfind(to_string(search), *bounds)


@function("STARTS_WITH")
def starts_with(context: Context, text: Value, prefix: Value, least: Value = 1) -> Value:
    """STARTS_WITH(text, prefix) or STARTS_WITH(text, prefixes, minMatchCount)"""
    if text.__class__ is not str:
        context.invalid("STARTS_WITH")
        return None
    if prefix.__class__ is str:
        return bool(text.startswith(prefix))
    if prefix.__class__ is not list or not is_number(least):
        context.invalid("STARTS_WITH")
        return None
    matched = sum(1 for one in prefix if one.__class__ is str and text.startswith(one))
    return matched >= int(least)


@function("LEVENSHTEIN_DISTANCE")
def levenshtein(context: Context, a: Value, b: Value) -> Value:
    """LEVENSHTEIN_DISTANCE(a, b): insertions, deletions and substitutions"""
    first, second = to_string(a), to_string(b)
    context.size(len(first) * len(second), _MAX_DISTANCE)
    previous = list(range(len(second) + 1))
    for row, left in enumerate(first, 1):
        current = [row]
        for column, right in enumerate(second, 1):
            current.append(min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (left != right)))
        previous = current
    return previous[-1]


def _grams(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(len(text) - size + 1)]


def _similarity(context: Context, name: str, a: Value, b: Value, size: Value, positional: bool) -> Value:
    if a.__class__ is not str or b.__class__ is not str or not is_number(size) or size < 1:
        context.invalid(name)
        return None
    width = int(size)
    if a == b:
        return 1
    first, second = _grams(a, width), _grams(b, width)
    if not first or not second:
        return 0
    context.size(len(first) * len(second), _MAX_DISTANCE)
    # the longest common sequence of grams, each pair weighing 1 or, positional, the share of equal places
    table = [0.0] * (len(second) + 1)
    for left in first:
        diagonal = 0.0
        for column, right in enumerate(second, 1):
            above = table[column]
            if positional:
                weight = sum(x == y for x, y in zip(left, right, strict=True)) / width
            else:
                weight = float(left == right)
            table[column] = max(above, table[column - 1], diagonal + weight)
            diagonal = above
    return table[-1] / max(len(first), len(second))


@function("NGRAM_SIMILARITY")
def ngram_similarity(context: Context, a: Value, b: Value, size: Value) -> Value:
    """NGRAM_SIMILARITY(input, target, n): matched grams by those of the target"""
    if a.__class__ is not str or b.__class__ is not str or not is_number(size) or size < 1:
        context.invalid("NGRAM_SIMILARITY")
        return None
    longest = _similarity(context, "NGRAM_SIMILARITY", a, b, size, positional=False)
    first, second = _grams(a, int(size)), _grams(b, int(size))
    if a == b or not first or not second:
        return longest
    return min(1.0, longest * max(len(first), len(second)) / len(second))


@function("NGRAM_POSITIONAL_SIMILARITY")
def ngram_positional_similarity(context: Context, a: Value, b: Value, size: Value) -> Value:
    """NGRAM_POSITIONAL_SIMILARITY(input, target, n)"""
    return _similarity(context, "NGRAM_POSITIONAL_SIMILARITY", a, b, size, positional=True)


@function("SOUNDEX")
def soundex(context: Context, value: Value) -> Value:
    """SOUNDEX(text): one letter and three digits"""
    letters = [c for c in to_string(value).upper() if "A" <= c <= "Z"]
    if not letters:
        return ""
    code, last = letters[0], _SOUNDEX.get(letters[0], "")
    for letter in letters[1:]:
        digit = _SOUNDEX.get(letter, "")
        if digit and digit != last:
            code += digit
        if letter not in "HW":
            last = digit
    return (code + "000")[:4]
