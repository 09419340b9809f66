"""A query run by the evaluator over the documents of a world, writes included."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from bench.corpus.world import Document, World, system
from proxy.aql import Fetch, Query, QueryOptions, Result, Write, equal, run
from proxy.base.errors import ArangoError

_OPTIONS = QueryOptions(memory_limit=1 << 28, max_runtime=10.0, user="root")


def evaluate_in(query: Query, world: World, options: QueryOptions = _OPTIONS) -> Result:
    """Return the result. Raise ArangoError as the evaluator does; the world is unchanged."""
    store = _Store(world)
    running = run(query, world.binds, options)
    try:
        answer: Any
        action = next(running)
        while True:
            try:
                if isinstance(action, Fetch):
                    answer = store.fetch(action)
                else:
                    assert isinstance(action, Write)  # there are no spools
                    answer = store.write(action)
            except ArangoError as error:
                action = running.throw(error)
            else:
                action = running.send(answer)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    finally:
        running.close()


class _Store:
    def __init__(self, world: World) -> None:
        self._rows = {name: {row["_key"]: row for row in rows} for name, rows in world.collections.items()}
        self._made = 0

    def fetch(self, fetch: Fetch) -> list[Document] | int:
        rows = self._rows.get(fetch.collection)
        if rows is None:
            raise ArangoError(1203, f"collection or view not found: {fetch.collection}")
        if fetch.count:
            return len(rows)
        found = [
            row
            for key, row in rows.items()
            if (fetch.keys is None or key in fetch.keys)
            and (fetch.among is None or _at(row, fetch.among[0]) in fetch.among[1])
            and all(equal(_at(row, path), value) for path, value in fetch.equalities)
        ]
        return copy.deepcopy(found)

    def write(self, write: Write) -> tuple[Document | None, Document | None]:
        rows = self._rows.setdefault(write.collection, {})
        key, document = write.key, write.document or {}
        if write.kind == "insert":
            if key is not None and not isinstance(key, str):
                raise ArangoError(1221)
            if key is None:
                self._made += 1
                key = f"made{self._made}"
            old = rows.get(key)
            if old is not None and write.options.overwrite_mode in (None, "conflict"):
                raise ArangoError(1210)
            if old is not None and write.options.overwrite_mode == "ignore":
                return None, None
            base = old if old is not None and write.options.overwrite_mode == "update" else {}
        else:
            old = rows.get(key or "")
            if old is None:
                raise ArangoError(1202)
            if write.kind == "remove":
                return rows.pop(key or ""), None
            base = old if write.kind == "update" else {name: old[name] for name in ("_from", "_to") if name in old}
        rows[key or ""] = system(write.collection, {**base, **document, "_key": key})
        return old, rows[key or ""]


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
