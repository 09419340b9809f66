"""INSERT, UPDATE, REPLACE, REMOVE and UPSERT: from tokens to nodes."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.expressions import ExpressionParser


class ModificationParser(ExpressionParser):
    """Parses modifications, and the OPTIONS that other statements have too."""

    def options(self) -> ast.Object | None:
        """[OPTIONS {…}]"""
        if self.kind != "id":
            return None
        if not self.word("OPTIONS"):
            self.error(f"unexpected qualifier '{self.token.value}', expecting 'OPTIONS'")
        self.advance()
        return self.object()

    def last_expression(self) -> ast.Expr:
        """The expression before `IN collection`, whose last IN is no operator."""
        before, self.into_mode = self.into_mode, True
        value = self.expression()
        self.into_mode = before
        return value

    def into(self) -> tuple[ast.Collection | ast.Parameter, ast.Object | None]:
        """IN|INTO collection [OPTIONS …]; OLD and NEW can be seen from here on."""
        if self.kind not in ("IN", "INTO"):
            self.unexpected()
        self.advance()
        target: ast.Collection | ast.Parameter
        if self.kind in ("id", "str"):
            token = self.advance()
            target = ast.Collection(token.value, token.offset)
        elif self.kind == "source":
            target = self.parameter()
        else:
            self.unexpected()
        options = self.options()
        return target, options

    def finish(self, statement: ast.Modification, *names: str) -> ast.Modification:
        """Declares OLD and NEW behind a modification."""
        for name in names:
            self.scopes[-1].names[name] = None
        return statement

    def insert_statement(self) -> ast.Modification:
        """INSERT document INTO collection"""
        self.advance()
        document = self.last_expression()
        return self.finish(ast.Insert(document, *self.into()), "NEW", "OLD")

    def change_statement(self) -> ast.Modification:
        """UPDATE and REPLACE"""
        kind = self.advance().kind
        key: ast.Expr | None = None
        document = self.last_expression()
        if self.accept("WITH"):
            key, document = document, self.last_expression()
        return self.finish(ast.Change(kind, key, document, *self.into()), "NEW", "OLD")

    def remove_statement(self) -> ast.Modification:
        """REMOVE key IN collection"""
        self.advance()
        key = self.last_expression()
        return self.finish(ast.Remove(key, *self.into()), "OLD")

    def upsert_statement(self) -> ast.Modification:
        """UPSERT search|FILTER condition INSERT document UPDATE|REPLACE change IN collection"""
        self.advance()
        search: ast.Expr | None = None
        condition: ast.Expr | None = None
        if self.accept("FILTER"):
            self.current_depth += 1
            condition = self.expression()
            self.current_depth -= 1
        elif self.kind == "{":
            at = self.token.offset
            search = self.object()
            if not _literal(search):
                self.error("expecting object literal with literal attribute names in example", at)
        elif self.kind in ("bind", "source"):
            search = self.parameter()
        else:
            self.unexpected()
        self.expect("INSERT")
        self.scopes[-1].names["OLD"] = None
        document = self.expression()
        if self.kind not in ("UPDATE", "REPLACE"):
            self.unexpected()
        kind = self.advance().kind
        change = self.last_expression()
        return self.finish(ast.Upsert(search, condition, document, kind, change, *self.into()), "NEW", "OLD")


def _literal(node: ast.Expr) -> bool:
    """Whether all attribute names of an object literal, and of those in it, are written down or bound."""
    if not isinstance(node, ast.Object):
        return True
    return all(
        (item.computed is None or isinstance(item.computed, ast.Parameter)) and _literal(item.value)
        for item in node.items
    )
