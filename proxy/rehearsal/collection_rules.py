"""The properties of collections as ArangoDB has them: schema, computed values, key options, unique indexes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import orjson

from proxy.aql import Analysis, analyse, parse
from proxy.base.errors import ArangoError
from proxy.model.error_body import decode_error
from proxy.model.operations import Operation
from proxy.rehearsal.decisions import RehearsedRules
from proxy.stores.arango import ArangoStore
from proxy.stores.postgres.writes.properties import parse_properties
from proxy.wire.endpoints import named

_EDGES: Final = 3
_KEPT: Final = 60.0  # seconds
_MOST: Final = 2000  # collections
_NAMES: Final = ("id", "schema", "waitForSync", "keyOptions", "computedValues")


class OriginRules:
    """Reads properties with Crossfade's own account, and keeps them for a minute."""

    def __init__(self, origin: ArangoStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._origin = origin
        self._clock = clock
        self._known: dict[str, tuple[float, RehearsedRules]] = {}

    async def of(self, collection: str) -> RehearsedRules:
        """Return the properties of `database/name`. Raise ArangoError if it is gone, UpstreamError."""
        known = self._known.get(collection)
        if known is not None and self._clock() < known[0] + _KEPT:
            return known[1]
        return await self.again(collection)

    async def again(self, collection: str) -> RehearsedRules:
        """Read them now. Raise as `of`."""
        self._known.pop(collection, None)
        database, _, name = collection.partition("/")
        path = ("_api", "collection", name, "properties")
        shown = await self._origin.execute(Operation(named("collection.properties"), "GET", database, name, path=path))
        if shown.status != 200:
            error = decode_error(shown.body)
            raise ArangoError(error.number or 500, error.message, status=shown.status)
        indexes = await self._origin.indexes(database, name)
        found = rules_of(orjson.loads(shown.body), indexes)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[collection] = self._clock(), found
        return found


def rules_of(shown: dict[str, Any], indexes: list[dict[str, object]]) -> RehearsedRules:
    """Return the rules of a collection from its properties and indexes as ArangoDB shows them. Raise ArangoError 10."""
    values: dict[str, Any] = {name: shown[name] for name in _NAMES if name in shown}
    values["keyOptions"] = {
        name: value for name, value in (shown.get("keyOptions") or {}).items() if name != "lastValue"
    }
    values["indexes"] = sorted(
        (_definition(index) for index in indexes if index.get("unique") and index.get("type") != "primary"),
        key=lambda one: str(one["id"]),
    )
    properties = parse_properties(orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode())
    undetermined = any(not _determined(value["expression"]) for value in properties.computed or ())
    return RehearsedRules(properties, shown.get("type") == _EDGES, undetermined=undetermined)


def _definition(index: dict[str, object]) -> dict[str, object]:
    """Return what a definition says of values, without estimates that change with the data."""
    kept = ("deduplicate", "fields", "id", "name", "sparse", "type", "unique")
    return {name: index[name] for name in kept if name in index}


def _determined(expression: str) -> bool:
    """Return True if a document determines its computed value."""
    try:
        found: Analysis = analyse(parse(expression), {"doc": {}} if "@doc" in expression else {})
    except ArangoError:
        return False
    return found.deterministic
