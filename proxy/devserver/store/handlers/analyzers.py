"""`/_api/analyzer`: definitions of analyzers, which applications create when they start. Nothing is analysed with them.

A database sees the built-in ones, its own, and those of `_system`. Names of the latter two are shown with their
database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store.answers import done
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome
from proxy.semantics import write_document
from proxy.semantics.request_params import body_object
from proxy.wire.encode import json_outcome

Document = dict[str, Any]
_LANGUAGES: Final = ("de", "en", "es", "fi", "fr", "it", "nl", "no", "pt", "ru", "sv", "zh")
_TEXT_FEATURES: Final = ["frequency", "position", "norm"]
_FEATURES: Final = frozenset({"frequency", "norm", "position", "offset"})
_OPTIONS: Final = {"maxCells": 20, "minLevel": 4, "maxLevel": 23}
_CHARSET: Final = re.compile(r"\.[^@]*")
_NEEDED: Final = object()
# type -> defaults of its properties; `_NEEDED`: a definition must have it
_KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "identity": {},
    "delimiter": {"delimiter": _NEEDED},
    "multi_delimiter": {"delimiters": _NEEDED},
    "stem": {"locale": _NEEDED},
    "norm": {"locale": _NEEDED, "case": "none", "accent": True},
    "ngram": {
        "min": _NEEDED,
        "max": _NEEDED,
        "preserveOriginal": _NEEDED,
        "startMarker": "",
        "endMarker": "",
        "streamType": "binary",
    },
    "text": {"locale": _NEEDED, "case": "lower", "accent": False, "stemming": True},
    "collation": {"locale": _NEEDED},
    "segmentation": {"case": "lower", "break": "alpha"},
    "stopwords": {"stopwords": _NEEDED, "hex": False},
    "pipeline": {"pipeline": _NEEDED},
    "minhash": {"analyzer": _NEEDED, "numHashes": _NEEDED},
    "wildcard": {"ngramSize": _NEEDED},
    "geojson": {"options": _OPTIONS, "type": "shape", "legacy": False},
    "geopoint": {"options": _OPTIONS, "latitude": [], "longitude": []},
    "geo_s2": {"options": _OPTIONS, "type": "shape", "format": "latLngDouble"},
    "aql": {
        "queryString": _NEEDED,
        "collapsePositions": False,
        "keepNull": True,
        "batchSize": 10,
        "memoryLimit": 1048576,
        "returnType": "string",
    },
}


def _built_in() -> dict[str, Document]:
    found: dict[str, Document] = {
        "identity": {"name": "identity", "type": "identity", "properties": {}, "features": ["frequency", "norm"]}
    }
    for language in _LANGUAGES:
        name = f"text_{language}"
        properties: Document = {"locale": language, "case": "lower", "stopwords": [], "accent": False, "stemming": True}
        found[name] = {"name": name, "type": "text", "properties": properties, "features": _TEXT_FEATURES}
    return found


_BUILT_IN: Final = _built_in()


def _defined(server: ServerState, database: str) -> Collection:
    return server.databases[database].collections["_analyzers"]


def _shown(database: str, stored: Mapping[str, Any]) -> Document:
    kept = {name: stored[name] for name in ("type", "properties", "features")}
    return {"name": f"{database}::{stored['_key']}", **kept}


def _split(operation: Operation, name: str) -> tuple[str, str]:
    """Return (database, name within it) of an analyzer's name, which may contain a database."""
    database, colons, rest = name.rpartition("::")
    return (database or "_system", rest) if colons else (operation.database, name)


def _find(server: ServerState, operation: Operation, name: str) -> Document | None:
    database, own = _split(operation, name)
    if own in _BUILT_IN and (database == "_system" or "::" not in name):
        return _BUILT_IN[own]
    if database not in (operation.database, "_system") or database not in server.databases:
        return None
    stored = _defined(server, database).load(own)
    return None if stored is None else _shown(database, stored)


def analyzers(server: ServerState, operation: Operation) -> Outcome:
    """Carry out all of `/_api/analyzer[/{name}]`."""
    server.database(operation)
    name = operation.path[2] if len(operation.path) > 2 else None
    if operation.method == "GET" and name is None:
        places = dict.fromkeys((operation.database, "_system"))
        made = [_shown(place, stored) for place in places for stored in _defined(server, place).scan()]
        return done(operation, {"result": [*_BUILT_IN.values(), *made]})
    if operation.method == "GET" and name is not None:
        found = _find(server, operation, name)
        if found is None:
            raise ArangoError(1202, f"unable to find analyzer '{name}'")
        return done(operation, found)
    if operation.method == "POST" and name is None:
        return _create(server, operation)
    if operation.method == "DELETE" and name is not None:
        return _drop(server, operation, name)
    raise ArangoError(405)


def _create(server: ServerState, operation: Operation) -> Outcome:
    """Answer 201 for a new one, 200 for an equal one that exists. Raise ArangoError 10."""
    body = body_object(operation)
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise ArangoError(10, "invalid 'name', expecting non-empty string")
    database, own = _split(operation, name)
    if database != operation.database:
        raise ArangoError(11, "database in analyzer name does not match current database", status=403)
    if not own[:1].isalpha() or not own.replace("_", "a").replace("-", "a").isalnum() or not own.isascii():
        raise ArangoError(10, f"invalid characters in analyzer name '{own}'")
    definition = {"type": body.get("type"), **_properties(body), "features": _features(body)}
    known = _find(server, operation, own)
    if known is not None:
        if any(known[part] != definition[part] for part in ("type", "properties")):
            raise ArangoError(10, f"name collision detected while registering an analyzer '{own}'")
        return json_outcome(200, known)
    written = write_document.insert(_defined(server, database), {"_key": own, "name": own, **definition})
    return json_outcome(201, _shown(database, {"_key": written.key, **definition}))


def _properties(body: Document) -> Document:
    """Return the properties of a definition, completed. Raise ArangoError 10."""
    kind, given = body.get("type"), body.get("properties")
    defaults = _KINDS.get(kind) if isinstance(kind, str) else None
    if defaults is None:
        raise ArangoError(10, f"invalid analyzer type '{kind}'")
    if given is not None and not isinstance(given, dict):
        raise ArangoError(10, "invalid 'properties', expecting object")
    if kind == "identity":
        return {"properties": {}}
    properties = {**{name: value for name, value in defaults.items() if value is not _NEEDED}, **(given or {})}
    for name in defaults:
        if name not in properties:
            raise ArangoError(10, f"failure initializing an arangosearch analyzer: '{name}' is missing")
    if kind == "collation" and isinstance(properties["locale"], str):
        # a locale is shown in its canonical form: without the charset, which is always UTF-8
        properties["locale"] = _CHARSET.sub("", properties["locale"])
    return {"properties": properties}


def _features(body: Document) -> list[str]:
    given = body.get("features") or []
    if not isinstance(given, list) or not all(isinstance(name, str) and name in _FEATURES for name in given):
        raise ArangoError(10, "invalid value in 'features' array")
    return list(dict.fromkeys(given))


def _drop(server: ServerState, operation: Operation, name: str) -> Outcome:
    database, own = _split(operation, name)
    if own in _BUILT_IN and (database == "_system" or "::" not in name):
        raise ArangoError(11, "failed to remove built-in analyzer", status=403)
    if database != operation.database or _find(server, operation, name) is None:
        raise ArangoError(1202, f"failure while removing analyzer, reason: no such analyzer '{name}'")
    write_document.remove(_defined(server, database), own)
    return done(operation, {"name": f"{database}::{own}"})


COMMANDS: Final = {
    "analyzer": EndpointCommand(analyzers),
}
