"""Expressions: a Pratt parser with ArangoDB's precedence (grammar.y; semantics page, section 1).

From loose to tight: ?: (right), OR, AND, quantifiers, == != LIKE =~ !~, IN and NOT IN, < <= > >=, .., + -, * / %,
unary. NOT binds tighter than every binary operator: `NOT a == b` is `(NOT a) == b`. Accesses follow references,
parentheses, literals of arrays and objects, and calls, but no plain literal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from proxy.aql import ast
from proxy.aql.tokens import MAX_CHAIN, STATEMENTS, TokenStream
from proxy.base.arango_errors import ARANGO_ERRORS

_BINARY = {
    "==": 6,
    "!=": 6,
    "LIKE": 6,
    "=~": 6,
    "!~": 6,
    "IN": 7,
    "<": 8,
    "<=": 8,
    ">": 8,
    ">=": 8,
    "..": 9,
    "+": 10,
    "-": 10,
    "*": 11,
    "/": 11,
    "%": 11,
}
_TERNARY, _OR, _AND, _QUANTIFIER, _AT_LEAST, _EQUAL, _IN = 1, 2, 3, 4, 5, 6, 7
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "IN", "NOT"})
_QUANTIFIERS = frozenset({"ALL", "ANY", "NONE"})
_CONSTANTS: dict[str, bool | None] = {"NULL": None, "TRUE": True, "FALSE": False}
# what may follow `IN collection` at the end of a modification
_AFTER_TARGET = STATEMENTS | {"end", ")", ",", "id"}


class ExpressionParser(TokenStream):
    """Parses expressions; `subquery` is the statement parser's."""

    into_mode = False  # inside the last expression of a modification: the last IN names the collection

    def subquery(self) -> ast.Subquery:
        """A query inside parentheses or an argument list."""
        raise NotImplementedError

    # --- operators

    def expression(self, minimum: int = 0) -> ast.Expr:
        """An expression whose operators bind at least as tightly as `minimum`."""
        self.deeper()
        left = self.unary()
        for _ in range(MAX_CHAIN):
            grown = self.infix(left, minimum)
            if grown is None:
                self.depth -= 1
                return left
            left = grown
        raise self.too_deep()

    def infix(self, left: ast.Expr, minimum: int) -> ast.Expr | None:
        """`left` with the operator that follows it and its other operand; None where none follows."""
        kind = self.kind
        power = _BINARY.get(kind)
        if power is not None:
            if power < minimum or (kind == "IN" and self.into_mode and self.target_follows()):
                return None
            at = self.advance().offset
            right = self.expression(power + 1)
            return ast.Range(left, right) if kind == ".." else ast.Binary(kind, left, right, at)
        if kind in ("AND", "OR"):
            power = _AND if kind == "AND" else _OR
            return None if power < minimum else self.logical(left, kind, power)
        if kind == "NOT":
            return None if minimum > _IN else self.negated(left)
        if kind == "?":
            return None if minimum > _TERNARY else self.ternary(left)
        if kind in _QUANTIFIERS:
            if minimum > _QUANTIFIER or self.peek().kind not in _COMPARISONS:
                return None
            return self.quantified(left, self.advance().kind, None)
        if kind == "id" and self.at_least() and minimum <= _AT_LEAST:
            return self.quantified(left, "AT LEAST", self.amount())
        return None

    def logical(self, left: ast.Expr, kind: str, power: int) -> ast.Expr:
        """A flat chain of one of AND and OR."""
        operands = [left]
        while self.kind == kind:
            self.advance()
            operands.append(self.expression(power + 1))
        return ast.Logical(kind, tuple(operands))

    def negated(self, left: ast.Expr) -> ast.Expr | None:
        """NOT IN, NOT LIKE, NOT =~, NOT !~."""
        following = self.peek().kind
        if following == "IN":
            at = self.advance().offset
            self.advance()
            return ast.Binary("NOT IN", left, self.expression(_IN + 1), at)
        if following not in ("LIKE", "=~", "!~"):
            return None
        at = self.advance().offset
        self.advance()
        op = {"LIKE": "NOT LIKE", "=~": "!~", "!~": "=~"}[following]
        return ast.Binary(op, left, self.expression(_EQUAL + 1), at)

    def ternary(self, condition: ast.Expr) -> ast.Expr:
        """condition ? a : b, and condition ?: b"""
        self.expect("?")
        then = None
        if self.kind != ":":
            then = self.expression()
        self.expect(":")
        return ast.Ternary(condition, then, self.expression(_TERNARY))

    def at_least(self) -> bool:
        """Whether AT LEAST ( stands here."""
        following = self.peek()
        return self.word("AT") and following.kind == "id" and following.value.upper() == "LEAST"

    def amount(self) -> ast.Expr:
        """The number of AT LEAST (number)."""
        self.advance()
        self.advance()
        self.expect("(")
        value = self.nested()
        self.expect(")")
        return value

    def quantified(self, left: ast.Expr, quantifier: str, amount: ast.Expr | None) -> ast.Expr:
        """left quantifier op right"""
        op = self.kind
        if op not in _COMPARISONS:
            self.unexpected()
        self.advance()
        if op == "NOT":
            self.expect("IN")
            op = "NOT IN"
        power = _IN if op == "NOT IN" else _BINARY[op]
        return ast.Quantified(quantifier, amount, op, left, self.expression(power + 1))

    def target_follows(self) -> bool:
        """Whether `IN name` here is the collection of the modification, and no operator."""
        return self.peek().kind in ("id", "str", "source") and self.peek(2).kind in _AFTER_TARGET

    def unary(self) -> ast.Expr:
        """Prefix operators, then what they stand before."""
        kind = self.kind
        if kind in ("NOT", "-", "+"):
            token = self.advance()
            self.deeper()
            operand = self.unary()
            self.depth -= 1
            return ast.Unary(kind, operand, token.offset)
        return self.primary()

    # --- operands

    def nested(self) -> ast.Expr:
        """An expression inside brackets of any kind, where IN is an operator again."""
        before, self.into_mode = self.into_mode, False
        value = self.expression()
        self.into_mode = before
        return value

    def primary(self) -> ast.Expr:
        """A literal, or a reference with its accesses."""
        kind = self.kind
        if kind in ("str", "num"):
            token = self.advance()
            return ast.Literal(token.value, token.offset)
        if kind == "vast":
            self.warnings.append((1504, ARANGO_ERRORS[1504].message))
            return ast.Literal(None, self.advance().offset)
        if kind in _CONSTANTS:
            return ast.Literal(_CONSTANTS[kind], self.advance().offset)
        base: ast.Expr
        if kind == "id":
            base = self.call_or_name()
        elif kind in ("bind", "source"):
            base = self.parameter()
        elif kind == "(":
            base = self.parentheses()
        elif kind == "[":
            base = self.array()
        elif kind == "{":
            base = self.object()
        elif kind == "LIKE" and self.peek().kind == "(":
            base = ast.Call("LIKE", self.arguments_after_name(), self.token.offset)
        else:
            self.unexpected()
        return self.accesses(base) if self.kind in (".", "[") else base

    def parameter(self) -> ast.Parameter:
        """@name or @@name"""
        token = self.advance()
        return ast.Parameter(token.value, token.kind == "source", token.offset)

    def call_or_name(self) -> ast.Expr:
        """A function call, a variable, CURRENT, or a collection."""
        following = self.peek().kind
        token = self.token
        if following == "(":
            return ast.Call(token.value.upper(), self.arguments_after_name(), token.offset)
        if following == "::":
            name = self.advance().value
            while self.accept("::"):
                name += "::" + self.token.value
                if self.kind != "id":
                    self.unexpected("id")
                if self.peek().kind != "::":
                    break
                self.advance()
            return ast.Call(name.upper(), self.arguments_after_name(), token.offset)
        self.advance()
        name = token.value
        if self.visible(name) or (name == "CURRENT" and self.current_depth):
            return ast.Variable(name, token.offset)
        return ast.Collection(name, token.offset)

    def arguments_after_name(self) -> tuple[ast.Expr, ...]:
        """(a, b, …) behind a function's name, which is the present token; an argument may be a bare query."""
        self.advance()
        self.expect("(")
        values: list[ast.Expr] = []
        if self.kind != ")":
            values.append(self.argument())
            while self.accept(","):
                values.append(self.argument())
        self.expect(")")
        return tuple(values)

    def argument(self) -> ast.Expr:
        """One argument: an expression, or a query without parentheses."""
        return self.subquery() if self.kind in STATEMENTS else self.nested()

    def parentheses(self) -> ast.Expr:
        """(expression) or (query)"""
        self.advance()
        value: ast.Expr
        if self.kind in STATEMENTS:
            value = self.subquery()
        else:
            value = self.nested()
            if isinstance(value, ast.Expansion):
                value = ast.Passthru(value)
        self.expect(")")
        return value

    def array(self) -> ast.Array:
        """[a, b, …], a comma may follow the last."""
        self.advance()
        items: list[ast.Expr] = []
        while self.kind != "]":
            items.append(self.nested())
            if not self.accept(","):
                break
        self.expect("]")
        return ast.Array(tuple(items))

    def object(self) -> ast.Object:
        """{a: 1, "b": 2, @c: 3, [d]: 4, e}, a comma may follow the last."""
        self.expect("{")
        items: list[ast.Item] = []
        while self.kind != "}":
            items.append(self.item())
            if not self.accept(","):
                break
        self.expect("}")
        return ast.Object(tuple(items))

    def item(self) -> ast.Item:
        """One attribute of an object literal."""
        kind, token = self.kind, self.token
        if kind in ("id", "str"):
            self.advance()
            if kind == "id" and self.kind in (",", "}"):
                if not self.visible(token.value):
                    self.error(f"use of unknown variable '{token.value}' in object literal", token.offset, number=1512)
                return ast.Item(token.value, None, ast.Variable(token.value, token.offset))
            self.expect(":")
            return ast.Item(token.value, None, self.nested())
        computed: ast.Expr
        if kind == "bind":
            computed = self.parameter()
        elif kind == "[":
            self.advance()
            computed = self.nested()
            self.expect("]")
        else:
            self.unexpected()
        self.expect(":")
        return ast.Item(None, computed, self.nested())

    # --- accesses

    def accesses(self, base: ast.Expr) -> ast.Expr:
        """Everything that begins with a dot or a bracket behind a reference."""
        for _ in range(MAX_CHAIN // 4):
            if self.kind == ".":
                self.advance()
                if self.kind == "id":
                    name = self.advance().value
                    base = _extend(base, partial(ast.Attribute, name=name))
                elif self.kind in ("bind", "source"):
                    bound = self.parameter()
                    base = _extend(base, partial(ast.BoundAttribute, parameter=bound))
                else:
                    self.unexpected("id")
            elif self.kind == "[":
                base = self.bracket(base)
            else:
                return base
        raise self.too_deep()

    def bracket(self, base: ast.Expr) -> ast.Expr:
        """base[index], base[*…], base[?…]"""
        self.advance()
        levels, star = 0, self.kind
        if star not in ("*", "?"):
            index = self.nested()
            self.expect("]")
            return _extend(base, lambda inner: ast.Index(inner, index))
        while self.accept(star):
            levels += 1
        if levels > 1 and isinstance(base, ast.Expansion):
            base = ast.Passthru(base)
        self.current_depth += 1
        before, self.into_mode = self.into_mode, False
        built = self.expansion(levels) if star == "*" else self.array_test(levels)
        self.into_mode = before
        self.current_depth -= 1
        self.expect("]")
        if isinstance(base, ast.Expansion):  # of the array that each element gives, and no further in
            return replace(base, each=replace(built, base=base.each))
        return replace(built, base=base)

    def expansion(self, levels: int) -> ast.Expansion:
        """What stands in [* … ]; the base is filled in by the caller."""
        condition = offset = count = result = None
        if self.accept("FILTER"):
            condition = self.expression()
        if self.accept("LIMIT"):
            count = self.expression()
            if self.accept(","):
                offset, count = count, self.expression()
        if self.accept("RETURN"):
            result = self.expression()
        current = ast.Variable("CURRENT")
        return ast.Expansion(current, levels, condition, offset, count, result, current)

    def array_test(self, levels: int) -> ast.ArrayTest:
        """What stands in [? … ]; the base is filled in by the caller."""
        current = ast.Variable("CURRENT")
        if self.kind == "]":
            return ast.ArrayTest(current, levels, None, None, None)
        quantifier, amount = None, None
        if self.kind in _QUANTIFIERS:
            quantifier = self.advance().kind
        elif self.at_least():
            quantifier, amount = "AT LEAST", self.amount()
        elif self.kind != "FILTER":
            quantifier, amount = "", self.expression()
        self.expect("FILTER")
        return ast.ArrayTest(current, levels, quantifier, amount, self.expression())


def _extend(base: ast.Expr, grow: Callable[[ast.Expr], ast.Expr]) -> ast.Expr:
    """What follows an expansion is taken of each element: it goes to the innermost `each`."""
    if isinstance(base, ast.Expansion):
        return replace(base, each=_extend(base.each, grow))
    return grow(base)
