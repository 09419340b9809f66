"""LIKE and regular expressions. Arguments are taken as text; an invalid expression gives null and warning 1543."""

from __future__ import annotations

import re
from functools import lru_cache

from proxy.aql.collation import Pattern, compile_pattern
from proxy.aql.functions.registry import function
from proxy.aql.functions.sql_calls import SqlCall, of_bool, sql_form
from proxy.aql.functions.text import split_limit
from proxy.aql.printing import to_string
from proxy.aql.query_context import QueryContext
from proxy.aql.sql_forms import SqlForms
from proxy.aql.sql_terms import AnyTerm, ConstantTerm, NotCompilable, Term
from proxy.aql.values import Value, truthy


@lru_cache(maxsize=512)
def _segments(pattern: str, *, ignore_case: bool) -> tuple[re.Pattern[str], ...]:
    """Compile the pieces between the % of a pattern, of fixed length: `_` is any character, a backslash escapes."""
    pieces: list[list[str]] = [[]]
    escaped = False
    for char in pattern:
        if escaped:
            if char not in "%_\\":
                pieces[-1].append(re.escape("\\"))
            pieces[-1].append(re.escape(char))
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "%":
            pieces.append([])
        else:
            pieces[-1].append("." if char == "_" else re.escape(char))
    if escaped:
        pieces[-1].append(re.escape("\\"))
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    return tuple(re.compile("".join(piece), flags) for piece in pieces)


def matches_like(text: str, pattern: str, *, ignore_case: bool = False) -> bool:
    """Return True if the whole text matches, in time of at most the product of both lengths."""
    segments = _segments(pattern, ignore_case=ignore_case)
    if len(segments) == 1:
        return segments[0].fullmatch(text) is not None
    start = segments[0].match(text)
    if start is None:
        return False
    at = start.end()
    for segment in segments[1:-1]:
        found = segment.search(text, at)
        if found is None:
            return False
        at = found.end()
    last = segments[-1]
    if not last.pattern:
        return True
    return any(last.fullmatch(text, begin) for begin in range(at, len(text) + 1))


@function("LIKE", arguments=(2, 3))
def like(_context: QueryContext, text: Value, pattern: Value, ignore_case: Value = False) -> Value:
    """LIKE(text, pattern, caseInsensitive)"""
    return matches_like(to_string(text), to_string(pattern), ignore_case=truthy(ignore_case))


@sql_form("LIKE")
def like_sql(call: SqlCall) -> Term:
    """Match a constant pattern."""
    ignore_case = False
    if call.count == 3:
        third = call.constant(2)
        if third is None:
            raise NotCompilable("LIKE with a third argument")
        ignore_case = truthy(third.value)
    return of_bool(like_condition(call.forms, call.term(0), call.term(1), ignore_case=ignore_case))


def like_condition(forms: SqlForms, text: AnyTerm, pattern: AnyTerm, *, ignore_case: bool) -> str:
    """Return the SQL condition that a text matches a constant pattern; also that of the operator LIKE."""
    if not isinstance(pattern, ConstantTerm) or pattern.kind not in ("text", "odd"):
        raise NotCompilable("LIKE of a pattern that is not constant")
    if pattern.kind == "odd":
        raise NotCompilable("text that jsonb does not hold")
    sql = forms.text(text)
    if not ignore_case:
        return f'({sql} COLLATE "C" LIKE {forms.parameters.constant(pattern, "text", sql_pattern, "like")})'
    if not pattern.value.isascii():
        raise NotCompilable("LIKE without case, beyond ASCII")
    # the characters beyond ASCII that fold to a letter of ASCII: the Kelvin sign, the long s, two i of Turkish
    folded = f"translate(lower({sql} COLLATE \"C\"), U&'\\212A\\017F\\0130\\0131', 'ksii')"
    return f'({folded} COLLATE "C" LIKE {forms.parameters.add(sql_pattern(pattern.value).lower(), "text")})'


def sql_pattern(pattern: str) -> str:
    """Translate a pattern of AQL to one of SQL: a backslash before another character than % _ \\ means itself."""
    translated, escape = "", False
    for char in pattern:
        if escape:
            translated += ("\\" if char in "%_\\" else "\\\\") + char
            escape = False
        elif char == "\\":
            escape = True
        else:
            translated += char
    return translated + ("\\\\" if escape else "")


def _pattern(context: QueryContext, name: str, pattern: Value, ignore_case: Value) -> Pattern | None:
    compiled = compile_pattern(to_string(pattern), ignore_case=truthy(ignore_case))
    if compiled is None:
        context.warn_in_function(name, 1543)
    return compiled


@function("REGEX_TEST", arguments=(2, 3))
def regex_test(context: QueryContext, text: Value, pattern: Value, ignore_case: Value = False) -> Value:
    """REGEX_TEST(text, regex, caseInsensitive): true if it matches anywhere"""
    compiled = _pattern(context, "REGEX_TEST", pattern, ignore_case)
    return None if compiled is None else compiled.find(to_string(text))


@function("REGEX_MATCHES", arguments=(2, 3))
def regex_matches(context: QueryContext, text: Value, pattern: Value, ignore_case: Value = False) -> Value:
    """REGEX_MATCHES(text, regex, caseInsensitive): the first match and its groups, or null"""
    compiled = _pattern(context, "REGEX_MATCHES", pattern, ignore_case)
    return None if compiled is None else compiled.groups(to_string(text))


@function("REGEX_REPLACE", arguments=(3, 4))
def regex_replace(
    context: QueryContext, text: Value, pattern: Value, replacement: Value, ignore_case: Value = False
) -> Value:
    """REGEX_REPLACE(text, regex, replacement, caseInsensitive)"""
    compiled = _pattern(context, "REGEX_REPLACE", pattern, ignore_case)
    if compiled is None:
        return None
    replaced = compiled.replace(to_string(text), to_string(replacement))
    if replaced is None:
        context.warn_in_function("REGEX_REPLACE", 1543)
    return replaced


@function("REGEX_SPLIT", arguments=(2, 4))
def regex_split(context: QueryContext, text: Value, pattern: Value, ignore_case: Value = False, *limit: Value) -> Value:
    """REGEX_SPLIT(text, regex, caseInsensitive, limit)"""
    most = split_limit(context, "REGEX_SPLIT", limit)
    if not most:
        return most if most is None else []
    subject = to_string(text)
    if not to_string(pattern):
        return list(subject)[:most]
    compiled = _pattern(context, "REGEX_SPLIT", pattern, ignore_case)
    return None if compiled is None else compiled.split(subject, most)
