"""INSERT, UPDATE, REPLACE, REMOVE and UPSERT: write requests, one a row, once all rows are in (semantics page, 9)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from proxy.aql import ast
from proxy.aql.analyse import source_name
from proxy.aql.collect import CollectCompiler
from proxy.aql.compiled_types import Compiled, Frame, Stepwise, evaluate
from proxy.aql.pipeline import Flow, Stage
from proxy.aql.requests import Document, Fetch, Path, Request, Write, WriteOptions
from proxy.aql.values import Value, equal, truthy
from proxy.base.errors import ArangoError

_MODES = frozenset({"ignore", "replace", "update", "conflict"})


class ModifyCompiler(CollectCompiler):
    """Compiles modifications."""

    def target(self, node: ast.Collection | ast.Parameter) -> str:
        """The name of the collection that is written."""
        return node.name if isinstance(node, ast.Collection) else source_name(self.context.binds, node.name)

    def write_options(self, node: ast.Object | None) -> WriteOptions:
        """The OPTIONS object; it must be constant."""
        if node is None:
            return WriteOptions()
        compiled = self.expression(node)
        if isinstance(compiled, Stepwise) or any(isinstance(n, ast.Variable) for n in ast.walk(node)):
            raise ArangoError(1575, "AQL: query options must be readable at query compile time (while parsing)")
        return write_options(compiled([]))

    def modification_stage(self, node: ast.Modification) -> Stage:
        """All rows in, then a write for each, then the rows out with OLD and NEW."""
        collection = self.target(node.collection)
        options = self.write_options(node.options)
        old, new = self.slot("OLD"), self.slot("NEW")
        if isinstance(node, ast.Upsert):
            write = self.upsert(node, collection, options)
        else:
            write = self.plain_write(node, collection, options)
        context = self.context

        def run(flow: Flow) -> Flow:
            frames: list[Frame] = []
            for frame in flow:
                if frame.__class__ is list:
                    frames.append(frame)
                    context.hold(1)
                else:
                    yield frame
            done: list[Frame] = []
            for frame in frames:
                try:
                    before, after = yield from write(frame)
                except ArangoError:
                    if not options.ignore_errors:
                        raise
                    context.stats.writes_ignored += 1
                    continue
                frame[old], frame[new] = before, after
                context.stats.writes_executed += 1
                done.append(frame)
            context.forget(collection)
            yield from done

        return run

    def send(self, write: Write) -> Generator[Request, None, tuple[Document | None, Document | None]]:
        """One write; returns (old, new). Raises what the store refuses it with."""
        request = Request(write)
        yield request
        if request.error is not None:
            raise request.error
        self.context.forget(write.collection)
        old, new = request.result
        return old, new

    def plain_write(self, node: ast.Insert | ast.Change | ast.Remove, collection: str, options: WriteOptions) -> Any:
        """The write of an INSERT, UPDATE, REPLACE or REMOVE for one frame."""
        if isinstance(node, ast.Insert):
            document = self.expression(node.document)

            def insert(frame: Frame) -> Generator[Request, None, tuple[Document | None, Document | None]]:
                value = _object((yield from evaluate(document, frame)))
                return (yield from self.send(Write("insert", collection, value.get("_key"), value, options)))

            return insert
        if isinstance(node, ast.Remove):
            key = self.expression(node.key)

            def remove(frame: Frame) -> Generator[Request, None, tuple[Document | None, Document | None]]:
                value = yield from evaluate(key, frame)
                revision = _revision(value, options)
                return (yield from self.send(Write("remove", collection, key_of(value), revision, options)))

            return remove
        kind = node.kind.lower()
        whose = self.expression(node.key) if node.key is not None else None
        change = self.expression(node.document)

        def update(frame: Frame) -> Generator[Request, None, tuple[Document | None, Document | None]]:
            value = yield from evaluate(change, frame)
            target = value if whose is None else (yield from evaluate(whose, frame))
            patch = {name: item for name, item in _object(value).items() if name not in ("_key", "_id", "_rev")}
            patch.update(_revision(target, options) or {})
            return (yield from self.send(Write(kind, collection, key_of(target), patch, options)))

        return update

    def upsert(self, node: ast.Upsert, collection: str, options: WriteOptions) -> Any:
        """Looks up, then inserts, or updates or replaces the first match."""
        search = self.expression(node.search) if node.search is not None else None
        slot = self.temporary()
        self.currents.append(slot)
        condition = self.expression(node.condition) if node.condition is not None else None
        self.currents.pop()
        document, change = self.expression(node.insert), self.expression(node.change)
        old = self.slot("OLD")
        kind = node.kind.lower()

        def run(frame: Frame) -> Generator[Request, None, tuple[Document | None, Document | None]]:
            found = yield from self.lookup(frame, collection, search, condition, slot)
            frame[old] = found
            if found is None:
                value = _object((yield from evaluate(document, frame)))
                _, new = yield from self.send(Write("insert", collection, value.get("_key"), value, options))
                return None, new
            patch = _object((yield from evaluate(change, frame)))
            patch = {name: item for name, item in patch.items() if name not in ("_key", "_id", "_rev")}
            return (yield from self.send(Write(kind, collection, found["_key"], patch, options)))

        return run

    def lookup(
        self, frame: Frame, collection: str, search: Compiled | None, condition: Compiled | None, slot: int
    ) -> Generator[Request, None, Document | None]:
        """The first document that the search object or the condition matches."""
        if search is None:
            assert condition is not None
            for document in (yield from self.context.fetch(Fetch(collection))):
                frame[slot] = document
                if truthy((yield from evaluate(condition, frame))):
                    return document
            return None
        wanted = _object((yield from evaluate(search, frame)))
        paths = list(leaves(wanted, ()))
        keys = next(((value,) for path, value in paths if path == ("_key",) and isinstance(value, str)), None)
        equalities = tuple(
            (path, value)
            for path, value in paths
            if value.__class__ in (str, bool, int, float) and path[0] not in ("_key", "_id", "_rev")
        )
        for document in (yield from self.context.fetch(Fetch(collection, equalities, keys))):
            if all(equal(_at(document, path), value) for path, value in paths):
                return document
        return None


def write_options(given: Value) -> WriteOptions:
    """The options of a modification, from its OPTIONS object."""
    if not isinstance(given, dict):
        return WriteOptions()
    mode = given.get("overwriteMode")
    if mode not in _MODES:
        mode = "replace" if truthy(given.get("overwrite")) else None
    wait = given.get("waitForSync")
    version = given.get("versionAttribute")
    return WriteOptions(
        keep_null=truthy(given.get("keepNull", True)),
        merge_objects=truthy(given.get("mergeObjects", True)),
        overwrite_mode=mode,
        ignore_revs=truthy(given.get("ignoreRevs", True)),
        ignore_errors=truthy(given.get("ignoreErrors", False)),
        wait_for_sync=None if wait is None else truthy(wait),
        exclusive=truthy(given.get("exclusive", False)),
        version_attribute=version if isinstance(version, str) and version else None,
    )


def key_of(value: Value) -> str:
    """The key that a key expression names: text, or an object's _key. Raises 1226."""
    key = value.get("_key") if isinstance(value, dict) else value
    if not isinstance(key, str):
        raise ArangoError(1226, "AQL: missing document key (while executing)", status=400)
    return key


def _revision(value: Value, options: WriteOptions) -> Document | None:
    if not options.ignore_revs and isinstance(value, dict) and isinstance(value.get("_rev"), str):
        return {"_rev": value["_rev"]}
    return None


def _object(value: Value) -> Document:
    if not isinstance(value, dict):
        raise ArangoError(1227, "AQL: invalid document type (while executing)", status=400)
    return value


def leaves(value: Document, path: Path) -> Iterator[tuple[Path, Value]]:
    """The attribute paths of a search object and the value of each; sub-objects are gone into."""
    for name, item in value.items():
        if isinstance(item, dict) and item:
            yield from leaves(item, (*path, name))
        else:
            yield (*path, name), item


def _at(document: Value, path: Path) -> Value:
    for name in path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document
