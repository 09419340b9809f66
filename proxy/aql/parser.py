"""Statements: text -> Query. The whole grammar of ArangoDB 3.12 (grammar.y), with its scopes of variables.

Raises ArangoError 1501 (syntax), 1502 (empty), 1511 (variable assigned twice), 1512 (unknown variable),
1524 (too deep). Functions' names and numbers of arguments are checked by `analyse.check`, bind variables by `binding`.
"""

from __future__ import annotations

from functools import lru_cache

from proxy.aql import ast
from proxy.aql.graph_syntax import DIRECTIONS, GraphParser, Targets
from proxy.aql.tokens import STATEMENTS
from proxy.base.errors import ArangoError

_MODIFICATIONS = (ast.Insert, ast.Change, ast.Remove, ast.Upsert)
_PATHS = frozenset({"SHORTEST_PATH", "K_SHORTEST_PATHS", "K_PATHS", "ALL_SHORTEST_PATHS"})
_MAX_STATEMENTS = 4000


@lru_cache(maxsize=2048)
def parse(text: str) -> ast.Query:
    """The tree of a query; the same object for the same text while it is in the cache."""
    try:
        return Parser(text).query()
    except RecursionError:
        raise ArangoError(1524, "too much nesting or too many objects in query", status=400) from None


class Parser(GraphParser):
    """One parse of one text."""

    def query(self) -> ast.Query:
        """The whole text."""
        if not self.text:
            raise ArangoError(1502)
        collections: list[ast.Collection | ast.Parameter] = []
        if self.accept("WITH"):
            collections.append(self.graph_name())
            while self.kind in ("id", "bind", "source", ","):
                self.accept(",")
                collections.append(self.graph_name())
        statements = self.statements()
        if self.kind != "end":
            self.unexpected("end")
        return ast.Query(tuple(collections), statements, self.text, warnings=tuple(self.warnings))

    def subquery(self) -> ast.Subquery:
        """A query inside another one."""
        self.deeper()
        before, self.into_mode = self.into_mode, False
        height = len(self.scopes)
        self.open_scope("sub")
        statements = self.statements()
        del self.scopes[height:]
        self.into_mode = before
        self.depth -= 1
        return ast.Subquery(ast.Query((), statements))

    def statements(self) -> tuple[ast.Statement, ...]:
        """Statements up to a RETURN, or to the end where the last one is a modification."""
        found: list[ast.Statement] = []
        while self.kind in STATEMENTS:
            if len(found) > _MAX_STATEMENTS:
                raise self.too_deep()
            if self.kind == "LET":
                found.extend(self.lets())
                continue
            statement = _PARSERS[self.kind](self)
            found.append(statement)
            if isinstance(statement, ast.Return):
                break
        if not found or not isinstance(found[-1], (ast.Return, *_MODIFICATIONS)):
            self.unexpected()
        self.end_nested()
        return tuple(found)

    # --- FOR

    def for_statement(self) -> ast.Statement:
        """FOR over a value or collection, a traversal, or a path search."""
        at = self.advance().offset
        names: Targets = [self.target()]
        while self.accept(","):
            names.append(self.target())
        self.expect("IN")
        steps: ast.Expr | None = None
        if self.kind not in DIRECTIONS:
            steps = self.expression()
            if self.kind not in DIRECTIONS:
                return self.for_value(names, steps, at)
        direction = self.advance().kind
        if self.kind in _PATHS:
            return self.paths(names, direction, steps, at)
        return self.traversal(names, direction, steps, at)

    def for_value(self, names: Targets, source: ast.Expr, at: int) -> ast.For:
        """The rest of FOR variable IN source."""
        if len(names) > 1:
            self.error("Collections and views FOR loops only allow a single return variable", at)
        self.open_scope("for")
        self.declare_pattern(*names[0])
        search: ast.Expr | None = None
        if self.word("SEARCH"):
            self.advance()
            search = self.expression()
        if search is None and self.kind == "id" and not self.word("OPTIONS"):
            self.error(f"unexpected qualifier '{self.token.value}', expecting 'SEARCH' or 'OPTIONS'")
        if search is not None and not isinstance(source, (ast.Collection, ast.Parameter)):
            self.error("SEARCH condition used on non-view")
        return ast.For(names[0][0], source, search, self.options(), at)

    # --- patterns

    def target(self) -> tuple[ast.Pattern, int]:
        """A variable, or a destructuring pattern; not yet declared."""
        at = self.token.offset
        if self.kind == "[":
            return self.array_pattern(), at
        if self.kind == "{":
            return self.object_pattern(), at
        return self.expect("id").value, at

    def array_pattern(self) -> ast.ArrayPattern:
        """[a, , b]"""
        self.deeper()
        self.advance()
        targets: list[ast.Pattern | None] = []
        while self.kind != "]":
            targets.append(None if self.kind == "," else self.target()[0])
            if not self.accept(","):
                break
        self.expect("]")
        self.depth -= 1
        return ast.ArrayPattern(tuple(targets))

    def object_pattern(self) -> ast.ObjectPattern:
        """{a, b: c, , d: {e}}; nothing between commas stands for nothing, as ArangoDB takes it"""
        self.deeper()
        self.advance()
        attributes: list[str] = []
        targets: list[ast.Pattern] = []
        while self.kind != "}":
            if self.accept(","):
                continue
            if self.kind not in ("id", "str"):
                self.unexpected("id")
            token = self.advance()
            attributes.append(token.value)
            if self.accept(":"):
                targets.append(self.target()[0])
            elif token.kind == "id":
                targets.append(token.value)
            else:
                self.unexpected(":")
            if not self.accept(","):
                break
        self.expect("}")
        self.depth -= 1
        return ast.ObjectPattern(tuple(attributes), tuple(targets))

    def declare_pattern(self, pattern: ast.Pattern | None, at: int) -> None:
        """Declares every variable of a pattern."""
        if isinstance(pattern, str):
            self.declare(pattern, at)
        elif pattern is not None:
            for target in pattern.targets:
                self.declare_pattern(target, at)

    # --- the statements between

    def lets(self) -> list[ast.Let]:
        """LET a = 1, b = 2"""
        self.advance()
        found: list[ast.Let] = []
        while True:
            pattern, at = self.target()
            self.expect("=")
            value = self.expression()
            self.declare_pattern(pattern, at)
            found.append(ast.Let(pattern, value))
            if not self.accept(","):
                return found

    def filter_statement(self) -> ast.Filter:
        """FILTER condition"""
        self.advance()
        return ast.Filter(self.expression())

    def sort_statement(self) -> ast.Sort:
        """SORT a, b DESC, c @direction"""
        self.advance()
        keys = [self.sort_key()]
        while self.accept(","):
            keys.append(self.sort_key())
        return ast.Sort(tuple(keys))

    def sort_key(self) -> ast.SortKey:
        """One key and its direction, which may be a literal or a bind parameter."""
        value = self.expression()
        if self.kind in ("ASC", "DESC"):
            return ast.SortKey(value, self.advance().kind)
        if self.kind in ("bind", "str", "num", "NULL", "TRUE", "FALSE"):
            return ast.SortKey(value, self.primary())
        return ast.SortKey(value, "ASC")

    def limit_statement(self) -> ast.Limit:
        """LIMIT count | LIMIT offset, count"""
        self.advance()
        first = self.expression()
        if self.accept(","):
            return ast.Limit(first, self.expression())
        return ast.Limit(None, first)

    def collect_statement(self) -> ast.Collect:
        """COLLECT in all its forms. Every expression still sees the variables that end here."""
        at = self.advance().offset
        groups: tuple[ast.Assign, ...] = ()
        aggregates: tuple[ast.Assign, ...] = ()
        if self.kind not in ("AGGREGATE", "WITH"):
            groups = self.assignments()
        if self.accept("AGGREGATE"):
            aggregates = self.aggregates()
        into, into_value, keep, count_into = None, None, None, None
        if self.kind == "WITH":
            self.advance()
            if not self.word("COUNT"):
                self.error("unexpected qualifier, expecting 'COUNT'")
            self.advance()
            if aggregates:
                self.unexpected()
            self.expect("INTO")
            count_into = self.expect("id").value
        elif self.accept("INTO"):
            into = self.expect("id").value
            if self.accept("="):
                into_value = self.expression()
        if self.word("KEEP"):
            if into is None:
                self.error("use of 'KEEP' without 'INTO'")
            keep = self.keep()
        options = self.options()
        # INTO gathers what was set inside loops; without a loop, all of the query's own variables
        alone = self.scopes[-1].kind == "main"
        own = self.end_nested() or (() if self.scopes[-1].kind in ("for", "collect") else tuple(self.scopes[-1].names))
        ends = tuple(name for name in own if name not in ("OLD", "NEW"))
        # at the top level without a loop no scope of its own begins: DISTINCT cannot stand behind it either
        self.open_scope("main" if alone else "collect")
        for assign in (*groups, *aggregates):
            self.declare(assign.name, at)
        for name in (into, count_into):
            if name is not None:
                self.declare(name, at)
        return ast.Collect(groups, aggregates, into, into_value, keep, count_into, options, ends)

    def keep(self) -> tuple[str, ...]:
        """KEEP a, b"""
        self.advance()
        names: list[str] = []
        while True:
            token = self.expect("id")
            if not self.visible(token.value):
                self.error(f"use of unknown variable '{token.value}' for KEEP", token.offset)
            names.append(token.value)
            if not self.accept(","):
                return tuple(names)

    def assignments(self) -> tuple[ast.Assign, ...]:
        """a = x, b = y"""
        found: list[ast.Assign] = []
        while True:
            name = self.expect("id").value
            self.expect("=")
            found.append(ast.Assign(name, self.expression()))
            if not self.accept(","):
                return tuple(found)

    def aggregates(self) -> tuple[ast.Assign, ...]:
        """a = F(x), b = G(y): the right side is one call."""
        found: list[ast.Assign] = []
        while True:
            name = self.expect("id").value
            self.expect("=")
            at = self.token.offset
            value = self.expression()
            if not isinstance(value, ast.Call):
                self.error("aggregate expression must be a function call", at, number=1574)
            found.append(ast.Assign(name, value))
            if not self.accept(","):
                return tuple(found)

    def window_statement(self) -> ast.Window:
        """WINDOW {preceding, following} AGGREGATE … and WINDOW value WITH {…} AGGREGATE …"""
        at = self.advance().offset
        value: ast.Expr | None = None
        bounds = self.expression()
        if self.accept("WITH"):
            value, bounds = bounds, self.object()
        if not isinstance(bounds, ast.Object) or not bounds.items:
            self.error("At least one WINDOW bound must be specified ('preceding'/'following')", at)
        names = [item.name for item in bounds.items]
        for name in names:
            if name not in ("preceding", "following"):
                self.error(f'Invalid WINDOW attribute \'{name}\'; only "preceding" and "following" are supported', at)
            if names.count(name) > 1:
                self.error(f"WINDOW attribute '{name}' is specified multiple times", at)
        self.expect("AGGREGATE")
        aggregates = self.aggregates()
        for assign in aggregates:
            self.declare(assign.name, at)
        return ast.Window(value, bounds, aggregates)

    def return_statement(self) -> ast.Return:
        """RETURN [DISTINCT] value"""
        self.advance()
        distinct = False
        if self.kind == "DISTINCT":
            if self.scopes[-1].kind in ("main", "sub"):
                self.error("cannot use DISTINCT modifier on top-level query element")
            self.advance()
            distinct = True
        return ast.Return(self.expression(), distinct)


_PARSERS = {
    "FOR": Parser.for_statement,
    "FILTER": Parser.filter_statement,
    "SORT": Parser.sort_statement,
    "LIMIT": Parser.limit_statement,
    "COLLECT": Parser.collect_statement,
    "WINDOW": Parser.window_statement,
    "RETURN": Parser.return_statement,
    "INSERT": Parser.insert_statement,
    "UPDATE": Parser.change_statement,
    "REPLACE": Parser.change_statement,
    "REMOVE": Parser.remove_statement,
    "UPSERT": Parser.upsert_statement,
}
