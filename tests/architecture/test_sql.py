"""SQL is in sql/ and nowhere else; every statement there is used, with as many values as it has parameters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import sql
from sql.statement import Statement
from tests.unit.sql.test_loader import TOPICS

ROOT = Path(__file__).parents[2]
PRODUCT = ("proxy", "backfill", "deploy")
# modules that may hold SQL text, and why
EXCEPTIONS = {
    "proxy/aql/compile": "generates SQL from AQL",
    "proxy/base/session_settings.py": "settings of a new session, sent as one script before any statement is prepared",
    "proxy/base/database/session.py": "the check for a standby of a session that is not in use yet",
    "deploy/demo/db_checks.py": "the demo's own tables, and checks that must not go through the product",
}
_SQL = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|WITH\s+\w+\s+AS\s|LOCK\s+TABLE\s"
    r"|(CREATE|DROP|ALTER)\s+(SCHEMA|TABLE|INDEX|FUNCTION|VIEW|TYPE)\s|TRUNCATE\s+TABLE\s|ANALYZE\s+\S|VACUUM\s"
    r"|EXPLAIN\s*[(\s]|COPY\s+\S+\s+(FROM|TO)\s|SHOW\s+\w+$|SET\s+\w+\s*=)"
)
_COMMENT = re.compile(r"--[^\n]*")
_PLACE = re.compile(r"\$(\d+)")
_TAKES_VALUES = {"fetch", "fetchrow", "fetchval", "execute", "cursor"}


class Use(NamedTuple):
    """A statement that a call is given, and how many values; None if that cannot be counted."""

    where: str
    name: str
    values: int | None


def modules(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def texts_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of every string constant and of the beginning of every f-string; docstrings left out."""
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                skipped.add(id(first.value))
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            yield node.lineno, "".join(str(p.value) if isinstance(p, ast.Constant) else "x" for p in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def sql_in(tree: ast.AST) -> list[tuple[int, str]]:
    return [(line, text.strip()[:60]) for line, text in texts_of(tree) if _SQL.match(text)]


def named(node: ast.AST) -> str | None:
    """Return `topic.NAME` of an expression `sql.topic.NAME`."""
    match node:
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id="sql"), attr=topic), attr=name):
            return f"{topic}.{name}" if name.isupper() else None
    return None


def uses_of(where: str, tree: ast.AST) -> Iterator[Use]:
    """Yield the statements that calls of the pool or of a session are given in place."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        first = node.args[0]
        if isinstance(first, ast.Call) and isinstance(first.func, ast.Attribute) and first.func.attr == "on":
            first = first.func.value
        name = named(first)
        if name is None or node.func.attr not in _TAKES_VALUES:
            continue
        starred = any(isinstance(value, ast.Starred) for value in node.args)
        yield Use(f"{where}:{node.lineno}", name, None if starred else len(node.args) - 1)


def declared() -> dict[str, Statement[object]]:
    return {
        f"{topic}.{name}": value
        for topic in TOPICS
        for name, value in vars(getattr(sql, topic)).items()
        if isinstance(value, Statement)
    }


def wrong_counts(uses: Iterator[Use]) -> list[str]:
    statements = declared()
    return [
        f"{use.where}: {use.name} is given {use.values} values"
        for use in uses
        if use.values is not None and use.values != max(map(int, _PLACE.findall(statements[use.name].text)), default=0)
    ]


def test_sql_is_in_sql_and_nowhere_else() -> None:
    found = [
        f"{where}:{line}: {text}"
        for where, tree in modules(*PRODUCT)
        if not where.startswith(tuple(EXCEPTIONS))
        for line, text in sql_in(tree)
    ]
    assert found == []


def test_every_exception_is_needed() -> None:
    holding = {where for where, tree in modules(*PRODUCT) if sql_in(tree)}
    assert [name for name in EXCEPTIONS if not any(where.startswith(name) for where in holding)] == []


def test_every_statement_is_used() -> None:
    used = {name for _, tree in modules(*PRODUCT) for node in ast.walk(tree) if (name := named(node)) is not None}
    assert sorted(declared().keys() - used) == []


def test_every_statement_is_given_as_many_values_as_it_has_parameters() -> None:
    uses = (use for where, tree in modules(*PRODUCT) for use in uses_of(where, tree))
    assert wrong_counts(uses) == []


@pytest.mark.parametrize(
    "text",
    [
        "x = 'SELECT 1'",
        "x = f'DELETE FROM {table} WHERE key = $1'",
        "x = '''\n  UPDATE _crossfade.run SET state = $1'''",
        "x = 'CREATE INDEX CONCURRENTLY a ON b (c)'",
        "x = 'SHOW server_version'",
        "x = f'ANALYZE {relation}'",
    ],
)
def test_planted_sql_is_found(text: str) -> None:
    assert len(sql_in(ast.parse(text))) == 1


@pytest.mark.parametrize("text", ["'''SELECT what is wanted.'''", "x = 'select a collection'", "x = 'UPDATE'"])
def test_what_is_no_sql_is_left_alone(text: str) -> None:
    assert sql_in(ast.parse(text)) == []


def test_a_wrong_number_of_values_is_found() -> None:
    tree = ast.parse(
        "session.fetch(sql.control.BEHIND)\nsession.fetch(sql.control.BEHIND, 1)\ns.fetch(sql.control.BEHIND, *a)"
    )
    assert wrong_counts(uses_of("x.py", tree)) == ["x.py:1: control.BEHIND is given 0 values"]


def test_no_statement_is_written_twice() -> None:
    found: dict[str, list[str]] = {}
    for name, statement in declared().items():
        found.setdefault(" ".join(_COMMENT.sub("", statement.text).split()), []).append(name)
    assert [names for names in found.values() if len(names) > 1] == []
