"""No module decides by an endpoint's name: its row (`wire.endpoints`) has the facts, tables of handlers the names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.wire.endpoints import ROWS

ROOT = Path(__file__).resolve().parents[2]
NAMES = {row.endpoint.name for row in ROWS} | {"unknown"}
DOTTED = {name for name in NAMES if "." in name}
PREFIXES = {name.partition(".")[0] + "." for name in DOTTED}
_OF_TEXT = {"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split"}


def _constants(node: ast.AST) -> set[str]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def _names(node: ast.AST) -> bool:
    """Whether an expression means an endpoint's name: by its text, or because it makes one."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "named":
        return True
    return isinstance(node, ast.Constant) and node.value in DOTTED


def _decides(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        about = any("endpoint" in ast.unparse(side) for side in sides)
        return any(_names(side) or (about and bool(_constants(side) & (NAMES | PREFIXES))) for side in sides)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _OF_TEXT:
        given = {text for argument in node.args for text in _constants(argument)}
        return "endpoint" in ast.unparse(node.func.value) or bool(given & (PREFIXES | DOTTED))
    return isinstance(node, ast.MatchValue) and _names(node.value)


def _listed(node: ast.AST) -> bool:
    """Whether it is a set, tuple or list of endpoints' names: what a test of membership needs."""
    return isinstance(node, ast.Set | ast.Tuple | ast.List) and any(map(_names, node.elts))


def _keys(node: ast.AST) -> bool:
    """Whether it makes a table from one value for several names."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "dict.fromkeys"


def decisions(tree: ast.AST) -> Iterator[ast.expr | ast.pattern]:
    keys = {inner for node in ast.walk(tree) if _keys(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.pattern) and (_decides(node) or (_listed(node) and node not in keys)):
            yield node


def test_no_module_decides_by_an_endpoints_name() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for room in ("proxy", "backfill")
        for path in sorted((ROOT / room).rglob("*.py"))
        for node in decisions(ast.parse(path.read_text("utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        'operation.endpoint.name == "cursor.create"',
        '"document.read" != name',
        'operation.endpoint.name in ("job", "import")',
        '_WRITES = frozenset({"document.insert"})',
        'operation.endpoint.name.startswith("gharial.")',
        'name.removeprefix("simple.")',
        'endpoint.name.endswith("_insert")',
        'operation.endpoint is named("document.read")',
        'match name:\n    case "cursor.create" | "explain": pass',
        'endpoint.name == "unknown"',
    ],
)
def test_such_a_decision_is_found(text: str) -> None:
    assert list(decisions(ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        '_HANDLERS = {"document.read": read, **dict.fromkeys(("view.read", "view.drop"), views)}',
        "_HANDLERS.get(operation.endpoint.name)",
        'Operation(named("document.read"), "GET")',
        'state == "unknown"',
    ],
)
def test_tables_of_handlers_are_none(text: str) -> None:
    assert not list(decisions(ast.parse(text)))
