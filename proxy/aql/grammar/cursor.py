"""The parser's state: a cursor over tokens, the scopes of variables, the wording of syntax errors, and two registries.

The other modules of this package are plain functions whose first argument `p` is the `Parser`. Those that parse a
statement are registered by its keyword with `statement_of`, those that parse an operand by the kind of its first token
with `operand_of`. They are called through these registries, so that an expression can contain a query, and a query
expressions, without modules that import each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeAlias, TypeVar

from proxy.aql import ast
from proxy.aql.lexer import Token, fail, tokenize
from proxy.aql.registration import registering
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


StatementParser: TypeAlias = Callable[["Parser"], Sequence[ast.Statement]]
OperandParser: TypeAlias = Callable[["Parser"], ast.Expr]
_STATEMENTS: Final[dict[str, StatementParser]] = {}
OPERANDS: Final[dict[str, OperandParser]] = {}
_Statement = TypeVar("_Statement", bound=StatementParser)
_Operand = TypeVar("_Operand", bound=OperandParser)


def statement_of(*keywords: str) -> Callable[[_Statement], _Statement]:
    """Register the function that parses statements with these keywords."""
    return registering(_STATEMENTS, keywords)


def operand_of(*kinds: str) -> Callable[[_Operand], _Operand]:
    """Register the function that parses operands that begin with a token of these kinds."""
    return registering(OPERANDS, kinds)


def describe(kind: str) -> str:
    """Return the name that ArangoDB's messages give a kind of token."""
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
class NameScope:
    """One scope of variables. kind: main, sub (a query's outermost), for, collect."""

    kind: str
    names: dict[str, None] = field(default_factory=dict)


class Parser:
    """One parse of one text.

    depth: the nesting of expressions and subqueries. warnings: what the query is warned of before it runs.
    current_depth: the array operators around the present token, inside which CURRENT is a variable. into_mode: inside
    the last expression of a modification, whose last IN names the collection.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.index = 0
        self.token: Token = self.tokens[0]
        self.kind: str = self.token.kind
        self.depth = 0
        self.scopes: list[NameScope] = [NameScope("main")]
        self.warnings: list[tuple[int, str]] = []
        self.current_depth = 0
        self.into_mode = False

    # --- dispatch

    def statement(self) -> Sequence[ast.Statement]:
        """Parse a statement, whose keyword is the present token; LET of several variables gives several."""
        return _STATEMENTS[self.kind](self)

    def parameter(self) -> ast.Parameter:
        """Parse @name or @@name."""
        token = self.advance()
        return ast.Parameter(token.value, token.kind == "source")

    # --- tokens

    def advance(self) -> Token:
        """Return the present token, and move on to the next."""
        token = self.token
        if token.kind != "end":
            self.index += 1
            self.token = self.tokens[self.index]
            self.kind = self.token.kind
        return token

    def peek(self, distance: int = 1) -> Token:
        """Return the token at a distance; beyond the end, the last one."""
        index = self.index + distance
        return self.tokens[index] if index < len(self.tokens) else self.tokens[-1]

    def accept(self, kind: str) -> bool:
        """Consume the present token if it is of that kind, and return True if so."""
        if self.kind == kind:
            self.advance()
            return True
        return False

    def expect(self, kind: str) -> Token:
        """Consume a token of that kind. Raise ArangoError 1501 for any other."""
        if self.kind != kind:
            self.unexpected(kind)
        return self.advance()

    def word(self, name: str) -> bool:
        """Return True if the present token is the contextual keyword (OPTIONS, KEEP, …), in upper or lower case."""
        return self.kind == "id" and self.token.value.upper() == name

    def unexpected(self, expecting: str | None = None) -> NoReturn:
        """Raise ArangoError 1501 for the present token."""
        wanted = f", expecting {describe(expecting)}" if expecting else ""
        fail(self.text, self.token.offset, f"syntax error, unexpected {describe(self.kind)}{wanted}")

    def error(self, message: str, at: int | None = None, number: int = 1501) -> NoReturn:
        """Raise an error at an offset (that of the present token by default)."""
        fail(self.text, self.token.offset if at is None else at, message, number)

    def deeper(self) -> None:
        """Enter a level of nesting. Raise ArangoError 1524 if there are too many."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.too_deep()

    def too_deep(self) -> ArangoError:
        """Return the error 1524."""
        return ArangoError(1524, "too much nesting or too many objects in query", status=400)

    # --- scopes

    def declare(self, name: str, at: int) -> str:
        """Declare a variable in the innermost scope. Raise ArangoError 1511 if one of that name is visible."""
        if name not in ("OLD", "NEW") and self.visible(name):
            fail(self.text, at, f"variable '{name}' is assigned multiple times", 1511)
        self.scopes[-1].names[name] = None
        return name

    def visible(self, name: str) -> bool:
        """Return True if a variable of that name is visible."""
        return any(name in scope.names for scope in reversed(self.scopes))

    def open_scope(self, kind: str) -> None:
        """Begin a scope."""
        self.scopes.append(NameScope(kind))

    def end_nested(self) -> tuple[str, ...]:
        """End the scopes down to the outermost one of the query, and return the variables that ended."""
        names: list[str] = []
        while self.scopes[-1].kind not in ("main", "sub"):
            names[:0] = self.scopes.pop().names
        return tuple(names)
