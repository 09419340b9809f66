"""`/_api/query` and `/_api/explain`: what a query is, without running it."""

from __future__ import annotations

from typing import Any, Final

from proxy.aql import Analysis, analyse, ast, parse
from proxy.errors import ArangoError
from proxy.operations import Operation, Outcome
from proxy.stores.memory.collections import body_object, done
from proxy.stores.memory.server import Handler, Server
from proxy.stores.memory.syntax import Printer
from proxy.wire.encode import json_outcome

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


def _text(operation: Operation) -> tuple[str, Document]:
    body = body_object(operation)
    text = body.get("query")
    if not isinstance(text, str) or not text.strip():
        raise ArangoError(1502)
    return text, body


def parse_query(server: Server, operation: Operation) -> Outcome:
    """POST /_api/query: collections, bind parameters and the tree."""
    server.database(operation)
    text, _ = _text(operation)
    query = parse(text)
    names: dict[str, None] = {}
    parameters: dict[str, None] = {}
    for node in ast.walk(query):
        if isinstance(node, ast.Collection):
            names[node.name] = None
        elif isinstance(node, ast.Parameter):
            parameters[node.name] = None
    return done(
        operation,
        {
            "parsed": True,
            "collections": list(names),
            "bindVars": list(parameters),
            "ast": [Printer().query(query)],
            "warnings": [],
        },
    )


def explain(server: Server, operation: Operation) -> Outcome:
    """POST /_api/explain: the statements as a plan in the order in which they are written; no rules are applied."""
    database = server.database(operation)
    text, body = _text(operation)
    bind = body.get("bindVars") or {}
    query = parse(text)
    analysis = analyse(query, bind)
    for name in sorted(analysis.reads | analysis.writes):
        database.find(name)
    plan = _plan(server, operation, query, analysis)
    options = body.get("options")
    stats = {"rulesExecuted": 0, "rulesSkipped": 0, "plansCreated": 1, "peakMemoryUsage": 0, "executionTime": 0}
    shown: Document = {"error": False, "code": 200}
    if isinstance(options, dict) and options.get("allPlans"):
        shown["plans"] = [plan]
    else:
        shown |= {"plan": plan, "cacheable": analysis.deterministic and not analysis.modifies}
    return json_outcome(200, {**shown, "warnings": [], "stats": stats})


def _plan(server: Server, operation: Operation, query: ast.Query, analysis: Analysis) -> Document:
    database = server.database(operation)
    nodes: list[Document] = []
    rows = 1
    kinds = ["SingletonNode", *(_kind(statement) for statement in query.statements)]
    for number, kind in enumerate(kinds, 1):
        if kind == "EnumerateCollectionNode":
            source = query.statements[number - 2]
            name = (
                source.source.name if isinstance(source, ast.For) and isinstance(source.source, ast.Collection) else ""
            )
            found = database.collections.get(name)
            rows *= max(len(found.documents) if found is not None else 1, 1)
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
    if isinstance(statement, ast.Change):
        return "UpdateNode" if statement.kind == "UPDATE" else "ReplaceNode"
    return _NODES[type(statement)]


HANDLERS: Final[dict[str, Handler]] = {
    "query.parse": parse_query,
    "explain": explain,
}
