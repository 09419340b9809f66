"""Traversals and path searches: from tokens to nodes."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.modification_syntax import ModificationParser

DIRECTIONS = frozenset({"OUTBOUND", "INBOUND", "ANY"})
Targets = list[tuple[ast.Pattern, int]]


class GraphParser(ModificationParser):
    """Parses what follows `FOR v, e, p IN steps direction`."""

    def graph_variables(self, names: Targets, most: int, message: str) -> tuple[str, ...]:
        """The output variables of a traversal or path search."""
        if len(names) > most:
            self.error(message, names[0][1])
        self.open_scope("for")
        plain: list[str] = []
        for name, at in names:
            if not isinstance(name, str):
                self.error("syntax error, unexpected destructuring in graph query", at)
            plain.append(self.declare(name, at))
        return tuple(plain)

    def traversal(self, names: Targets, direction: str, steps: ast.Expr | None, at: int) -> ast.Traversal:
        """The rest of FOR v, e, p IN steps direction."""
        start = self.expression()
        edges, graph = self.subject()
        variables = self.graph_variables(names, 3, "Traversals only have one, two or three return variables")
        prune_variable, prune = None, None
        if self.word("PRUNE"):
            self.advance()
            if self.kind == "id" and self.peek().kind == "=":
                token = self.advance()
                self.advance()
                prune = self.expression()
                prune_variable = self.declare(token.value, token.offset)
            else:
                prune = self.expression()
            if any(isinstance(node, ast.Subquery) for node in ast.walk(prune)):
                self.error("PRUNE condition must not use a subquery")
        elif self.kind == "id" and not self.word("OPTIONS"):
            self.error(f"unexpected qualifier '{self.token.value}', expecting 'PRUNE' or 'OPTIONS'")
        return ast.Traversal(
            variables, direction, steps, start, edges, graph, prune_variable, prune, self.options(), at
        )

    def paths(self, names: Targets, direction: str, steps: ast.Expr | None, at: int) -> ast.Paths:
        """The rest of FOR v, e IN direction SHORTEST_PATH and its relatives."""
        kind = self.advance().kind
        if steps is not None and kind != "K_PATHS":
            self.error(f"syntax error, unexpected {kind} keyword", at)
        start = self.expression()
        if not self.word("TO"):
            self.error("unexpected qualifier, expecting 'TO'")
        self.advance()
        target = self.expression()
        edges, graph = self.subject()
        options = self.options()
        if kind == "SHORTEST_PATH":
            variables = self.graph_variables(names, 2, "SHORTEST_PATH must have one or two return variables")
        else:
            variables = self.graph_variables(names, 1, f"{kind} only has one return variable")
        return ast.Paths(kind, variables, direction, steps, start, target, edges, graph, options, at)

    def subject(self) -> tuple[tuple[ast.Edges, ...], ast.Expr | None]:
        """Edge collections, or GRAPH and a name."""
        if self.accept("GRAPH"):
            if self.kind in ("id", "str"):
                token = self.advance()
                return (), ast.Literal(token.value, token.offset)
            if self.kind in ("bind", "source"):
                return (), self.parameter()
            self.unexpected()
        edges = [self.edges()]
        while self.accept(","):
            edges.append(self.edges())
        return tuple(edges), None

    def edges(self) -> ast.Edges:
        """[direction] collection"""
        direction = self.advance().kind if self.kind in DIRECTIONS else None
        return ast.Edges(direction, self.graph_name())

    def graph_name(self) -> ast.Collection | ast.Parameter:
        """A collection in WITH or in a list of edge collections."""
        if self.kind in ("bind", "source"):
            return self.parameter()
        token = self.expect("id")
        return ast.Collection(token.value, token.offset)
