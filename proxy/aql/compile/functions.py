"""Functions in conditions, sort keys, groups and aggregates. (In what is returned, all are worked out afterwards.)

One that would warn of an argument is refused while the statement runs: the evaluator then answers, with the warning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.aql import ast
from proxy.aql.compile.comparisons import ComparisonCompiler
from proxy.aql.compile.scope import AliasVar, DocumentVar, RowsVar, Scope
from proxy.aql.compile.sql_terms import AnyTerm, Constant, NotCompilable, Term
from proxy.aql.values import truthy

_TYPES: Final = {
    "IS_BOOL": "boolean",
    "IS_NUMBER": "number",
    "IS_STRING": "string",
    "IS_ARRAY": "array",
    "IS_LIST": "array",
    "IS_OBJECT": "object",
    "IS_DOCUMENT": "object",
}


class FunctionCompiler(ComparisonCompiler):
    """Compiles calls."""

    def call(self, node: ast.Call) -> AnyTerm:
        name = node.name
        if name in ("LENGTH", "COUNT"):
            return self.length(node.arguments[0])
        if name in _TYPES:
            sql = self.json(self.term(node.arguments[0]))
            return Term(f"(jsonb_typeof({sql}) IS NOT DISTINCT FROM '{_TYPES[name]}')", "bool", True)
        method = _METHODS.get(name)
        if method is None:
            raise NotCompilable(f"function {name} in a condition")
        return method(self, node)

    def length(self, node: ast.Expr) -> AnyTerm:
        """LENGTH and COUNT, of collections and subqueries as well."""
        collection = self.collection_name(node)
        if collection is not None:
            table = self.table(collection)
            return Term(f"(SELECT count(*) FROM {table.relation} WHERE doc IS NOT NULL)", "int", True)
        if isinstance(node, ast.Subquery):
            return Term(self.subquery_count(node), "int", True)
        scope: Scope = self.scope
        inner: ast.Expr = node
        while isinstance(inner, ast.Variable):
            var = scope.find(inner.name)
            if isinstance(var, RowsVar):
                return Term(var.at(var.count()), "int", True)
            if not isinstance(var, AliasVar):
                break
            inner, scope = var.expression, var.scope
        term = self.term(node)
        if isinstance(term, Term) and term.kind == "text":
            return Term(f"char_length({term.sql})", "int", True)
        return Term(f"_crossfade.length({self.json(term)})", "int", True)

    def subquery_count(self, node: ast.Subquery) -> str:
        """How many rows a subquery gives."""
        raise NotImplementedError

    # --- text

    def lower(self, node: ast.Call) -> Term:
        """LOWER"""
        return Term(f"_crossfade.lower({self.text(self.term(node.arguments[0]))})", "text", True)

    def upper(self, node: ast.Call) -> Term:
        """UPPER"""
        return Term(f"_crossfade.upper({self.text(self.term(node.arguments[0]))})", "text", True)

    def to_string(self, node: ast.Call) -> Term:
        """TO_STRING"""
        return Term(self.text(self.term(node.arguments[0])), "text", True)

    def concat(self, node: ast.Call) -> Term:
        """CONCAT of several: nulls are skipped, which is what their text "" does"""
        if len(node.arguments) == 1:
            raise NotCompilable("CONCAT of one argument, which may be an array")
        return Term("(" + " || ".join(self.text(self.term(item)) for item in node.arguments) + ")", "text", True)

    def concat_separator(self, node: ast.Call) -> Term:
        """CONCAT_SEPARATOR of several; nulls are skipped"""
        if len(node.arguments) < 3:
            raise NotCompilable("CONCAT_SEPARATOR of one argument, which may be an array")
        parts = []
        for item in node.arguments[1:]:
            term = self.term(item)
            if isinstance(term, Constant):
                parts.append("NULL::text" if term.kind == "null" else self.text(term))
            elif term.kind == "json":
                parts.append(f"CASE WHEN {term.sql} <> 'null' THEN {self.text(term)} END")
            else:
                parts.append(self.text(term) if term.kind == "text" else f"_crossfade.text({self.json(term)})")
        return Term(f"concat_ws({self.text(self.term(node.arguments[0]))}, {', '.join(parts)})", "text", True)

    def contains(self, node: ast.Call) -> Term:
        """CONTAINS(text, search), or the place of it with a third argument"""
        text, search = (self.text(self.term(item)) for item in node.arguments[:2])
        # what is empty is contained in nothing
        sql = f'coalesce(strpos({text} COLLATE "C", nullif({search}, \'\') COLLATE "C"), 0)'
        if len(node.arguments) == 3:
            third = self.term(node.arguments[2])
            if not isinstance(third, Constant):
                raise NotCompilable("CONTAINS with a third argument")
            if truthy(third.value):
                return Term(f"({sql} - 1)", "int", True)
        return Term(f"({sql} > 0)", "bool", True)

    def like_function(self, node: ast.Call) -> Term:
        """LIKE(text, pattern, ignoreCase)"""
        ignore = False
        if len(node.arguments) == 3:
            third = self.term(node.arguments[2])
            if not isinstance(third, Constant):
                raise NotCompilable("LIKE with a third argument")
            ignore = truthy(third.value)
        sql = self.like(self.term(node.arguments[0]), self.term(node.arguments[1]), ignore_case=ignore)
        return Term(sql, "bool", True)

    def starts_with(self, node: ast.Call) -> Term:
        """STARTS_WITH(text, prefix)"""
        prefix = self.term(node.arguments[1])
        if len(node.arguments) != 2 or not isinstance(prefix, Constant) or prefix.kind not in ("text", "odd"):
            raise NotCompilable("STARTS_WITH of no constant")
        text = self.term(node.arguments[0])
        if isinstance(text, Term) and text.kind == "text":
            return Term(f"starts_with({text.sql}, {self.text(prefix)})", "bool", True)
        sql = self.json(text)
        # of what is no string it is null and a warning
        checked = f"_crossfade.unless(jsonb_typeof({sql}) IS DISTINCT FROM 'string', {sql})"
        return Term(f"starts_with(_crossfade.text({checked}), {self.text(prefix)})", "bool", True)

    def substring(self, node: ast.Call) -> Term:
        """SUBSTRING(text, offset, length) of places that are known and not negative"""
        text = self.text(self.term(node.arguments[0]))
        places = []
        for argument in node.arguments[1:]:
            term = self.term(argument)
            if not isinstance(term, Constant) or type(term.value) is not int or not 0 <= term.value < 1 << 30:
                raise NotCompilable("SUBSTRING of no constant place")
            places.append(term.value)
        sql = f"substr({text}, {self.parameters.add(places[0] + 1, 'integer')}"
        if len(places) > 1:
            sql += f", {self.parameters.add(places[1], 'integer')}"
        return Term(sql + ")", "text", True)

    def left(self, node: ast.Call) -> Term:
        """LEFT(text, n)"""
        count = self.term(node.arguments[1])
        if not isinstance(count, Constant) or type(count.value) is not int or not 0 <= count.value < 1 << 30:
            raise NotCompilable("LEFT of no constant place")
        return Term(
            f"left({self.text(self.term(node.arguments[0]))}, {self.parameters.add(count.value, 'integer')})",
            "text",
            True,
        )

    def trim(self, node: ast.Call) -> Term:
        """TRIM(text)"""
        if len(node.arguments) > 1:
            raise NotCompilable("TRIM with characters")
        return Term(f"btrim({self.text(self.term(node.arguments[0]))}, E' \\t\\r\\n')", "text", True)

    # --- choosing, testing, numbers

    def not_null(self, node: ast.Call) -> Term:
        """NOT_NULL(a, b, …)"""
        parts = ", ".join(f"nullif({self.json(self.term(item))}, 'null')" for item in node.arguments)
        return Term(f"coalesce({parts})")

    def is_null(self, node: ast.Call) -> Term:
        """IS_NULL"""
        return Term(self.comparison("==", self.term(node.arguments[0]), Constant(None)), "bool", True)

    def has(self, node: ast.Call) -> Term:
        """HAS(object, name): a stored null counts"""
        name = self.term(node.arguments[1])
        if not isinstance(name, Constant) or not isinstance(name.value, str):
            raise NotCompilable("HAS of a name that is no constant")
        quoted = self.parameters.name(name.value)
        base = node.arguments[0]
        var = self.scope.find(base.name) if isinstance(base, ast.Variable) else None
        if isinstance(var, DocumentVar):
            if name.value in ("_key", "_id", "_rev"):
                return Term(f"({var.key} IS NOT NULL)", "bool", True)
            return Term(f"coalesce(({var.doc} -> {quoted}) IS NOT NULL, false)", "bool", True)
        return Term(f"(({self.json(self.term(base))} -> {quoted}) IS NOT NULL)", "bool", True)

    def to_bool(self, node: ast.Call) -> Term:
        """TO_BOOL"""
        return Term(self.condition(node.arguments[0]), "bool", True)

    def first(self, node: ast.Call) -> AnyTerm:
        """FIRST(array): of no array it warns"""
        return Term(f"(_crossfade.loop({self.json(self.term(node.arguments[0]))}) -> 0)")

    def last(self, node: ast.Call) -> AnyTerm:
        """LAST(array): of no array it warns"""
        return Term(f"(_crossfade.loop({self.json(self.term(node.arguments[0]))}) -> -1)")

    def same(self, node: ast.Call) -> AnyTerm:
        """NOOPT and its like"""
        return self.term(node.arguments[0])

    def split(self, node: ast.Call) -> Term:
        """SPLIT(text, separator)"""
        if len(node.arguments) != 2:
            raise NotCompilable("SPLIT with a limit")
        mark = self.term(node.arguments[1])
        if not isinstance(mark, Constant) or not isinstance(mark.value, str) or not mark.value:
            raise NotCompilable("SPLIT at no constant")
        text = self.text(self.term(node.arguments[0]))
        # of an empty text PostgreSQL makes no part, AQL one
        return Term(
            f"CASE WHEN {text} = '' THEN '[\"\"]'::jsonb ELSE to_jsonb(string_to_array({text}, {self.text(mark)})) END"
        )

    def position(self, node: ast.Call) -> Term:
        """POSITION(array, value): of no array it warns"""
        if len(node.arguments) > 2:
            raise NotCompilable("POSITION with a place")
        array, value = (self.json(self.term(item)) for item in node.arguments)
        return Term(f"_crossfade.member({value}, _crossfade.loop({array}))", "bool", True)

    def parse_part(self, node: ast.Call) -> Term:
        """PARSE_KEY and PARSE_COLLECTION of an id; of anything else they warn"""
        value = self.json(self.term(node.arguments[0]))
        part = 2 if node.name == "PARSE_KEY" else 1
        return Term(f"split_part(_crossfade.handle({value}), '/', {part})", "text", True)

    def parse_identifier(self, node: ast.Call) -> Term:
        """PARSE_IDENTIFIER of an id; of anything else it warns"""
        value = f"_crossfade.handle({self.json(self.term(node.arguments[0]))})"
        parts = f"'collection', split_part({value}, '/', 1), 'key', split_part({value}, '/', 2)"
        return Term(f"jsonb_build_object({parts})")


_METHODS: Final[dict[str, Callable[[FunctionCompiler, ast.Call], AnyTerm]]] = {
    "LOWER": FunctionCompiler.lower,
    "UPPER": FunctionCompiler.upper,
    "TO_STRING": FunctionCompiler.to_string,
    "CONCAT": FunctionCompiler.concat,
    "CONCAT_SEPARATOR": FunctionCompiler.concat_separator,
    "CONTAINS": FunctionCompiler.contains,
    "LIKE": FunctionCompiler.like_function,
    "STARTS_WITH": FunctionCompiler.starts_with,
    "SUBSTRING": FunctionCompiler.substring,
    "LEFT": FunctionCompiler.left,
    "TRIM": FunctionCompiler.trim,
    "SPLIT": FunctionCompiler.split,
    "NOT_NULL": FunctionCompiler.not_null,
    "IS_NULL": FunctionCompiler.is_null,
    "HAS": FunctionCompiler.has,
    "TO_BOOL": FunctionCompiler.to_bool,
    "FIRST": FunctionCompiler.first,
    "LAST": FunctionCompiler.last,
    "POSITION": FunctionCompiler.position,
    "NOOPT": FunctionCompiler.same,
    "NOEVAL": FunctionCompiler.same,
    "PASSTHRU": FunctionCompiler.same,
    "PARSE_KEY": FunctionCompiler.parse_part,
    "PARSE_COLLECTION": FunctionCompiler.parse_part,
    "PARSE_IDENTIFIER": FunctionCompiler.parse_identifier,
}
