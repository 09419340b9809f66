"""INSERT, UPDATE, REPLACE, REMOVE and UPSERT: a write request a row, after all rows are in (semantics, section 9)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from proxy.aql import ast
from proxy.aql.analyse import source_name
from proxy.aql.compiled_types import Compiled, Frame, Stepwise, evaluate
from proxy.aql.execution.compiler import Flow, ProgramCompiler, Stage, StatementPlace, stage_of
from proxy.aql.execution.held_rows import HeldRows, unneeded_slots
from proxy.aql.query_context import QueryContext
from proxy.aql.requests import Document, Expect, Fetch, Path, StoreRequest, Write, WriteOptions
from proxy.aql.signatures import NOT_PUSHED
from proxy.aql.values import Value, equal, truthy
from proxy.base.errors import ArangoError

Versions: TypeAlias = tuple[Document | None, Document | None]  # OLD and NEW
FrameWrite: TypeAlias = Callable[[Frame], Generator[StoreRequest, None, Versions]]
Expected: TypeAlias = Callable[[str, list[Frame]], tuple[Fetch, ...]]
_OVERWRITE_MODES: Final = frozenset({"ignore", "replace", "update", "conflict"})
_SYSTEM: Final = ("_key", "_id", "_rev")


@dataclass(frozen=True, slots=True)
class _Target:
    """The collection that a modification writes to, and how. answered: what follows needs OLD or NEW."""

    context: QueryContext
    collection: str
    options: WriteOptions
    answered: bool

    def send(self, kind: str, key: str | None, document: Document | None) -> Generator[StoreRequest, None, Versions]:
        """Request one write and return (old, new). Raise the error with which the store refuses it."""
        request = StoreRequest(Write(kind, self.collection, key, document, self.options, self.answered))
        yield request
        if request.error is not None:
            raise request.error
        self.context.forget(self.collection)
        old, new = request.result
        return old, new

    def revision(self, value: Value) -> Document | None:
        """Return the `_rev` that must match; None if revisions are not compared."""
        if not self.options.ignore_revs and isinstance(value, dict) and isinstance(value.get("_rev"), str):
            return {"_rev": value["_rev"]}
        return None


@stage_of(ast.Insert, ast.UpdateOrReplace, ast.Remove, ast.Upsert)
def modification(c: ProgramCompiler, node: ast.Modification, place: StatementPlace) -> Stage:
    """Compile a modification: all rows in, a write for each, then the rows out with OLD and NEW."""
    name = node.collection.name if isinstance(node.collection, ast.Collection) else None
    collection = source_name(c.context.binds, node.collection.name) if name is None else name
    old, new = c.slot("OLD"), c.slot("NEW")
    answered = not {old, new}.issubset(unneeded_slots(c, place.following))
    target = _Target(c.context, collection, _write_options(c, node.options), answered)
    write = _WRITES[node.__class__](c, node, target)
    context, ignore_errors = c.context, target.options.ignore_errors
    expected = expected_of(c, node, target.options)
    spools = context.options.spools is not None
    unneeded = unneeded_slots(c, (node, *place.following)) if spools else []
    after_write = unneeded_slots(c, place.following) if spools else []

    def run(flow: Flow) -> Flow:
        frames = yield from _all_rows(flow, context, unneeded)
        done = HeldRows(context)
        for page in frames.pages():
            if expected is not None and (fetches := expected(collection, page)):
                yield StoreRequest(Expect(collection, fetches))
            for frame in page:
                try:
                    before, after = yield from write(frame)
                except ArangoError:
                    if not ignore_errors:
                        raise
                    context.stats.writes_ignored += 1
                    continue
                frame[old], frame[new] = before, after
                context.stats.writes_executed += 1
                for slot in after_write:
                    frame[slot] = None
                if place.following:
                    done.append(frame)
        context.forget(collection)
        for page in done.pages():
            yield from context.pause_if_due()
            yield from page

    return run


def _all_rows(flow: Flow, context: QueryContext, unneeded: list[int]) -> Generator[Any, None, HeldRows]:
    """Consume all rows and return them; requests are passed on. unneeded: slots of variables that nothing reads."""
    frames = HeldRows(context)
    for frame in flow:
        if frame.__class__ is list:
            for slot in unneeded:
                frame[slot] = None
            frames.append(frame)
        else:
            yield frame
    return frames


def _insert(c: ProgramCompiler, node: ast.Insert, target: _Target) -> FrameWrite:
    document = c.expression(node.document)

    def insert(frame: Frame) -> Generator[StoreRequest, None, Versions]:
        value = _object((yield from evaluate(document, frame)))
        return (yield from target.send("insert", value.get("_key"), value))

    return insert


def _remove(c: ProgramCompiler, node: ast.Remove, target: _Target) -> FrameWrite:
    key = c.expression(node.key)

    def remove(frame: Frame) -> Generator[StoreRequest, None, Versions]:
        value = yield from evaluate(key, frame)
        return (yield from target.send("remove", _key_of(value), target.revision(value)))

    return remove


def _change(c: ProgramCompiler, node: ast.UpdateOrReplace, target: _Target) -> FrameWrite:
    """Compile UPDATE and REPLACE."""
    kind = node.kind.lower()
    key = c.expression(node.key) if node.key is not None else None
    document = c.expression(node.document)

    def change(frame: Frame) -> Generator[StoreRequest, None, Versions]:
        value = yield from evaluate(document, frame)
        whose = value if key is None else (yield from evaluate(key, frame))
        patch = _without_system(value)
        patch.update(target.revision(whose) or {})
        return (yield from target.send(kind, _key_of(whose), patch))

    return change


def _upsert(c: ProgramCompiler, node: ast.Upsert, target: _Target) -> FrameWrite:
    """Compile UPSERT: insert, or update or replace the first match."""
    search = c.expression(node.search) if node.search is not None else None
    slot = c.temporary()
    c.currents.append(slot)
    condition = c.expression(node.condition) if node.condition is not None else None
    c.currents.pop()
    document, change = c.expression(node.insert), c.expression(node.change)
    old = c.slot("OLD")
    kind = node.kind.lower()

    def upsert(frame: Frame) -> Generator[StoreRequest, None, Versions]:
        if search is None:
            assert condition is not None
            found = yield from _first_where(target, frame, condition, slot)
        else:
            found = yield from _first_like(target, _object((yield from evaluate(search, frame))))
        frame[old] = found
        if found is None:
            value = _object((yield from evaluate(document, frame)))
            _, new = yield from target.send("insert", value.get("_key"), value)
            return None, new
        patch = _without_system((yield from evaluate(change, frame)))
        return (yield from target.send(kind, found["_key"], patch))

    return upsert


_WRITES: Final[dict[type, Callable[..., FrameWrite]]] = {
    ast.Insert: _insert,
    ast.Remove: _remove,
    ast.UpdateOrReplace: _change,
    ast.Upsert: _upsert,
}


# --- the document that UPSERT finds


def _first_where(
    target: _Target, frame: Frame, condition: Compiled, slot: int
) -> Generator[StoreRequest, None, Document | None]:
    """Return the first document that meets the condition, in which it is CURRENT."""
    for document in (yield from target.context.fetch(Fetch(target.collection))):
        frame[slot] = document
        if truthy((yield from evaluate(condition, frame))):
            return document
    return None


def _first_like(target: _Target, example: Document) -> Generator[StoreRequest, None, Document | None]:
    """Return the first document that has all attributes of the example."""
    paths = list(_leaves(example, ()))
    for document in (yield from target.context.fetch(_search(target.collection, paths))):
        if all(equal(_at(document, path), value) for path, value in paths):
            return document
    return None


def _search(collection: str, paths: list[tuple[Path, Value]]) -> Fetch:
    """Return the fetch of the documents that an UPSERT looks among."""
    keys = next(((value,) for path, value in paths if path == ("_key",) and isinstance(value, str)), None)
    equalities = tuple(
        (path, value) for path, value in paths if value.__class__ in (str, bool, int, float) and path[0] not in _SYSTEM
    )
    return Fetch(collection, equalities, keys)


def _leaves(value: Document, path: Path) -> Iterator[tuple[Path, Value]]:
    """Yield the attribute paths of an example and their values, inside objects as well."""
    for name, item in value.items():
        if isinstance(item, dict) and item:
            yield from _leaves(item, (*path, name))
        else:
            yield (*path, name), item


def _at(document: Value, path: Path) -> Value:
    for name in path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


# --- the documents that the next writes need


def expected_of(c: ProgramCompiler, node: ast.Modification, options: WriteOptions) -> Expected | None:
    """Return what finds out which documents a page of rows needs; None if that cannot be known ahead."""
    if c.context.options.spools is None:
        return None
    if isinstance(node, ast.Upsert):
        part = node.search
    elif isinstance(node, ast.Insert):
        needed = options.overwrite_mode not in (None, "conflict") or options.ignore_errors
        part = node.document if needed else None
    elif isinstance(node, ast.Remove):
        part = node.key
    else:
        part = node.key if node.key is not None else node.document
    if part is None or _is_random(part):
        return None
    context, searches = c.context, isinstance(node, ast.Upsert)
    before, context.quiet = context.quiet, True  # it is compiled again
    try:
        plain = c.expression(part)
    finally:
        context.quiet = before
    if isinstance(plain, Stepwise):
        return None

    def expected(collection: str, page: list[Frame]) -> tuple[Fetch, ...]:
        context.quiet = True  # it is evaluated again, in its turn
        try:
            values = [plain(frame) for frame in page]
        except ArangoError:
            return ()
        finally:
            context.quiet = False
        if searches:
            return tuple([_search(collection, list(_leaves(one, ()))) for one in values if isinstance(one, dict)])
        keys = [one.get("_key") if isinstance(one, dict) else one for one in values]
        wanted = tuple(dict.fromkeys(key for key in keys if isinstance(key, str)))
        return (Fetch(collection, keys=wanted),) if wanted else ()

    return expected


def _is_random(node: ast.Expr) -> bool:
    """Return True if evaluating it twice may give two values."""
    return any(isinstance(below, ast.Call) and below.name in NOT_PUSHED for below in ast.walk(node))


# --- options, keys, documents


def _write_options(c: ProgramCompiler, node: ast.Object | None) -> WriteOptions:
    """Return the options of a modification. Raise ArangoError 1575 if they are not constant."""
    if node is None:
        return WriteOptions()
    compiled = c.expression(node)
    if isinstance(compiled, Stepwise) or any(isinstance(n, ast.Variable) for n in ast.walk(node)):
        raise ArangoError(1575, "AQL: query options must be readable at query compile time (while parsing)")
    return write_options_of(compiled([]))


def write_options_of(given: Value) -> WriteOptions:
    """Return the options that a value of OPTIONS gives."""
    if not isinstance(given, dict):
        return WriteOptions()
    mode = given.get("overwriteMode")
    if mode not in _OVERWRITE_MODES:
        mode = "replace" if truthy(given.get("overwrite")) else None
    version = given.get("versionAttribute")
    return WriteOptions(
        keep_null=truthy(given.get("keepNull", True)),
        merge_objects=truthy(given.get("mergeObjects", True)),
        overwrite_mode=mode,
        ignore_revs=truthy(given.get("ignoreRevs", True)),
        ignore_errors=truthy(given.get("ignoreErrors", False)),
        version_attribute=version if isinstance(version, str) and version else None,
    )


def _key_of(value: Value) -> str:
    """Return the key that a key expression names: a text, or the _key of an object. Raise ArangoError 1226."""
    key = value.get("_key") if isinstance(value, dict) else value
    if not isinstance(key, str):
        raise ArangoError(1226, "AQL: missing document key (while executing)", status=400)
    return key


def _object(value: Value) -> Document:
    if not isinstance(value, dict):
        raise ArangoError(1227, "AQL: invalid document type (while executing)", status=400)
    return value


def _without_system(value: Value) -> Document:
    return {name: item for name, item in _object(value).items() if name not in _SYSTEM}
