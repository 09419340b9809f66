"""The parser's base: a cursor over tokens, the scopes of variables, and the wording of syntax errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from proxy.aql.lexer import Token, fail, tokenize
from proxy.base.errors import ArangoError

MAX_DEPTH = 128  # nesting of expressions and subqueries together; deeper is error 1524
MAX_CHAIN = 500  # accesses or operators of one level in a row

_COMMANDS = frozenset({"REMOVE", "INSERT", "UPDATE", "REPLACE", "UPSERT"})
_DECLARATIONS = frozenset({"FOR", "LET", "FILTER", "RETURN", "COLLECT", "SORT", "LIMIT", "WINDOW"})
STATEMENTS = _COMMANDS | _DECLARATIONS
_MODIFIERS = {
    "DISTINCT": "DISTINCT modifier",
    "OUTBOUND": "outbound modifier",
    "INBOUND": "inbound modifier",
    "ANY": "any modifier",
    "ALL": "all modifier",
    "NONE": "none modifier",
    "NULL": "null",
    "TRUE": "true",
    "FALSE": "false",
    "NOT": "not operator",
    "AND": "and operator",
    "OR": "or operator",
    "LIKE": "like operator",
    "id": "identifier",
    "str": "quoted string",
    "num": "number",
    "vast": "number",
    "bind": "bind parameter",
    "source": "bind data source parameter",
    "end": "end of query string",
    "=": "assignment",
    "=~": "~= operator",
    "!~": "~! operator",
}


def describe(kind: str) -> str:
    """What ArangoDB calls a kind of token in its messages."""
    if kind in _DECLARATIONS:
        return f"{kind} declaration"
    if kind in _COMMANDS:
        return f"{kind} command"
    if kind in _MODIFIERS:
        return _MODIFIERS[kind]
    if kind.isalpha() or "_" in kind:
        return f"{kind} keyword"
    if kind in {"==", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%"}:
        return f"{kind} operator"
    return kind


@dataclass(slots=True)
class Scope:
    """One scope of variables. kind: main, sub (a query's outermost), for, collect."""

    kind: str
    names: dict[str, None] = field(default_factory=dict)


class TokenStream:
    """Tokens one after the other; what every part of the parser stands on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.index = 0
        self.token: Token = self.tokens[0]
        self.kind: str = self.token.kind
        self.depth = 0
        self.scopes: list[Scope] = [Scope("main")]
        self.warnings: list[tuple[int, str]] = []  # what the query is warned of before it runs
        self.current_depth = 0  # how many array brackets CURRENT may stand in

    # --- tokens

    def advance(self) -> Token:
        """The present token; the next one becomes present."""
        token = self.token
        if token.kind != "end":
            self.index += 1
            self.token = self.tokens[self.index]
            self.kind = self.token.kind
        return token

    def peek(self, distance: int = 1) -> Token:
        """The token that many places ahead; the last one beyond the end."""
        index = self.index + distance
        return self.tokens[index] if index < len(self.tokens) else self.tokens[-1]

    def accept(self, kind: str) -> bool:
        """Takes the present token if it is of that kind."""
        if self.kind == kind:
            self.advance()
            return True
        return False

    def expect(self, kind: str) -> Token:
        """Takes a token of that kind. Raises 1501 for any other."""
        if self.kind != kind:
            self.unexpected(kind)
        return self.advance()

    def word(self, name: str) -> bool:
        """Whether the present token is the contextual keyword (OPTIONS, KEEP, …), in any case."""
        return self.kind == "id" and self.token.value.upper() == name

    def unexpected(self, expecting: str | None = None) -> NoReturn:
        """Raises 1501 for the present token."""
        wanted = f", expecting {describe(expecting)}" if expecting else ""
        fail(self.text, self.token.offset, f"syntax error, unexpected {describe(self.kind)}{wanted}")

    def error(self, message: str, at: int | None = None, number: int = 1501) -> NoReturn:
        """Raises an error of the parser's own at a place (the present token by default)."""
        fail(self.text, self.token.offset if at is None else at, message, number)

    def deeper(self) -> None:
        """One level down. Raises 1524 where the query is nested too deeply."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.too_deep()

    def too_deep(self) -> ArangoError:
        """The error 1524."""
        return ArangoError(1524, "too much nesting or too many objects in query", status=400)

    # --- scopes

    def declare(self, name: str, at: int) -> str:
        """A new variable in the innermost scope. Raises 1511 where one of that name is visible."""
        if name not in ("OLD", "NEW") and self.visible(name):
            fail(self.text, at, f"variable '{name}' is assigned multiple times", 1511)
        self.scopes[-1].names[name] = None
        return name

    def visible(self, name: str) -> bool:
        """Whether a variable of that name can be seen."""
        return any(name in scope.names for scope in reversed(self.scopes))

    def open_scope(self, kind: str) -> None:
        """Begins a scope."""
        self.scopes.append(Scope(kind))

    def end_nested(self) -> tuple[str, ...]:
        """Ends the scopes down to the query's outermost one; returns the names that ended."""
        names: list[str] = []
        while self.scopes[-1].kind not in ("main", "sub"):
            names[:0] = self.scopes.pop().names
        return tuple(names)
