"""What this server does not do, by name: views and analyzers can be listed, everything that makes one is refused (501).

The same goes for JavaScript (transactions, Foxx, tasks, functions of AQL), geo and fulltext queries, and the trees of
revisions that followers compare. `/_api/batch` and the oldest simple queries are not there at all, as in 3.12.
"""

from __future__ import annotations

from typing import Any, Final

from proxy.errors import ArangoError, Unsupported
from proxy.operations import Operation, Outcome
from proxy.stores.memory.collections import done
from proxy.stores.memory.server import Handler, Server

_LANGUAGES: Final = ("de", "en", "es", "fi", "fr", "it", "nl", "no", "pt", "ru", "sv", "zh")
_FEATURES: Final = ["frequency", "position", "norm"]
# endpoint -> what the refusal names
_REFUSED: Final = {
    "transaction.js": "JavaScript transactions",
    "foxx": "Foxx",
    "task": "tasks",
    "view.create": "views",
    "simple.near": "geo queries",
    "simple.within": "geo queries",
    "simple.within-rectangle": "geo queries",
    "simple.fulltext": "fulltext queries",
    "replication.revisions": "trees of revisions",
}
_GONE: Final = ("batch", "simple.first", "simple.last", "admin.execute")


def _refused(server: Server, operation: Operation) -> Outcome:
    server.database(operation)
    raise Unsupported(_REFUSED[operation.endpoint])


def _gone(server: Server, operation: Operation) -> Outcome:
    server.database(operation)
    raise ArangoError(404, f"unknown path '/{'/'.join(operation.path)}'")


def views(server: Server, operation: Operation) -> Outcome:
    """GET: the list, which is empty; everything about one view finds none."""
    server.database(operation)
    if operation.endpoint == "view.read" and len(operation.path) == 2:
        return done(operation, {"result": []})
    name = operation.path[2] if len(operation.path) > 2 else ""
    raise ArangoError(1203, f"collection or view not found: {name}")


def analyzers(server: Server, operation: Operation) -> Outcome:
    """GET: those that every server has. What would make or drop one is refused."""
    server.database(operation)
    shown: list[dict[str, Any]] = [
        {"name": "identity", "type": "identity", "properties": {}, "features": ["frequency", "norm"]}
    ]
    for language in _LANGUAGES:
        settings: dict[str, Any] = {
            "locale": language,
            "case": "lower",
            "stopwords": [],
            "accent": False,
            "stemming": True,
        }
        shown.append({"name": f"text_{language}", "type": "text", "properties": settings, "features": _FEATURES})
    if operation.method != "GET":
        raise Unsupported("analyzers")
    if len(operation.path) == 2:
        return done(operation, {"result": shown})
    for analyzer in shown:
        if operation.path[2] in (analyzer["name"], f"_system::{analyzer['name']}"):
            return done(operation, analyzer)
    raise ArangoError(1202, f"unable to find analyzer '{operation.path[2]}'")


def functions(server: Server, operation: Operation) -> Outcome:
    """`/_api/aqlfunction`: none can be made, so there are none."""
    server.database(operation)
    if operation.method == "GET":
        return done(operation, {"result": []})
    if operation.method == "DELETE":
        raise ArangoError(1582, f"no AQL user function with name '{'/'.join(operation.path[2:])}' found")
    raise Unsupported("JavaScript functions of AQL")


HANDLERS: Final[dict[str, Handler]] = {
    **dict.fromkeys(_REFUSED, _refused),
    **dict.fromkeys(_GONE, _gone),
    **dict.fromkeys(("view.read", "view.change", "view.drop"), views),
    "analyzer": analyzers,
    "query.function": functions,
}
