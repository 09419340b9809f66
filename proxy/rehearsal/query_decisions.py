"""What the evaluator and the rules of writes make of a query over the documents that it met. Pure.

The query is run over one collection that is in memory as a whole. Its writes are decided as those of a query that
PostgreSQL alone evaluates. Keys and revisions that ArangoDB made are not compared: a new document without a key of its
own is compared by its content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from proxy.aql import Analysis, Fetch, Query, QueryOptions, Write, analyse, ast, parse, run
from proxy.aql.requests import Action
from proxy.base.errors import ArangoError, Unsupported
from proxy.model import json_reader
from proxy.model.json_values import dump
from proxy.model.revision import decode_rev
from proxy.rehearsal.chosen_query import WrittenByQuery
from proxy.rehearsal.decisions import GivenRevisions, RehearsedRules
from proxy.rehearsal.verdicts import EQUAL, Different, Equal
from proxy.semantics import query_writes
from proxy.semantics.encoded_document import revision_of
from proxy.semantics.key_generator import KeyGenerator
from proxy.shadow.diff.documents import MAX_PATHS, canonical, differences
from proxy.stores.postgres.writes.loaded_collection import LoadedCollection

Document = dict[str, Any]
_MADE: Final = "rehearsal:"  # how keys begin that ArangoDB would make
_SECONDS: Final = 0.05  # that a query may run on the event loop
_MODIFICATIONS: Final = (ast.Insert, ast.UpdateOrReplace, ast.Remove, ast.Upsert)
_SERVER_MADE: Final = ("_key", "_id", "_rev")


class _Body(msgspec.Struct):
    query: str
    binds: dict[str, Any] = msgspec.field(name="bindVars", default_factory=dict)
    options: dict[str, Any] = msgspec.field(default_factory=dict)


_BODY: Final = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True)
class RehearsedQuery:
    """A parsed query. why_not: why it cannot be rehearsed; empty if it can.

    reads: documents that it may not write. gathers: what it writes may depend on all of them.
    """

    query: Query | None
    binds: Mapping[str, Any]
    why_not: str = ""
    reads: bool = True
    gathers: bool = False


class _MadeKeys(KeyGenerator):
    """A generator whose keys no document of a client has."""

    made = 0

    def make(self) -> str:
        self.made += 1
        return f"{_MADE}{self.made}"


def parsed(body: bytes, name: str) -> RehearsedQuery:
    """Return the query of a request, which writes the collection `name`; or why the rules are not applied to it."""
    try:
        wanted = _BODY.decode(body)
        query = parse(wanted.query)
        found: Analysis = analyse(query, wanted.binds)
    except (msgspec.DecodeError, UnicodeDecodeError, ArangoError):
        return RehearsedQuery(None, {}, "query not understood")
    why = ""
    if found.unsupported:
        why = "a query that the evaluator does not support"
    elif found.choices or found.unordered or _cuts_anywhere(query):
        why = "a query that the data does not determine"
    elif found.dynamic or found.graphs or found.by_values or {*found.reads, *found.writes} != {name}:
        why = "a query that reads other collections"
    elif sum(isinstance(node, _MODIFICATIONS) for node in ast.walk(query)) > 1:
        why = "a query with several modifications"
    elif any(option.startswith("intermediateCommit") for option in wanted.options):
        why = "intermediate commits"
    gathers = any(isinstance(node, ast.Subquery | ast.Collect | ast.Window) for node in ast.walk(query))
    return RehearsedQuery(query, wanted.binds, why, name in found.reads or _searches(query), gathers)


def _cuts_anywhere(query: Query) -> bool:
    """Return True if a LIMIT may take any documents: it does not follow a SORT by keys."""
    parts = [query.statements, *(node.query.statements for node in ast.walk(query) if isinstance(node, ast.Subquery))]
    for statements in parts:
        for before, statement in zip((None, *statements), statements, strict=False):
            if isinstance(statement, ast.Limit) and not (isinstance(before, ast.Sort) and _by_key(before)):
                return True
    return False


def _by_key(sort: ast.Sort) -> bool:
    return any(isinstance(key.value, ast.Attribute) and key.value.name == "_key" for key in sort.keys)


def _searches(query: Query) -> bool:
    """Return True if it looks for documents that it may leave as they are: in UPSERT, or in INSERT with options."""
    return any(
        isinstance(node, ast.Upsert) or (isinstance(node, ast.Insert) and node.options is not None)
        for node in ast.walk(query)
    )


def decide(
    asked: RehearsedQuery,
    name: str,
    rules: RehearsedRules,
    rows: Mapping[str, bytes],
    database: str,
    written: Sequence[WrittenByQuery],
) -> dict[str, bytes | None] | ArangoError:
    """Return the documents that the query leaves otherwise than they were, None for those that it removes; or the error
    that ends it. rows: every document of the collection. written: what ArangoDB wrote, whose revisions new versions
    get, since computed values may have them. Raise Unsupported.
    """
    assert asked.query is not None
    revisions = GivenRevisions()
    given = {one.key or "": decode_rev(revision_of(bytes(one.new))) for one in written if bytes(one.new) != b"null"}
    collection = LoadedCollection(
        name,
        edge=rules.edge,
        properties=rules.properties,
        rows=rows,
        loaded=_Everything(),
        revisions=revisions,
        generator=_MadeKeys(rules.properties.key_options, lambda: 1),
    )
    options = QueryOptions(database=database, max_runtime=_SECONDS)
    try:
        _drive(run(asked.query, dict(asked.binds), options), collection, rows, revisions, given)
    except Unsupported:
        raise
    except ArangoError as error:
        return error
    return {change.key: change.raw for change in collection.changes()}


class _Everything:
    """Contains every key."""

    def __contains__(self, key: object) -> bool:
        return True


def _drive(
    steps: Generator[Action, Any, Any],
    collection: LoadedCollection,
    rows: Mapping[str, bytes],
    revisions: GivenRevisions,
    given: Mapping[str, int],
) -> None:
    """Answer the evaluator until it ends. given: the new revision of each document. Raise ArangoError."""
    touched: dict[str, None] = {}
    try:
        step = next(steps)
        while True:
            try:
                answer: Any = None
                if isinstance(step, Write):
                    key = step.key or (step.document or {}).get("_key")
                    revisions.given = given.get(key, 0) if isinstance(key, str) else 0
                    written = query_writes.carry_out(collection, step)
                    touched[written.key] = None
                    answer = query_writes.versions_of(step, written)
                elif isinstance(step, Fetch):
                    answer = list(_fetched(step, collection, rows, touched))
            except Unsupported:
                raise
            except ArangoError as refused:
                step = steps.throw(refused)
            else:
                step = steps.send(answer)
    except StopIteration:
        return
    finally:
        steps.close()


def _fetched(
    fetch: Fetch, collection: LoadedCollection, rows: Mapping[str, bytes], touched: Iterable[str]
) -> Iterator[Document]:
    keys: Iterable[str] = dict.fromkeys((*rows, *touched)) if fetch.keys is None else dict.fromkeys(fetch.keys)
    for key in sorted(keys):
        raw = collection.present(key)
        if raw is not None:
            yield json_reader.load(raw)


# ---- comparison


def met_rows(others: Mapping[str, bytes], written: Sequence[WrittenByQuery]) -> dict[str, bytes]:
    """Return the documents that a query met. others: those that it has not written."""
    rows = dict(others)
    for one in written:
        old = bytes(one.old)
        rows.pop(one.key or "", None)
        if old != b"null":
            rows[one.key or ""] = old
    return rows


def compare(written: Sequence[WrittenByQuery], ours: Mapping[str, bytes | None] | ArangoError) -> Equal | Different:
    """Compare the keys that a query wrote, and their new documents, with those of the rules."""
    if isinstance(ours, ArangoError):
        body = dump({"errorNum": ours.number, "errorMessage": ours.message})
        return Different(("errorNum",), _shown({one.key or "": _document(one.new) for one in written}), body)
    made = {key: _content(raw) for key, raw in ours.items() if key.startswith(_MADE) and raw is not None}
    named = {key: _without_rev(raw) for key, raw in ours.items() if not key.startswith(_MADE)}
    theirs = {one.key or "": _document(one.new) for one in written if bytes(one.old) != bytes(one.new)}
    unnamed = [key for key in theirs if key not in named and theirs[key] is not None] if made else []
    found: set[str] = set()
    if made:
        left = Counter(canonical(_plain(theirs[key])) for key in unnamed)
        right = Counter(canonical(one) for one in made.values())
        if left != right:
            found.add("documents with new keys")
    for key in theirs.keys() - set(unnamed) - named.keys():
        found.add("missing" if theirs[key] is None else "keys")
    for key, document in named.items():
        other = theirs.get(key)
        if key not in theirs:
            found.add("keys")
        elif other is None or document is None:
            found |= set() if other is document else {"presence"}
        else:
            found |= {path for _, path in differences({**other, "_rev": ""}, document)}
    if not found:
        return EQUAL
    keys = tuple(sorted({*theirs, *named}))[:20]
    return Different(tuple(sorted(found))[:MAX_PATHS], _shown(theirs), _shown({**named, **made}), keys)


def _document(raw: Any) -> Document | None:
    text = bytes(raw)
    return None if text == b"null" else json_reader.load(text)


def _without_rev(raw: bytes | None) -> Document | None:
    return None if raw is None else {**json_reader.load(raw), "_rev": ""}


def _content(raw: bytes) -> Document:
    return _plain(json_reader.load(raw))


def _plain(document: Any) -> Document:
    return {name: value for name, value in document.items() if name not in _SERVER_MADE}


def _shown(documents: Mapping[str, Document | None]) -> bytes:
    return dump({"written": documents})
