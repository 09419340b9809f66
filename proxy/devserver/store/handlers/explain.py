"""`/_api/query` and `/_api/explain`: describe a query without running it."""

from __future__ import annotations

from typing import Any, Final

from proxy.aql import QueryOptions, analyse, ast, parse
from proxy.aql import run as evaluate
from proxy.base.errors import ArangoError
from proxy.devserver.store.answers import done
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.queries.plan import counts_of, plan_of
from proxy.devserver.store.queries.syntax_tree import Printer
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome
from proxy.semantics.attributes import whole
from proxy.semantics.request_params import body_object
from proxy.wire.encode import json_outcome

Document = dict[str, Any]
_CONSTANT: Final = (ast.Binary, ast.Unary, ast.Literal)


def _text(operation: Operation) -> tuple[str, Document]:
    body = body_object(operation)
    text = body.get("query")
    if not isinstance(text, str) or not text.strip():
        raise ArangoError(1502)
    return text, body


def parse_query(server: ServerState, operation: Operation) -> Outcome:
    """POST /_api/query: collections, bind parameters and the syntax tree."""
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


def explain(server: ServerState, operation: Operation) -> Outcome:
    """POST /_api/explain: the statements as a plan, in the order in which they are written; no rule is applied."""
    database = server.database(operation)
    text, body = _text(operation)
    bind = body.get("bindVars") or {}
    query = parse(text)
    analysis = analyse(query, bind)
    for name in sorted(analysis.reads | analysis.writes):
        database.find(name)
    plan = plan_of(query, analysis, counts_of(database))
    given = body.get("options")
    options: Document = given if isinstance(given, dict) else {}
    warnings = _warnings(query, options)
    stats: Document = {
        "rulesExecuted": 0,
        "rulesSkipped": 0,
        "plansCreated": 1,
        "peakMemoryUsage": 0,
        "executionTime": 0,
    }
    if options.get("profile"):
        stats["rules"] = {}  # seconds that each rule took; none is applied
    shown: Document = {"error": False, "code": 200}
    if options.get("allPlans"):
        shown["plans"] = [plan]
    else:
        shown |= {"plan": plan, "cacheable": analysis.deterministic and not analysis.modifies}
    return json_outcome(200, {**shown, "warnings": warnings, "stats": stats})


def _warnings(query: ast.Query, options: Document) -> list[Document]:
    """Return the warnings of a query's constants, which ArangoDB computes while it plans.

    With failOnWarning the first is raised.
    """
    settings = QueryOptions(
        fail_on_warning=bool(options.get("failOnWarning", False)),
        max_warnings=whole(options, "maxWarningCount", 10, zero=True),
    )
    found: list[Document] = []
    for node in ast.walk(query):
        if not isinstance(node, ast.Binary) or not all(isinstance(one, _CONSTANT) for one in ast.walk(node)):
            continue
        constant = ast.Query((), (ast.Return(node),))
        try:
            next(evaluate(constant, {}, settings))
        except StopIteration as end:
            found += [{"code": one.code, "message": one.message} for one in end.value.warnings]
    return found[: settings.max_warnings]


COMMANDS: Final = {
    "query.parse": EndpointCommand(parse_query),
    "explain": EndpointCommand(explain),
}
