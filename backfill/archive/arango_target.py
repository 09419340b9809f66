"""Imports an archive into ArangoDB: byte for byte, with the revisions of the archive if the server keeps them.

A missing document is inserted (if its key appears meanwhile, the insert is a conflict and the present document stays);
an older document is replaced only if it still has the revision that was read. So concurrent writers never lose a newer
version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from backfill.archive.manifest import CollectionEntry
from backfill.archive.server import DUPLICATE_NAME, EDGE, NO_COLLECTION, NO_DATABASE, ArangoServer, DocumentAnswer
from backfill.archive.targets import Refused, TargetResult
from backfill.origin_pages import REV_MAX, Document, revision
from backfill.source import ArangoSource
from proxy.base.errors import ArangoError, CrossfadeError, UpstreamOutcomeUnknown
from proxy.model.revision import encode_rev
from proxy.replication.bisection import bisect

_CONFLICT: Final = 1200
_UNIQUE: Final = 1210
# properties set on creation; those that restrict or change documents are set after the load
_ON_CREATION: Final = (
    "waitForSync", "keyOptions", "cacheEnabled", "numberOfShards", "replicationFactor", "writeConcern", "shardKeys",
)  # fmt: skip
_AFTERWARDS: Final = ("schema", "computedValues")
_READ_ONLY: Final = ("id", "selectivityEstimate", "isNewlyCreated", "code", "error")


class IntoArango:
    """ArangoDB as the target. keep_revisions: ask the server to keep the revisions of the archive."""

    def __init__(
        self, server: ArangoServer, source: ArangoSource, *, keep_revisions: bool = True, indexes: bool = True
    ) -> None:
        self._server = server
        self._source = source
        self._keep = keep_revisions
        self._indexes = indexes
        self._kept: bool | None = None

    @property
    def keeps_revisions(self) -> bool | None:
        return self._kept

    async def prepare(self, entry: CollectionEntry) -> None:
        """Create the database and the collection if they are missing."""
        database, _, name = entry.collection.partition("/")
        try:
            await self._server.properties(database, name)
            return
        except ArangoError as error:
            if error.number not in (NO_DATABASE, NO_COLLECTION):
                raise
            missing = error.number
        if missing == NO_DATABASE:
            await _ignore_duplicate(self._server.create_database(database))
        definition: dict[str, Any] = {"name": name, "type": EDGE if entry.edge else 2}
        definition |= {known: entry.properties[known] for known in _ON_CREATION if known in entry.properties}
        if isinstance(definition.get("keyOptions"), dict):
            options = dict(definition["keyOptions"])
            options.pop("lastValue", None)  # the server continues after the imported keys
            definition["keyOptions"] = options
        if name.startswith("_"):
            definition["isSystem"] = True
        await _ignore_duplicate(self._server.create_collection(database, definition))

    async def revisions(self, collection: str, keys: Sequence[str]) -> dict[str, int]:
        database, _, name = collection.partition("/")
        try:
            return await self._source.revisions_of(database, name, keys)
        except ArangoError as error:
            if error.number in (NO_DATABASE, NO_COLLECTION):
                return {}
            raise

    async def write(
        self, collection: str, new: Sequence[Document], older: Sequence[tuple[Document, int]]
    ) -> TargetResult:
        done = await self._insert(collection, new, replace=False)
        database, _, name = collection.partition("/")
        written, kept, refused = done.written, done.kept, list(done.refused)
        for document, stored in older:
            try:
                answer = await self._server.replace_exactly(
                    database, name, document.key, document.raw, stored=encode_rev(stored), keep_revisions=self._keep
                )
            except ArangoError as error:
                if not _of_a_document(error):
                    raise
                refused.append((document.key, str(error)))
                continue
            if answer is None:
                kept += 1
            else:
                written += 1
                self._note_revision(document, answer)
        return TargetResult(written, kept, tuple(refused))

    async def overwrite(self, collection: str, documents: Sequence[Document]) -> TargetResult:
        return await self._insert(collection, documents, replace=True)

    async def finish(self, entry: CollectionEntry) -> list[str]:
        database, _, name = entry.collection.partition("/")
        notes = []
        properties = {known: entry.properties[known] for known in _AFTERWARDS if entry.properties.get(known)}
        try:
            if properties:
                present = await self._server.properties(database, name)
                missing = {known: value for known, value in properties.items() if not present.get(known)}
                if missing:
                    await self._server.set_properties(database, name, missing)
        except ArangoError as error:
            notes.append(f"{entry.collection}: {', '.join(properties)} could not be set: {error.message}")
        for index in entry.indexes if self._indexes else ():
            try:
                await self._server.create_index(database, name, _definition(index))
            except ArangoError as error:
                notes.append(f"{entry.collection}: index {index.get('name', '?')} was not created: {error.message}")
        return notes

    async def _insert(self, collection: str, documents: Sequence[Document], *, replace: bool) -> TargetResult:
        database, _, name = collection.partition("/")
        failed: list[tuple[Document, DocumentAnswer]] = []
        written = 0

        async def attempt(part: Sequence[Document]) -> None:
            nonlocal written
            answers = await self._server.insert(
                database, name, [document.raw for document in part], keep_revisions=self._keep, replace=replace
            )
            for document, one in zip(part, answers, strict=True):
                if one.number == _CONFLICT:
                    raise UpstreamOutcomeUnknown(f"ArangoDB is busy with {collection}/{document.key}: {one.message}")
                if one.error or not one.key:
                    failed.append((document, one))
                else:
                    written += 1
                    self._note_revision(document, one)

        alone = await bisect(documents, attempt, _of_a_document)
        refused: list[Refused] = [(one.item.key, one.reason) for one in alone]
        # the error number is the same for an existing key and for a unique index with this value under another key
        doubtful = [document.key for document, one in failed if one.number == _UNIQUE]
        there = await self.revisions(collection, doubtful) if doubtful else {}
        refused += [
            (document.key, f"{one.number}: {one.message}") for document, one in failed if document.key not in there
        ]
        return TargetResult(written, len(there), tuple(refused))

    def _note_revision(self, document: Document, answer: DocumentAnswer) -> None:
        same = document.rev == REV_MAX or revision(answer.rev) == document.rev
        self._kept = same if self._kept is None else self._kept and same


def _of_a_document(error: CrossfadeError) -> bool:
    return isinstance(error, ArangoError) and (error.status in (400, 413) or error.number == _UNIQUE)


def _definition(index: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in index.items() if name not in _READ_ONLY}, "inBackground": True}


async def _ignore_duplicate(request: Any) -> None:
    try:
        await request
    except ArangoError as error:
        if error.number != DUPLICATE_NAME:
            raise
