"""A store of plain dicts for tests of the evaluator: it answers fetches as narrowly as possible, and applies writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.aql import Fetch, QueryOptions, Result, Write, equal, parse, run
from proxy.base.errors import ArangoError

Document = dict[str, Any]


def documents(collection: str, *rows: Document) -> list[Document]:
    """Documents with _id and _rev; rows without a key are numbered from 1."""
    found = []
    for number, row in enumerate(rows, 1):
        key = str(row.get("_key", number))
        found.append({"_key": key, "_id": f"{collection}/{key}", "_rev": "_r0", **row})
    return found


class Store:
    """Collections by name. `fetches` and `writes` record the requests, in order."""

    def __init__(self, **collections: list[Document]) -> None:
        self.collections = {
            name: {row["_key"]: row for row in documents(name, *rows)} for name, rows in collections.items()
        }
        self.fetches: list[Fetch] = []
        self.writes: list[Write] = []
        self.revision = 0

    def fetch(self, fetch: Fetch) -> list[Document] | int:
        """Return exactly the documents that the fetch narrows to."""
        self.fetches.append(fetch)
        if fetch.collection not in self.collections:
            raise ArangoError(1203, f"collection or view not found: {fetch.collection}")
        if fetch.count:
            return len(self.collections[fetch.collection])
        return [
            row
            for key, row in self.collections[fetch.collection].items()
            if (fetch.keys is None or key in fetch.keys)
            and (fetch.among is None or at(row, fetch.among[0]) in fetch.among[1])
            and all(equal(at(row, path), value) for path, value in fetch.equalities)
        ]

    def write(self, write: Write) -> tuple[Document | None, Document | None]:
        """Apply one write; the merge is shallow, which is enough for these tests."""
        self.writes.append(write)
        rows = self.collections.setdefault(write.collection, {})
        self.revision += 1
        revision = {"_rev": f"_r{self.revision}"}
        if write.kind == "insert":
            key = write.key or f"made{self.revision}"
            old = rows.get(key)
            if old is not None and write.options.overwrite_mode is None:
                raise ArangoError(1210)
            if old is not None and write.options.overwrite_mode == "ignore":
                return None, None
            rows[key] = {**(write.document or {}), "_key": key, "_id": f"{write.collection}/{key}", **revision}
            return old, rows[key]
        assert write.key is not None
        old = rows.get(write.key)
        if old is None:
            raise ArangoError(1202)
        if write.kind == "remove":
            return rows.pop(write.key), None
        system = {name: old[name] for name in ("_key", "_id")} | revision
        base = old if write.kind == "update" else {}
        rows[write.key] = {**base, **(write.document or {}), **system}
        return old, rows[write.key]

    def query(self, text: str, binds: Mapping[str, Any] | None = None, **options: Any) -> Result:
        """Run a query to its end."""
        runner = run(parse(text), binds, QueryOptions(**options))
        try:
            action = next(runner)
            while True:
                try:
                    answer = self._answer(action)
                except ArangoError as error:
                    action = runner.throw(error)
                else:
                    action = runner.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result

    def _answer(self, action: Any) -> Any:
        if isinstance(action, Fetch):
            return self.fetch(action)
        assert isinstance(action, Write)  # there are no spools
        return self.write(action)

    def rows(self, text: str, binds: Mapping[str, Any] | None = None) -> list[Any]:
        """Return the rows of a query."""
        return self.query(text, binds).rows


def at(value: Any, path: tuple[str, ...]) -> Any:
    """Return the value at an attribute path; null if there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def value_of(expression: str, binds: Mapping[str, Any] | None = None) -> Any:
    """Return the value of an expression without collections."""
    return Store().rows(f"RETURN {expression}", binds)[0]


def warnings_of(expression: str) -> list[int]:
    """Return the codes of the warnings of an expression."""
    return [warning.code for warning in Store().query(f"RETURN {expression}").warnings]
