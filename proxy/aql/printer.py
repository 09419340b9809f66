"""Tree -> text: an equivalent query, so that `parse(print_query(tree)) == tree`.

Every operator is in parentheses, so nothing depends on precedence; names are quoted if they must be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from proxy.aql import ast
from proxy.aql.lexer import KEYWORDS

_PLAIN = re.compile(r"\$?[A-Za-z][A-Za-z0-9_]*|_+[A-Za-z]+[A-Za-z0-9_]*")


def print_query(query: ast.Query) -> str:
    """Return the text of a query."""
    parts: list[str] = []
    if query.with_collections:
        parts.append("WITH " + ", ".join(print_expression(name) for name in query.with_collections))
    parts += [_STATEMENTS[statement.__class__](statement) for statement in query.statements]
    return " ".join(parts)


def print_expression(node: ast.Node) -> str:
    """Return the text of an expression."""
    return _EXPRESSIONS[node.__class__](node)


def name(text: str) -> str:
    """Return an identifier, quoted if it is a keyword or contains other characters."""
    if _PLAIN.fullmatch(text) and text.upper() not in KEYWORDS:
        return text
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _literal(node: ast.Literal) -> str:
    value = node.value
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def _base(node: ast.Expr) -> str:
    text = print_expression(node)
    return f"({text})" if isinstance(node, ast.Literal) else text


def _call(node: ast.Call) -> str:
    called = "::".join(part if part == "LIKE" else name(part) for part in node.name.split("::"))
    return f"{called}({_list(node.arguments)})"


def _list(nodes: tuple[ast.Expr, ...]) -> str:
    return ", ".join(print_expression(node) for node in nodes)


def _object(node: ast.Object) -> str:
    items: list[str] = []
    for item in node.items:
        if item.computed is not None:
            items.append(f"[{print_expression(item.computed)}]: {print_expression(item.value)}")
        else:
            items.append(f"{json.dumps(item.name, ensure_ascii=False)}: {print_expression(item.value)}")
    return "{" + ", ".join(items) + "}"


def _inside(node: ast.Expansion) -> str:
    text = "*" * node.levels
    if node.condition is not None:
        text += f" FILTER {print_expression(node.condition)}"
    if node.count is not None:
        offset = f"{print_expression(node.offset)}, " if node.offset is not None else ""
        text += f" LIMIT {offset}{print_expression(node.count)}"
    if node.result is not None:
        text += f" RETURN {print_expression(node.result)}"
    return f"[{text}]"


def _test(node: ast.ArrayTest) -> str:
    text = "?" * node.levels
    if node.quantifier is not None:
        amount = print_expression(node.amount) if node.amount is not None else ""
        text += f" AT LEAST ({amount})" if node.quantifier == "AT LEAST" else f" {node.quantifier}{amount}"
    if node.condition is not None:
        text += f" FILTER {print_expression(node.condition)}"
    return f"[{text}]"


def _suffix(node: ast.Node) -> str:
    """Return the accesses to each element of an expansion, without the CURRENT that they begin with."""
    if isinstance(node, ast.Attribute):
        return f"{_suffix(node.base)}.{name(node.name)}"
    if isinstance(node, ast.BoundAttribute):
        return f"{_suffix(node.base)}.{_parameter(node.parameter)}"
    if isinstance(node, ast.Index):
        return f"{_suffix(node.base)}[{print_expression(node.index)}]"
    if isinstance(node, ast.Expansion):
        return f"{_suffix(node.base)}{_inside(node)}{_suffix(node.each)}"
    if isinstance(node, ast.ArrayTest):
        return f"{_suffix(node.base)}{_test(node)}"
    return ""


def _parameter(node: ast.Parameter) -> str:
    return f"@{node.name}"


def _quantified(node: ast.Quantified) -> str:
    amount = f" ({print_expression(node.amount)})" if node.amount is not None else ""
    return f"({print_expression(node.left)} {node.quantifier}{amount} {node.op} {print_expression(node.right)})"


def _ternary(node: ast.Ternary) -> str:
    then = print_expression(node.then) if node.then is not None else ""
    return f"({print_expression(node.condition)} ? {then} : {print_expression(node.otherwise)})"


_EXPRESSIONS: dict[type, Callable[[Any], str]] = {
    ast.Literal: _literal,
    ast.Parameter: _parameter,
    ast.Variable: lambda node: name(node.name),
    ast.Collection: lambda node: name(node.name),
    ast.Attribute: lambda node: f"{_base(node.base)}.{name(node.name)}",
    ast.BoundAttribute: lambda node: f"{_base(node.base)}.{_parameter(node.parameter)}",
    ast.Index: lambda node: f"{_base(node.base)}[{print_expression(node.index)}]",
    ast.Expansion: lambda node: f"{_base(node.base)}{_inside(node)}{_suffix(node.each)}",
    ast.ArrayTest: lambda node: f"{_base(node.base)}{_test(node)}",
    ast.Passthru: lambda node: f"({print_expression(node.inner)})",
    ast.Unary: lambda node: f"({node.op} {print_expression(node.operand)})",
    ast.Binary: lambda node: f"({print_expression(node.left)} {node.op} {print_expression(node.right)})",
    ast.Logical: lambda node: "(" + f" {node.op} ".join(print_expression(part) for part in node.operands) + ")",
    ast.Quantified: _quantified,
    ast.Range: lambda node: f"({print_expression(node.low)}..{print_expression(node.high)})",
    ast.Ternary: _ternary,
    ast.Call: _call,
    ast.Array: lambda node: f"[{_list(node.items)}]",
    ast.Object: _object,
    ast.Subquery: lambda node: f"({print_query(node.query)})",
}


# --- statements


def _pattern(pattern: ast.Pattern | None) -> str:
    if pattern is None:
        return ""
    if isinstance(pattern, str):
        return name(pattern)
    if isinstance(pattern, ast.ArrayPattern):
        return "[" + ", ".join(_pattern(target) for target in pattern.targets) + "]"
    pairs = zip(pattern.attributes, pattern.targets, strict=True)
    return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {_pattern(target)}" for key, target in pairs) + "}"


def _options(options: ast.Object | None) -> str:
    return f" OPTIONS {_object(options)}" if options is not None else ""


def _for(node: ast.For) -> str:
    search = f" SEARCH {print_expression(node.search)}" if node.search is not None else ""
    return f"FOR {_pattern(node.variable)} IN {print_expression(node.source)}{search}{_options(node.options)}"


def _subject(node: ast.Traversal | ast.Paths) -> str:
    if node.graph is not None:
        return f"GRAPH {print_expression(node.graph)}"
    return ", ".join(
        (f"{edge.direction} " if edge.direction else "") + print_expression(edge.collection) for edge in node.edges
    )


def _steps(node: ast.Traversal | ast.Paths) -> str:
    return f"{print_expression(node.steps)} " if node.steps is not None else ""


def _traversal(node: ast.Traversal) -> str:
    text = f"FOR {', '.join(map(name, node.variables))} IN {_steps(node)}{node.direction} "
    text += f"{print_expression(node.start)} {_subject(node)}"
    if node.prune is not None:
        bound = f"{name(node.prune_variable)} = " if node.prune_variable is not None else ""
        text += f" PRUNE {bound}{print_expression(node.prune)}"
    return text + _options(node.options)


def _paths(node: ast.Paths) -> str:
    text = f"FOR {', '.join(map(name, node.variables))} IN {_steps(node)}{node.direction} {node.kind} "
    text += f"{print_expression(node.start)} TO {print_expression(node.target)} {_subject(node)}"
    return text + _options(node.options)


def _sort(node: ast.Sort) -> str:
    keys = [
        f"{print_expression(key.value)} "
        + (key.direction if isinstance(key.direction, str) else print_expression(key.direction))
        for key in node.keys
    ]
    return "SORT " + ", ".join(keys)


def _limit(node: ast.Limit) -> str:
    offset = f"{print_expression(node.offset)}, " if node.offset is not None else ""
    return f"LIMIT {offset}{print_expression(node.count)}"


def _assignments(assigns: tuple[ast.Assign, ...]) -> str:
    return ", ".join(f"{name(assign.name)} = {print_expression(assign.value)}" for assign in assigns)


def _collect(node: ast.Collect) -> str:
    text = "COLLECT"
    if node.groups:
        text += f" {_assignments(node.groups)}"
    if node.aggregates:
        text += f" AGGREGATE {_assignments(node.aggregates)}"
    if node.count_into is not None:
        text += f" WITH COUNT INTO {name(node.count_into)}"
    if node.into is not None:
        text += f" INTO {name(node.into)}"
        if node.into_value is not None:
            text += f" = {print_expression(node.into_value)}"
    if node.keep is not None:
        text += " KEEP " + ", ".join(map(name, node.keep))
    return text + _options(node.options)


def _window(node: ast.Window) -> str:
    value = f"{print_expression(node.value)} WITH " if node.value is not None else ""
    return f"WINDOW {value}{_object(node.bounds)} AGGREGATE {_assignments(node.aggregates)}"


def _target(node: ast.Modification) -> str:
    return f"IN {print_expression(node.collection)}{_options(node.options)}"


def _change(node: ast.UpdateOrReplace) -> str:
    key = f"{print_expression(node.key)} WITH " if node.key is not None else ""
    return f"{node.kind} {key}{print_expression(node.document)} {_target(node)}"


def _upsert(node: ast.Upsert) -> str:
    search = print_expression(node.search) if node.search is not None else ""
    if node.condition is not None:
        search = f"FILTER {print_expression(node.condition)}"
    insert, change = print_expression(node.insert), print_expression(node.change)
    return f"UPSERT {search} INSERT {insert} {node.kind} {change} {_target(node)}"


_STATEMENTS: dict[type, Callable[[Any], str]] = {
    ast.For: _for,
    ast.Traversal: _traversal,
    ast.Paths: _paths,
    ast.Filter: lambda node: f"FILTER {print_expression(node.condition)}",
    ast.Let: lambda node: f"LET {_pattern(node.target)} = {print_expression(node.value)}",
    ast.Sort: _sort,
    ast.Limit: _limit,
    ast.Collect: _collect,
    ast.Window: _window,
    ast.Return: lambda node: f"RETURN {'DISTINCT ' if node.distinct else ''}{print_expression(node.value)}",
    ast.Insert: lambda node: f"INSERT {print_expression(node.document)} {_target(node)}",
    ast.UpdateOrReplace: _change,
    ast.Remove: lambda node: f"REMOVE {print_expression(node.key)} {_target(node)}",
    ast.Upsert: _upsert,
}
