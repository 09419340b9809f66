"""The plan of a query as ArangoDB shows it: its statements in the order in which they are written; no rule is applied.

`profile` is what a query with that option returns beside its rows: times of its stages, and from level 2 the plan and
what each of its nodes did (here only the last one's figures are known).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from proxy.aql import Analysis, ast
from proxy.devserver.store.state.database import ServerDatabase

Document = dict[str, Any]
_NODES: Final[dict[type, str]] = {
    ast.Traversal: "TraversalNode",
    ast.Paths: "ShortestPathNode",
    ast.Filter: "FilterNode",
    ast.Let: "CalculationNode",
    ast.Sort: "SortNode",
    ast.Limit: "LimitNode",
    ast.Collect: "CollectNode",
    ast.Window: "WindowNode",
    ast.Return: "ReturnNode",
    ast.Insert: "InsertNode",
    ast.Remove: "RemoveNode",
    ast.Upsert: "UpsertNode",
}


_STAGES: Final = (
    *("initializing", "parsing", "optimizing ast", "loading collections", "instantiating plan", "optimizing plan"),
    *("instantiating executors", "executing", "finalizing"),
)


def scanned(query: ast.Query) -> Iterator[str]:
    """Yield the names of the collections that the plan enumerates."""
    for statement in query.statements:
        if isinstance(statement, ast.For) and isinstance(statement.source, ast.Collection):
            yield statement.source.name


def counts_of(database: ServerDatabase) -> Callable[[str], int]:
    """Return a function that counts the documents of a collection by its name; 1 if there is no such collection."""

    def count(name: str) -> int:
        found = database.collections.get(name)
        return found.count() if found is not None else 1

    return count


def plan_of(query: ast.Query, analysis: Analysis, count: Callable[[str], int]) -> Document:
    """Return the plan. count: the number of documents of a collection that the query enumerates."""
    nodes: list[Document] = []
    rows = 1
    kinds = ["SingletonNode", *(_kind(statement) for statement in query.statements)]
    for number, kind in enumerate(kinds, 1):
        if kind == "EnumerateCollectionNode":
            source = query.statements[number - 2]
            if isinstance(source, ast.For) and isinstance(source.source, ast.Collection):
                rows *= max(count(source.source.name), 1)
        dependencies = [number - 1] if number > 1 else []
        cost = {"estimatedCost": rows, "estimatedNrItems": rows}
        nodes.append({"type": kind, "id": number, "dependencies": dependencies, **cost})
    collections = [{"name": name, "type": "write"} for name in sorted(analysis.writes)]
    collections += [{"name": name, "type": "read"} for name in sorted(analysis.reads - analysis.writes)]
    return {
        "nodes": nodes,
        "rules": [],
        "collections": collections,
        "variables": [],
        "estimatedCost": rows,
        "estimatedNrItems": rows,
        "isModificationQuery": analysis.modifies,
    }


def _kind(statement: ast.Statement) -> str:
    if isinstance(statement, ast.For):
        over = isinstance(statement.source, ast.Collection | ast.Parameter)
        return "EnumerateCollectionNode" if over else "EnumerateListNode"
    if isinstance(statement, ast.UpdateOrReplace):
        return "UpdateNode" if statement.kind == "UPDATE" else "ReplaceNode"
    return _NODES[type(statement)]


def profile_of(plan: Document, marks: Sequence[float], rows: int, stats: Document, *, level: int) -> Document:
    """Return `profile`, and from level 2 `plan` and its nodes' figures. marks: begin, parsed, planned, executed."""
    spent = dict.fromkeys(_STAGES, 1e-9)
    spent |= {"parsing": marks[1] - marks[0], "optimizing plan": marks[2] - marks[1], "executing": marks[3] - marks[2]}
    found: Document = {"profile": spent}
    if level >= 2:
        each = [
            {"id": node["id"], "calls": 1, "parallel": 0, "items": 0, "filtered": 0, "runtime": 0.0}
            for node in plan["nodes"]
        ]
        each[-1] |= {"items": rows, "runtime": spent["executing"]}
        found |= {"plan": plan, "stats": {**stats, "nodes": each}}
    return found
