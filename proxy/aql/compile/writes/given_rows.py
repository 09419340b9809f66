"""The rows of an INSERT or UPSERT that reads no document before it writes: bind variables and literals give them.

They are computed before the statement, by the evaluator, and are parameters of it: a text for each column, a line for
each row. So every function is exact, and one statement serves all values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from proxy.aql import ast
from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.expressions import pure
from proxy.aql.sql_terms import Deferred, NotCompilable
from proxy.aql.trees import written

Path: TypeAlias = tuple[str, ...]
KEY: Final[Path] = ("_key",)
_SYSTEM: Final = ("_id", "_rev")
_BEFORE: Final = (ast.For, ast.Let, ast.Filter, ast.Sort, ast.Limit)


@dataclass(frozen=True, slots=True)
class GivenChange:
    """What happens to a document that is found.

    kind: UPDATE, REPLACE, or IGNORE. own: its patch, or its new document, is a part of each row; else the statement
    computes it, and `names` are its attributes. always: it is a new version even if the patch is empty. merged: so it
    is if the document has attributes, because they are a part of the patch.
    """

    kind: str
    own: bool
    names: frozenset[str] = frozenset()
    always: bool = False
    merged: bool = False


@dataclass(frozen=True, slots=True)
class GivenRows:
    """Rows that are computed before the statement.

    query: its result is an array for each row: the document to insert, the values of `search`, the change if it is
    `own`, the values of `variables`. binds: the bind variables that it names. many: there may be several rows. search:
    the paths by which a document is looked up; empty: none is. indexed: those of them that an index serves, which does
    not find a missing attribute. columns: the names of the parameters.
    """

    query: ast.Query
    binds: frozenset[str]
    many: bool
    variables: tuple[str, ...]
    search: tuple[Path, ...]
    indexed: frozenset[Path]
    change: GivenChange | None
    columns: frozenset[str] = frozenset()


def rows_query(
    before: Sequence[ast.Statement], document: ast.Expr, search: Sequence[ast.Expr], rest: Sequence[ast.Expr]
) -> ast.Query:
    """Return the query of the rows. Raise NotCompilable if it would read documents, or something else comes first."""
    for one in before:
        if not isinstance(one, _BEFORE) or (isinstance(one, ast.For) and one.search is not None):
            raise NotCompilable(f"{type(one).__name__.upper()} before a modification")
        if not isinstance(getattr(one, "target", getattr(one, "variable", "")), str):
            raise NotCompilable("destructuring")
    values = (document, ast.Array(tuple(search)), *rest)
    if not all(map(pure, (*before, *values))):
        raise NotCompilable("documents that are read before others are inserted")
    return ast.Query((), (*before, ast.Return(ast.Array(values), distinct=False)))


def names_of(before: Sequence[ast.Statement]) -> list[str]:
    """Return the variables of the rows."""
    found = [
        one.variable if isinstance(one, ast.For) else one.target
        for one in before
        if isinstance(one, (ast.For, ast.Let))
    ]
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


def parameters_of(node: ast.Node) -> frozenset[str]:
    """Return the names of the bind variables below a node."""
    return frozenset(below.name for below in ast.walk(node) if isinstance(below, ast.Parameter))


def leaves(node: ast.Expr, path: Path = ()) -> list[tuple[Path, ast.Expr]]:
    """Return the paths and values of the object that UPSERT looks for. Raise NotCompilable unless it is a literal."""
    if not isinstance(node, ast.Object) or not node.items:
        raise NotCompilable("an UPSERT that looks for a computed object")
    found: list[tuple[Path, ast.Expr]] = []
    for item in written(node):
        if item.name is None:
            raise NotCompilable("an attribute name that is computed")
        if isinstance(item.value, ast.Object):
            found += leaves(item.value, (*path, item.name))
        else:
            found.append(((*path, item.name), item.value))
    return found


def check_search(paths: Sequence[Path], *, edge: bool) -> None:
    """Raise NotCompilable if the columns of a table do not have these paths."""
    for path in paths:
        if path[0] in _SYSTEM or (path[0] == "_key" and path != KEY) or (path[0] in ("_from", "_to") and not edge):
            raise NotCompilable(f"an UPSERT that looks for {path[0]}")


def column(c: Compilation, name: str) -> str:
    """Return the parameter with the lines of a column."""
    return c.parameters.add(Deferred(lambda binds: binds[f"#{name}"], f"#{name}"), "text")
