"""Comparisons, IN, LIKE and arithmetic: two-valued, in the order of all types (semantics page, sections 2 and 4)."""

from __future__ import annotations

from typing import Any, Final

from proxy.aql import ast
from proxy.aql.compile.expressions import ExpressionCompiler
from proxy.aql.compile.scope import AliasVar, DocumentVar, Scope
from proxy.aql.compile.sql_terms import (
    SCALAR_KINDS,
    AnyTerm,
    Bound,
    Constant,
    NotCompilable,
    Term,
    json_parameter,
    plain_text,
)
from proxy.aql.operators import COMPARISONS
from proxy.aql.scan_narrowing import conjuncts

_ORDER: Final = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


class ComparisonCompiler(ExpressionCompiler):
    """Compiles binary operators, and the conditions of FILTER with what an index can use of them."""

    def binary(self, node: ast.Binary) -> AnyTerm:
        op = node.op
        if op in ("+", "-", "*", "/", "%"):
            return self.arithmetic(op, self.term(node.left), self.term(node.right))
        if op in ("IN", "NOT IN"):
            return Term(self.membership(node), "bool", True)
        if op in ("LIKE", "NOT LIKE"):
            sql = self.like(self.term(node.left), self.term(node.right), ignore_case=False)
            return Term(sql if op == "LIKE" else f"(NOT {sql})", "bool", True)
        if op in ("==", "!=") or op in _ORDER:
            return Term(self.comparison(op, self.term(node.left), self.term(node.right)), "bool", True)
        raise NotCompilable(f"operator {op}")

    # --- == != < <= > >=

    def comparison(self, op: str, left: AnyTerm, right: AnyTerm) -> str:
        """A comparison as a boolean that is never NULL."""
        if isinstance(left, Constant):
            if isinstance(right, Constant):  # an attribute that an object literal does not have
                return "true" if COMPARISONS[op](left.value, right.value) else "false"
            left, right, op = right, left, _MIRRORED[op]
        if op in ("==", "!="):
            sql = self.equality(left, right)
            return sql if op == "==" else f"(NOT {sql})"
        if not self.catalog.icu and not (isinstance(right, Constant) and right.kind in SCALAR_KINDS - {"text", "odd"}):
            raise NotCompilable("order of strings without ICU")
        if left.kind in ("int", "number") and isinstance(right, Constant) and right.kind in ("count", "float"):
            number = self.parameters.constant(right, "double precision", float, "double")
            if left.kind == "int":
                return f"({left.sql} {op} {number})"
        if (
            (isinstance(right, Constant) and right.kind in SCALAR_KINDS)
            or left.scalar
            or getattr(right, "scalar", False)
        ):
            return f"({self.sort_key(left)} {op} {self.sort_key(right)})"
        return f"(_crossfade.compare({self.json(left)}, {self.json(right)}) {op} 0)"

    def equality(self, left: Term, right: AnyTerm) -> str:
        """== as a boolean that is never NULL."""
        if isinstance(right, Constant):
            if right.kind == "null":
                if left.kind == "json":
                    return f"(coalesce({left.sql}, 'null') = 'null')"
                return f"({left.sql} IS NULL)" if left.kind == "number" else "false"
            if right.kind not in SCALAR_KINDS:
                return f"_crossfade.same({self.json(left)}, {self.json(right)})"
            if left.kind == "bool":
                if right.kind != "bool":
                    return "false"
                return left.sql if right.value else f"(NOT {left.sql})"
            if left.kind == "text":
                if right.kind == "odd":
                    raise NotCompilable("text that jsonb does not hold")
                return f"({left.sql} = {self.text(right)})" if right.kind == "text" else "false"
            return f"coalesce({self.json(left)} = {self.json(right)}, false)"
        if left.kind == "text" and right.kind == "text":
            return f"({left.sql} = {right.sql})"
        if left.scalar and left.kind not in ("json", "number"):  # never null
            return f"coalesce({self.json(left)} = {self.json(right)}, false)"
        if right.scalar and right.kind not in ("json", "number"):
            return f"coalesce({self.json(left)} = {self.json(right)}, false)"
        return f"_crossfade.same({self.json(left)}, {self.json(right)})"

    # --- IN, LIKE

    def membership(self, node: ast.Binary) -> str:
        """IN and NOT IN: false for both where the right side is no array."""
        wanted = node.op == "IN"
        array = self.term(node.right)
        left = self.term(node.left)
        if isinstance(array, Constant):
            if array.kind not in ("texts", "scalars", "array"):
                return "false"
            if array.kind != "array" or all(not isinstance(item, list | dict) for item in array.value):
                if isinstance(left, Term) and left.kind == "text":
                    items = self.parameters.constant(array, "text[]", _texts, "texts")
                    sql = f"({left.sql} = ANY ({items}))"
                else:
                    items = self.parameters.constant(array, "jsonb[]", _each_json, "each")
                    sql = f"(coalesce({self.json(left)}, 'null') = ANY ({items}))"
                return sql if wanted else f"(NOT {sql})"
        value, whole = self.json(left), self.json(array)
        if wanted:
            return f"_crossfade.member({value}, {whole})"
        return f"(jsonb_typeof({whole}) IS NOT DISTINCT FROM 'array' AND NOT _crossfade.member({value}, {whole}))"

    def like(self, text: AnyTerm, pattern: AnyTerm, *, ignore_case: bool) -> str:
        """LIKE of a pattern that is known: % and _, a backslash before what is meant as itself."""
        if not isinstance(pattern, Constant) or pattern.kind not in ("text", "odd"):
            raise NotCompilable("LIKE of a pattern that is no constant")
        if pattern.kind == "odd":
            raise NotCompilable("text that jsonb does not hold")
        sql = self.text(text)
        if not ignore_case:
            return f'({sql} COLLATE "C" LIKE {self.parameters.constant(pattern, "text", _like, "like")})'
        if not pattern.value.isascii():
            raise NotCompilable("LIKE without case, beyond ASCII")
        # what is beyond ASCII and folds to a letter of ASCII: K of Kelvin, long s
        folded = f"translate(lower({sql} COLLATE \"C\"), U&'\\212A\\017F\\0130\\0131', 'ksii')"
        return f'({folded} COLLATE "C" LIKE {self.parameters.add(_like(pattern.value).lower(), "text")})'

    # --- arithmetic

    def arithmetic(self, op: str, left: AnyTerm, right: AnyTerm) -> Term:
        """+ - * / % of doubles; a division by zero is refused while it runs (it warns)."""
        a, b = self.number(left), self.number(right)
        if op == "%":
            return Term(f"_crossfade.remainder({a}, {b})", "number", True)
        return Term(f"({a} {op} {b})", "number", True)

    # --- FILTER

    def filter(self, node: ast.Expr) -> None:
        """Adds the conditions of a FILTER to the block, and those that an index can use."""
        for part in conjuncts(node):
            if isinstance(part, ast.Binary) and part.op in ("==", "IN"):
                self.block.where.extend(self.indexable(part))
            self.block.where.append(self.conjunct(part))

    def conjunct(self, node: ast.Expr) -> str:
        """A condition of WHERE, where NULL is false: in the plain form that an index on the expression serves."""
        sql = self.condition(node)
        plain = "coalesce(("
        if sql.startswith(plain) and sql.endswith(", false)") and isinstance(node, ast.Binary) and node.op == "==":
            return sql[len("coalesce(") : -len(", false)")]
        return sql

    def indexable(self, node: ast.Binary) -> list[str]:
        """What follows from an equality, in a form that indexes serve."""
        if node.op == "IN":
            return self.indexable_in(node)
        found: list[str] = []
        for attribute, value in ((node.left, node.right), (node.right, node.left)):
            place = self.place(attribute)
            if place is None or any(isinstance(below, ast.Subquery) for below in ast.walk(value)):
                continue
            if place[0] not in self.block.owned:  # of a query outside: no scan of this one is narrowed
                continue
            var, path = place
            term = self.term(value)
            if path in (("_id",),):
                found.append(f"{var.key} = {self.key_of(var, term)}")
            elif path[0] in ("_key", "_id", "_rev"):
                if path == ("_key",) and isinstance(term, Term) and term.kind != "text":
                    found.append(f"{var.key} = ({self.json(term)} #>> '{{}}')")
            elif isinstance(term, Constant):
                if term.kind != "null" and term.kind in SCALAR_KINDS:
                    self.noted(var, path)
                    if len(path) == 1 and path[0] in var.indexed:
                        var.served = True
                        self.block.where = [sql for sql in self.block.where if sql not in var.narrowing]
                        found = [sql for sql in found if sql not in var.narrowing]
                    if not var.served:
                        var.narrowing.append(f"{var.doc} @> {self.containing(path, term)}")
                        found.append(var.narrowing[-1])
                    ends = var.edges and path in (("_from",), ("_to",))
                    if ends and term.kind == "text":
                        side = "from_id" if path == ("_from",) else "to_id"
                        found.append(f"{var.edges}.{side} = {self.text(term)}")
            elif var.edges and path in (("_from",), ("_to",)):
                side = "from_id" if path == ("_from",) else "to_id"
                found.append(f"{var.edges}.{side} = {self.text_or_null(term)}")
            elif term.kind == "text":
                build = f"jsonb_build_object({self.parameters.name(path[-1])}, {term.sql})"
                for name in reversed(path[:-1]):
                    build = f"jsonb_build_object({self.parameters.name(name)}, {build})"
                found.append(f"{var.doc} @> {build}")
        return found

    def containing(self, path: tuple[str, ...], term: Constant, *, array: bool = False) -> str:
        """{a: {b: value}}, or with [value], as jsonb."""
        return self.parameters.constant(
            term,
            "jsonb",
            lambda value: json_parameter(nested(path, [value] if array else value)),
            ("containing", path, array),
        )

    def noted(self, var: DocumentVar, path: tuple[str, ...]) -> None:
        """Notes an attribute that is compared by ==."""
        scan, sql = self.scans.get(var.doc), self.json(self.document_path(var, path))
        if scan is not None and "\x01" not in sql:
            scan.equal[sql.replace(var.doc, "doc")] = None

    def indexable_in(self, node: ast.Binary) -> list[str]:
        """`value IN doc.path`, and `doc._key IN values`."""
        place = self.place(node.right)
        if place is not None and place[1][0] not in ("_key", "_id", "_rev"):
            term = self.term(node.left)
            if isinstance(term, Constant) and term.kind != "null" and term.kind in SCALAR_KINDS:
                return [f"{place[0].doc} @> {self.containing(place[1], term, array=True)}"]
        place = self.place(node.left)
        if place is not None and place[1] == ("_id",):
            term = self.term(node.right)
            prefix = self.prefix_of(place[0])
            if isinstance(term, Constant) and isinstance(term.value, list) and prefix is not None:
                ids = [item for item in term.value if isinstance(item, str) and plain_text(item)]
                keys = [item[len(prefix) :] for item in ids if item.startswith(prefix)]
                return [f"{place[0].key} = ANY ({self.parameters.add(keys, 'text[]')})"]
        return []

    def prefix_of(self, var: DocumentVar) -> str | None:
        """`collection/` of a document of a known collection."""
        return None if var.collection is None else f"{var.collection}/"

    def key_of(self, var: DocumentVar, term: AnyTerm) -> str:
        """The key that an _id of this document's collection has; NULL of anything else."""
        prefix = self.prefix_of(var)
        if isinstance(term, Constant) and not (isinstance(term, Bound) and term.kind == "text"):
            value = term.value
            if prefix is not None and isinstance(value, str) and value.startswith(prefix) and plain_text(value):
                return self.parameters.add(value[len(prefix) :], "text")
            return "NULL::text"
        text = self.text(term) if isinstance(term, Constant) else self.text_or_null(term)
        size = f"char_length({var.prefix})"
        return f"CASE WHEN left({text}, {size}) = {var.prefix} THEN substr({text}, {size} + 1) END"

    def text_or_null(self, term: Term) -> str:
        """The text of what is a string; anything else may be any text, or NULL: a condition beside it tells."""
        return term.sql if term.kind == "text" else f"({self.json(term)} #>> '{{}}')"

    def place(self, node: ast.Expr) -> tuple[DocumentVar, tuple[str, ...]] | None:
        """The document and the path of `doc.a.b`; None of anything else, and of documents that may be missing."""
        path: list[str] = []
        scope: Scope = self.scope
        while True:
            if isinstance(node, ast.Attribute):
                path.append(node.name)
                node = node.base
            elif isinstance(node, ast.Variable):
                var = scope.find(node.name)
                if not isinstance(var, AliasVar):
                    break
                node, scope = var.expression, var.scope
            else:
                return None
        if not isinstance(var, DocumentVar) or var.nullable or not path:
            return None
        return var, tuple(reversed(path))


def nested(path: tuple[str, ...], value: Any) -> Any:
    """{a: {b: value}} of the path a, b."""
    for name in reversed(path):
        value = {name: value}
    return value


def _texts(values: list[Any]) -> list[str]:
    """Those that a text can be equal to."""
    return [item for item in values if isinstance(item, str) and plain_text(item)]


def _each_json(values: list[Any]) -> list[str]:
    return [json_parameter(item) for item in values]


def _like(pattern: str) -> str:
    """A pattern of AQL as one of SQL: a backslash before what is none of % _ \\ stands for itself."""
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
