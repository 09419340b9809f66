"""Computed values of a collection: attributes whose values AQL expressions over the document give, when it is written.

All expressions see the document as it was given, so none sees the value of another. They read no collection.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

from proxy.aql import Analysis, Query, QueryOptions, Result, analyse, ast, parse, run
from proxy.base.errors import ArangoError
from proxy.model.documents import SYSTEM

Document = dict[str, Any]
_EVENTS: Final = ("insert", "update", "replace")
_DOCUMENT: Final = "doc"  # the bind variable


def computed_values_of(body: Document) -> list[Document] | None:
    """Return the computed values of a collection's definition, completed as ArangoDB shows them; none are None.

    Raise ArangoError 10.
    """
    given = body.get("computedValues")
    if given is None or given == []:
        return None
    if not isinstance(given, list):
        raise ArangoError(10, "Computed values description is not an array.", status=400)
    values: list[Document] = []
    for entry in given:
        value = _completed(entry)
        if any(other["name"] == value["name"] for other in values):
            raise _invalid(f"duplicate attribute name '{value['name']}'")
        values.append(value)
    return values


def computes_on(values: Sequence[Document] | None, event: str) -> bool:
    """Return True if an event (`insert`, `update` or `replace`) computes a value."""
    return any(event in value["computeOn"] for value in values or ())


def with_computed(values: Sequence[Document] | None, collection: str, event: str, document: Document) -> Document:
    """Return the document with its computed values.

    Raise ArangoError if an expression fails, or warns where that is a failure.
    """
    due = [value for value in values or () if event in value["computeOn"]]
    if not due:
        return document
    overwritten = {value["name"] for value in due if value["overwrite"]}
    result = {name: value for name, value in document.items() if name not in overwritten}
    for value in due:
        name = value["name"]
        if value["overwrite"] or name not in document:
            computed = _evaluated(value, collection, document)
            if computed is not None or value["keepNull"]:
                result[name] = computed
    return result


def _completed(entry: Any) -> Document:
    """Return one definition with its defaults. Raise ArangoError 10."""
    given = entry if isinstance(entry, dict) else {}
    name, expression = given.get("name"), given.get("expression")
    if not isinstance(name, str) or not name:
        raise _invalid("invalid attribute name")
    if name in SYSTEM:
        raise _invalid(f"'{name}' attribute must not be computed via computation expression")
    if not isinstance(given.get("overwrite"), bool):
        raise _invalid("'overwrite' must be a boolean")
    events = given.get("computeOn", list(_EVENTS))
    if not isinstance(events, list):
        raise _invalid("invalid 'computeOn' value")
    for event in events:
        if event not in _EVENTS:
            shown = f": '{event}'" if isinstance(event, str) else ""
            raise _invalid(f"invalid 'computeOn' value{shown}")
    if not events:
        raise _invalid("empty 'computeOn' value")
    if not isinstance(expression, str):
        raise _invalid("invalid 'expression' value")
    _check(expression)
    return {
        "name": name,
        "expression": expression,
        "computeOn": [event for event in _EVENTS if event in events],
        "overwrite": given["overwrite"],
        "failOnWarning": given.get("failOnWarning") is True,
        "keepNull": given.get("keepNull") is not False,
    }


def _check(expression: str) -> None:
    """Raise ArangoError 10 if a text is not one RETURN of an expression over @doc."""
    try:
        query, analysis = _parsed(expression)
    except ArangoError as error:
        raise _invalid(f"{error.message} in computation expression") from error
    if [type(statement) for statement in query.statements] != [ast.Return]:
        raise _invalid("only a RETURN statement is allowed in computation expression")
    if any(isinstance(node, ast.Subquery) for node in ast.walk(query)):
        raise _invalid("subqueries are not allowed in computation expression")
    if analysis.reads or analysis.dynamic or analysis.graphs:
        raise _invalid("access to collections is not allowed in computation expression")
    if analysis.unsupported:
        raise _invalid(f"{', '.join(analysis.unsupported)} cannot be used in computation expression")


@functools.lru_cache(maxsize=1024)
def _parsed(expression: str) -> tuple[Query, Analysis]:
    """Return a parsed expression. Raise ArangoError if it is wrong, or uses another bind variable than @doc."""
    query = parse(expression)
    used = any(isinstance(node, ast.Parameter) and node.name == _DOCUMENT for node in ast.walk(query))
    return query, analyse(query, {_DOCUMENT: {}} if used else {})


def _evaluated(value: Document, collection: str, document: Document) -> Any:
    query, analysis = _parsed(value["expression"])
    try:
        running = run(query, {_DOCUMENT: document} if analysis.parameters else {}, QueryOptions())
        result = _result(running)
    except ArangoError as error:
        raise _runtime(value, collection, error.number, error.message) from error
    if value["failOnWarning"] and result.warnings:
        warning = result.warnings[0]
        raise _runtime(value, collection, warning.code, warning.message)
    return result.rows[0]


def _result(running: Any) -> Result:
    """Return the result of a query that asks for no documents."""
    try:
        next(running)
    except StopIteration as end:
        found: Result = end.value
        return found
    running.close()
    raise ArangoError(1579, "computed values read no documents")


def _runtime(value: Document, collection: str, number: int, message: str) -> ArangoError:
    text = "computed values expression evaluation produced a runtime error for attribute"
    return ArangoError(number, f"{text} '{value['name']}' of collection '{collection}': {message}")


def _invalid(problem: str) -> ArangoError:
    text = f"Error when validating computedValues: invalid 'computedValues' entry: {problem}"
    return ArangoError(10, text, status=400)
