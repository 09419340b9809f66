"""Expressions -> terms: attributes, operators that choose, arrays, objects; what is constant is worked out at once."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.access import bound_path
from proxy.aql.ast import written
from proxy.aql.compile.base import FormCompiler
from proxy.aql.compile.scope import AliasVar, DocumentVar, RowsVar, Scope, ValueVar, Var
from proxy.aql.compile.sql_terms import AnyTerm, Bound, Constant, NotCompilable, Term
from proxy.aql.signatures import FETCHING
from proxy.aql.values import truthy
from proxy.base.errors import ArangoError, Unsupported


class ExpressionCompiler(FormCompiler):
    """Compiles expressions; statements and subqueries are those of the classes derived from it."""

    def term(self, node: ast.Expr) -> AnyTerm:
        """An expression. Raises Refused."""
        self.budget -= 1
        if self.budget < 0:
            raise NotCompilable("an expression that grows too large")
        if isinstance(node, ast.Literal):
            return Constant(node.value)
        if isinstance(node, ast.Parameter) and not node.source and node.name in self.binds:
            return Bound(node.name, self.binds)
        if self.constant(node):
            try:
                return self.folded(node)
            except (ArangoError, Unsupported) as error:
                raise NotCompilable(str(error)) from None
        if isinstance(node, (ast.Attribute, ast.BoundAttribute, ast.Index)):
            return self.access(node)
        if isinstance(node, ast.Variable):
            return self.variable(node)
        if isinstance(node, ast.Logical):
            return self.choice(node)
        if isinstance(node, ast.Ternary):
            return self.ternary(node)
        if isinstance(node, ast.Unary):
            return self.unary(node)
        if isinstance(node, ast.Binary):
            return self.binary(node)
        if isinstance(node, ast.Passthru):
            return self.term(node.inner)
        if isinstance(node, ast.Array):
            return self.array(node)
        if isinstance(node, ast.Object):
            return self.object(node)
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.Subquery):
            return self.subquery(node)
        if isinstance(node, ast.Expansion):
            return self.expansion(node)
        if isinstance(node, ast.ArrayTest):
            return self.array_test(node)
        if isinstance(node, ast.Quantified):
            return self.quantified(node)
        raise NotCompilable(type(node).__name__.lower())

    def condition(self, node: ast.Expr) -> str:
        """An expression as a boolean that is never NULL."""
        if isinstance(node, ast.Logical) and not self.constant(node):
            parts = [self.condition(operand) for operand in node.operands]
            return "(" + f" {node.op} ".join(parts) + ")"
        if isinstance(node, ast.Unary) and node.op == "NOT":
            return f"(NOT {self.condition(node.operand)})"
        return self.truth(self.term(node))

    def unary(self, node: ast.Unary) -> Term:
        """NOT, - and +."""
        if node.op == "NOT":
            return Term(self.condition(node), "bool", True)
        raise NotCompilable("a sign before an expression")

    def choice(self, node: ast.Logical) -> AnyTerm:
        """AND and OR, which give an operand."""
        terms = [self.term(operand) for operand in node.operands]
        if all(isinstance(term, Term) and term.kind == "bool" for term in terms):
            return Term("(" + f" {node.op} ".join(self.truth(term) for term in terms) + ")", "bool", True)
        result = self.json(terms[-1])
        for term in reversed(terms[:-1]):
            value = self.json(term)
            yes, no = (value, result) if node.op == "OR" else (result, value)
            result = f"CASE WHEN {self.truth(term)} THEN {yes} ELSE {no} END"
        return Term(f"({result})")

    def ternary(self, node: ast.Ternary) -> AnyTerm:
        """a ? b : c and a ?: c."""
        if self.constant(node.condition):
            chosen = self.folded(node.condition)
            if truthy(chosen.value):
                return chosen if node.then is None else self.term(node.then)
            return self.term(node.otherwise)
        test = self.condition(node.condition)
        then = self.term(node.condition if node.then is None else node.then)
        otherwise = self.term(node.otherwise)
        if isinstance(then, Term) and isinstance(otherwise, Term) and then.kind == otherwise.kind:
            return Term(f"(CASE WHEN {test} THEN {then.sql} ELSE {otherwise.sql} END)", then.kind)
        return Term(f"(CASE WHEN {test} THEN {self.json(then)} ELSE {self.json(otherwise)} END)")

    # --- variables and accesses

    def variable(self, node: ast.Variable) -> AnyTerm:
        """A variable as a value."""
        var = self.find(node.name)
        if isinstance(var, AliasVar):
            return self.within(var.scope, var.expression)
        if isinstance(var, DocumentVar):
            return self.whole(var)
        if isinstance(var, RowsVar):
            return Term(var.at(var.value()))
        if isinstance(var, ValueVar):
            return Term(var.sql, var.kind, var.scalar)
        return Term(var.sql)

    def whole(self, var: DocumentVar) -> Term:
        """A document as a value."""
        return Term(f"_crossfade.document({var.prefix}, {var.key}, {var.raw}, {var.doc})")

    def find(self, name: str) -> Var:
        """The variable of this name. Raises Refused."""
        found = self.scope.find(name)
        if found is None:
            raise NotCompilable(f"variable {name}")
        return found

    def within(self, scope: Scope, node: ast.Expr) -> AnyTerm:
        """An expression that was written where other variables were in scope."""
        before, self.scope = self.scope, scope
        try:
            return self.term(node)
        finally:
            self.scope = before

    def access(self, node: ast.Attribute | ast.BoundAttribute | ast.Index) -> AnyTerm:
        """base.name, base.@parameter, base[index]."""
        names: tuple[str | int, ...]
        if isinstance(node, ast.Attribute):
            names = (node.name,)
        elif isinstance(node, ast.BoundAttribute):
            try:
                names = bound_path(node.parameter.name, self.binds.get(node.parameter.name))
            except ArangoError as error:
                raise NotCompilable(str(error)) from None
        else:
            index = self.term(node.index)
            if not isinstance(index, Constant):
                return self.dynamic_index(node.base, index)
            value = index.value
            if isinstance(value, float):
                value = int(value)
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise NotCompilable("an index of another type")
            if isinstance(value, str) and value.lstrip("+-").isdigit():
                raise NotCompilable("an index of digits")
            if isinstance(value, int) and not -(1 << 31) <= value < 1 << 31:
                raise NotCompilable("a large index")
            names = (value,)
        return self.path(node.base, names)

    def dynamic_index(self, base: ast.Expr, index: Term) -> AnyTerm:
        """base[expression]"""
        inner = self.term(base)
        if index.kind == "text" or not isinstance(inner, Constant):
            raise NotCompilable("an index that is no constant")
        if not isinstance(inner.value, dict):
            raise NotCompilable("an index that is no constant")
        # only a text finds an attribute whose name is no number
        if any(name.lstrip("+-").replace(".", "").isdigit() for name in inner.value):
            raise NotCompilable("an index that is no constant")
        sql = self.json(index)
        return Term(f"({self.json(inner)} -> CASE jsonb_typeof({sql}) WHEN 'string' THEN ({sql} #>> '{{}}') END)")

    def path(self, base: ast.Expr, names: tuple[str | int, ...]) -> AnyTerm:
        """Names and places, one after the other, from a base."""
        if isinstance(base, ast.Variable):
            var = self.find(base.name)
            if isinstance(var, AliasVar):
                before, self.scope = self.scope, var.scope
                try:
                    return self.path(var.expression, names)
                finally:
                    self.scope = before
            if isinstance(var, DocumentVar):
                return self.document_path(var, names)
        if isinstance(base, ast.Call) and base.name == "DOCUMENT":
            return self.document_path(self.lookup(base), names)
        if isinstance(base, ast.Object) and isinstance(names[0], str) and all(i.computed is None for i in base.items):
            for item in reversed(base.items):
                if item.name == names[0]:
                    return self.term(item.value) if len(names) == 1 else self.path(item.value, names[1:])
            return Constant(None)
        if isinstance(base, ast.Attribute):
            return self.path(base.base, (base.name, *names))
        if isinstance(base, ast.Index) and self.constant(base.index):
            value = self.folded(base.index).value
            if isinstance(value, int) and not isinstance(value, bool) and -(1 << 31) <= value < 1 << 31:
                return self.path(base.base, (value, *names))
        inner = self.term(base)
        if isinstance(inner, Constant):
            node: ast.Expr = ast.Literal(inner.value)
            for name in names:
                node = ast.Attribute(node, name) if isinstance(name, str) else ast.Index(node, ast.Literal(name))
            return self.folded(node)
        return self.steps(inner.sql, names) if inner.kind == "json" else Constant(None)

    def steps(self, sql: str, names: tuple[str | int, ...]) -> Term:
        """Accesses by name and place on jsonb."""
        member = None
        for name in names:
            if isinstance(name, str):
                member = (sql, self.parameters.name(name))
                sql = f"({member[0]} -> {member[1]})"
            else:
                member = None
                sql = f"_crossfade.element({sql}, {self.parameters.add(name, 'integer')})"
        return Term(sql, member=member)

    def document_path(self, var: DocumentVar, names: tuple[str | int, ...]) -> AnyTerm:
        """An attribute of a document; _key, _id and _rev are not in its jsonb."""
        first = names[0]
        if first in ("_key", "_id", "_rev"):
            if len(names) > 1:
                return Constant(None)
            if first == "_rev":
                return Term(f"to_jsonb({var.raw} ->> '_rev')", "json", True)
            sql = var.key if first == "_key" else f"({var.prefix} || {var.key})"
            return Term(f"to_jsonb({sql})", "json", True) if var.nullable else Term(sql, "text", True)
        if not isinstance(first, str):
            name = self.parameters.add(str(first), "text")
            return self.steps(f"({var.doc} -> {name})", names[1:])
        return self.steps(var.doc, names)

    # --- arrays and objects

    def array(self, node: ast.Array) -> Term:
        """[a, b, …]"""
        items = ", ".join(self.json(self.term(item)) for item in node.items)
        return Term(f"jsonb_build_array({items})")

    def object(self, node: ast.Object) -> Term:
        """{a: b, …} of names that are known"""
        pairs: dict[str, str] = {}
        for item in written(node):
            name = item.name
            if item.computed is not None:
                if not self.constant(item.computed):
                    raise NotCompilable("an attribute name that is computed")
                value = self.folded(item.computed).value
                name = value if isinstance(value, str) else None
            if name is None:
                raise NotCompilable("an attribute name that is computed")
            if name not in pairs:
                pairs[name] = self.json(self.term(item.value))
        parts = ", ".join(f"{self.parameters.name(name)}, {value}" for name, value in pairs.items())
        if len(pairs) > 40:  # PostgreSQL takes 100 arguments
            raise NotCompilable("an object of many attributes")
        return Term(f"jsonb_build_object({parts})")

    # --- elsewhere

    def binary(self, node: ast.Binary) -> AnyTerm:
        """Comparisons and arithmetic."""
        raise NotImplementedError

    def quantified(self, node: ast.Quantified) -> AnyTerm:
        """Comparisons with ALL, ANY, NONE."""
        raise NotImplementedError

    def call(self, node: ast.Call) -> AnyTerm:
        """A function."""
        raise NotImplementedError

    def lookup(self, node: ast.Call) -> DocumentVar:
        """DOCUMENT(id)"""
        raise NotImplementedError

    def subquery(self, node: ast.Subquery) -> AnyTerm:
        """A subquery as an array."""
        raise NotImplementedError

    def expansion(self, node: ast.Expansion) -> AnyTerm:
        """base[*]…"""
        raise NotImplementedError

    def array_test(self, node: ast.ArrayTest) -> AnyTerm:
        """base[?]…"""
        raise NotImplementedError


def pure(node: ast.Node) -> bool:
    """Whether nothing below asks for documents."""
    return not any(
        isinstance(below, (ast.Collection, ast.Traversal, ast.Paths))
        or (isinstance(below, ast.Parameter) and below.source)
        or (isinstance(below, ast.Call) and below.name in FETCHING)
        for below in ast.walk(node)
    )
