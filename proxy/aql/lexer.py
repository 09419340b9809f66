"""Text -> tokens. Rules: semantics page, section 1 (ArangoDB's tokens.ll).

A token is a tuple (kind, value, offset). Kinds: a keyword in upper case, `id`, `str`, `num`, `vast` (a number beyond
what a double holds), `bind` (@x), `source` (@@x), `end`, or an operator as itself (`&&` is AND, `||` is OR, `!` is
NOT). `NOT IN` stays two tokens: the parser joins them.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple, NoReturn

from proxy.base.errors import ArangoError


class Token(NamedTuple):
    """One token; `value` is the decoded text or number, `offset` a character offset in the query."""

    kind: str
    value: Any
    offset: int


KEYWORDS: frozenset[str] = frozenset(
    [
        "AGGREGATE",
        "ALL",
        "ALL_SHORTEST_PATHS",
        "AND",
        "ANY",
        "ASC",
        "COLLECT",
        "DESC",
        "DISTINCT",
        "FALSE",
        "FILTER",
        "FOR",
        "GRAPH",
        "IN",
        "INBOUND",
        "INSERT",
        "INTO",
        "K_PATHS",
        "K_SHORTEST_PATHS",
        "LET",
        "LIKE",
        "LIMIT",
        "NONE",
        "NOT",
        "NULL",
        "OR",
        "OUTBOUND",
        "REMOVE",
        "REPLACE",
        "RETURN",
        "SHORTEST_PATH",
        "SORT",
        "TRUE",
        "UPDATE",
        "UPSERT",
        "WINDOW",
        "WITH",
    ]
)

MAX_LENGTH = 4 << 20  # characters of one query

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*|/\*(?:[^*]|\*(?!/))*+\*/)
  | (?P<id>\$?[A-Za-z][A-Za-z0-9_]*|_+[A-Za-z]+[A-Za-z0-9_]*)
  | (?P<num>0[bB][01]{1,32}(?![0-9A-Za-z_])|0[xX][0-9a-fA-F]{1,8}(?![0-9A-Za-z_])
      |(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|(?<!\.)\.[0-9]+|(?<=\.\.)\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
  | (?P<str>"[^"\\]*+(?:\\.[^"\\]*+)*+"|'[^'\\]*+(?:\\.[^'\\]*+)*+')
  | (?P<source>@@(?:_+[A-Za-z0-9]+[A-Za-z0-9_]*|[A-Za-z0-9][A-Za-z0-9_]*))
  | (?P<bind>@(?:_+[A-Za-z0-9]+[A-Za-z0-9_]*|[A-Za-z0-9][A-Za-z0-9_]*))
  | (?P<op>==|!=|<=|>=|=~|!~|&&|\|\||\.\.|::|/(?!\*)|[-+*%=<>!?:,.(){}\[\]])
  | (?P<quoted>`[^`\\]*+(?:\\.[^`\\]*+)*+`|´[^´\\]*+(?:\\.[^´\\]*+)*+´)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SIMPLE = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_OPERATORS = {"&&": "AND", "||": "OR", "!": "NOT"}


def position(text: str, offset: int) -> tuple[int, int]:
    """Return line and column of a character offset, both from 1."""
    line = text.count("\n", 0, offset) + 1
    return line, offset - (text.rfind("\n", 0, offset) + 1) + 1


def fail(text: str, offset: int, message: str, number: int = 1501) -> NoReturn:
    """Raise a parse error in the words of ArangoDB, with the text near it, the line and the column."""
    line, column = position(text, offset)
    near = text[offset : offset + 32] + ("..." if len(text) - offset > 32 else "")
    raise ArangoError(number, f"AQL: {message} near '{near}' at position {line}:{column} (while parsing)", status=400)


def unescape(body: str) -> str:
    """Return the text of a quoted string or identifier without its quotes."""
    if "\\" not in body:
        return body
    text = _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _SIMPLE.get(m[2], m[2]), body)
    if any("\ud800" <= c <= "\udfff" for c in text):  # pairs written as two escapes become one character
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def number(text: str) -> int | float:
    """Read a number as ArangoDB reads literals: an integer if it fits 64 bits, else a double."""
    head = text[:2].lower()
    if head in ("0b", "0x"):
        return int(text, 0)
    if text.isdigit() and len(text) < 20:
        value = int(text)
        if value < 1 << 63:
            return value
    return float(text)


def tokenize(text: str) -> list[Token]:
    """Return all tokens, the last of kind `end`. Raise ArangoError 1501 at text that is not a token."""
    if len(text) > MAX_LENGTH:
        raise ArangoError(32, "query text is too long", status=400)
    tokens: list[Token] = []
    at, end = 0, len(text)
    last = 0  # the start of the last piece of text, which the server reports as the end of the query
    match_at = _TOKEN.match
    add = tokens.append
    while at < end:
        match = match_at(text, at)
        if match is None:
            _no_token(text, at)
        kind = match.lastgroup
        raw = match[0]
        if kind == "id":
            upper = raw.upper()
            add(Token(upper, raw, at) if upper in KEYWORDS else Token("id", raw, at))
        elif kind == "op":
            add(Token(_OPERATORS.get(raw, raw), raw, at))
        elif kind == "str":
            add(Token("str", unescape(raw[1:-1]), at))
        elif kind == "num":
            value = number(raw)
            # a number that no double holds is null, with a warning
            add(Token("num", value, at) if math.isfinite(value) else Token("vast", None, at))
        elif kind == "bind":
            add(Token("bind", raw[1:], at))
        elif kind == "source":
            add(Token("source", raw[1:], at))
        elif kind == "quoted":
            add(Token("id", unescape(raw[1:-1]), at))
        last, at = at, match.end()
    add(Token("end", "", end if "\n" in text[last:] else last))
    return tokens


def _no_token(text: str, at: int) -> NoReturn:
    if text[at] in "\"'":
        fail(text, at, "syntax error, unexpected unterminated string literal")
    if text[at] in "`´":
        fail(text, at, "syntax error, unexpected unterminated identifier")
    if text.startswith("/*", at):
        fail(text, at, "syntax error, unexpected unterminated multi-line comment")
    fail(text, at, f"syntax error, unexpected character '{text[at]}'")
