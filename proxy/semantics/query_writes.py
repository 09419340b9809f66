"""The writes that an AQL query requests (`proxy.aql.requests.Write`), carried out by the rules of both stores."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from proxy.aql.requests import Write, WriteOptions
from proxy.model import json_reader
from proxy.model.documents import Merging
from proxy.semantics import write_document
from proxy.semantics.writable import WritableCollection
from proxy.semantics.write_rules import Mode, WriteResult, WriteRules

Document = dict[str, Any]
Versions: TypeAlias = tuple[Document | None, Document | None]  # OLD and NEW
COMMIT_COUNT: Final = 1_000_000  # writes after which ArangoDB commits
_COMMIT_SIZE: Final = 512 << 20  # bytes, likewise


def carry_out(collection: WritableCollection, request: Write) -> WriteResult:
    """Write one document. Raise ArangoError as ArangoDB refuses it, and whatever the collection raises."""
    document, rules = request.document or {}, rules_of(request.options)
    if request.kind == "insert":
        return write_document.insert(collection, document, rules)
    key = request.key or ""
    if request.kind == "update":
        return write_document.update(collection, key, document, rules)
    if request.kind == "replace":
        return write_document.replace(collection, key, document, rules)
    return write_document.remove(collection, key, document, rules)


@functools.lru_cache(maxsize=256)
def rules_of(options: WriteOptions) -> WriteRules:
    """Return the rules that the OPTIONS of a modification ask for."""
    return WriteRules(
        mode=Mode(options.overwrite_mode or "conflict"),
        merging=Merging(options.keep_null, options.merge_objects),
        body_revision=not options.ignore_revs,
        version_attribute=options.version_attribute or "",
    )


def versions_of(request: Write, written: WriteResult, parsed: Document | None = None) -> Versions:
    """Return OLD and NEW of a write; neither if overwriteMode made it ignore a document that exists, or if the query
    needs neither.

    parsed: the old document, if it was parsed already.
    """
    if not request.answered:
        return None, None
    if not written.changed and request.kind == "insert" and request.options.overwrite_mode == "ignore":
        return None, None
    old = parsed
    if old is None and written.old is not None:
        old = json_reader.load(written.old)
    new = None if written.new is None else json_reader.load(written.new)
    return old, new


class IntermediateCommits:
    """Counts the commits that a query makes before it ends: a query that fails keeps the writes of before the last one.

    kept: the number of those writes. enabled: False within a stream transaction, which commits as a whole.
    """

    def __init__(self, options: Mapping[str, Any], *, enabled: bool) -> None:
        self._count = _limit(options, "intermediateCommitCount", COMMIT_COUNT)
        self._size = _limit(options, "intermediateCommitSize", _COMMIT_SIZE)
        self._enabled = enabled
        self._writes = self._bytes = 0  # _bytes: of those after the last commit
        self.kept = self.commits = 0

    def count(self, size: int) -> None:
        """Count a write of `size` bytes, and a commit if enough was written since the last one."""
        self._writes += 1
        self._bytes += size
        if self._enabled and (self._writes - self.kept >= self._count or self._bytes >= self._size):
            self.kept, self._bytes = self._writes, 0
            self.commits += 1


def _limit(options: Mapping[str, Any], name: str, default: int) -> int:
    """Return an option of intermediate commits; a value that is not a number is ignored, as in ArangoDB."""
    given = options.get(name)
    return int(given) if isinstance(given, int | float) and not isinstance(given, bool) else default
