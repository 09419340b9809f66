"""Mismatches of every class, written directly into PostgreSQL, and the one read that must find each.

A seeded mismatch is one document, equal on both sides and then changed in PostgreSQL alone: a missing row, an extra
row, an older version, another value, type or array order, or a value that makes a query fail there. The kinds of read
take turns: by key, many keys, queries by key and by attribute, and a cursor's third batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from proxy.model.documents import to_jsonb
from tests.ad_hoc import Database
from tests.faults.oracle import COLLECTION, Wire

CLASSES = ("missing", "extra", "stale", "value", "type", "order", "error")
READS = ("key", "many", "query", "attribute", "batch")
_DOCUMENT = f"/_api/document/{COLLECTION}"
_BATCH = 3


@dataclass(frozen=True, slots=True)
class SeededMismatch:
    """One seeded mismatch. path: where in the document the mismatch must be reported; empty for a whole document."""

    number: int
    kind: str
    read: str
    path: str = ""

    @property
    def key(self) -> str:
        return f"plant{self.number}"

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths as they must be stored."""
        if self.kind == "error":
            return ("origin answer, target 400/1562",)
        if not self.path:
            return ()
        return (self.path if self.read in ("key", "many") else f"[].{self.path}",)


def seeded_mismatches(number: int) -> list[SeededMismatch]:
    """Return mismatches of all classes and reads in turn."""
    result = []
    for n in range(number):
        kind = CLASSES[n % len(CLASSES)]
        read = "query" if kind == "error" else READS[(n // len(CLASSES)) % len(READS)]
        path = {"value": f"v{n % 5}.deep", "type": f"t{n % 5}", "order": f"o{n % 5}[]"}.get(kind, "")
        result.append(SeededMismatch(n, kind, read, path))
    return result


def _content(mismatch: SeededMismatch, version: int) -> dict[str, Any]:
    n = mismatch.number % 5
    return {
        "_key": mismatch.key,
        "plant": mismatch.number,
        "version": version,
        f"v{n}": {"deep": 1, "other": [1, 2]},
        f"t{n}": 1,
        f"o{n}": ["a", "b", "c"],
        "divisor": 2,
    }


_CHANGES: dict[str, Callable[[SeededMismatch, dict[str, Any]], None]] = {
    "value": lambda mismatch, document: document[f"v{mismatch.number % 5}"].update(deep=2),
    "type": lambda mismatch, document: document.update({f"t{mismatch.number % 5}": "1"}),
    "order": lambda mismatch, document: document.update({f"o{mismatch.number % 5}": ["c", "b", "a"]}),
    "error": lambda _, document: document.update(divisor=0),
}


async def create_documents(wire: Wire, origin: Wire, mismatch: SeededMismatch) -> None:
    """Create the document through a proxy, with neighbours that fill the batches of a cursor."""
    documents = [_content(mismatch, 1)]
    if mismatch.read == "batch":
        documents += [
            {"_key": f"{mismatch.key}n{position}", "plant": mismatch.number, "version": 0}
            for position in range(2 * _BATCH)
        ]
    status, answer, _ = await wire.ask("POST", f"{_DOCUMENT}?overwriteMode=replace", documents)
    assert status in (201, 202), answer
    if mismatch.kind == "extra":  # removed from ArangoDB alone, out of band
        return
    if mismatch.kind == "stale":
        status, answer, _ = await wire.ask("PATCH", f"{_DOCUMENT}/{mismatch.key}", {"version": 2})
        assert status in (201, 202), answer


async def diverge(database: Database, relation: str, origin: Wire, mismatch: SeededMismatch) -> None:
    """Make PostgreSQL differ. Everything must have been mirrored before."""
    if mismatch.kind == "extra":
        status, answer, _ = await origin.ask("DELETE", f"{_DOCUMENT}/{mismatch.key}")
        assert status in (200, 202), answer
    elif mismatch.kind == "missing":
        assert len(await database.fetch(f"DELETE FROM {relation} WHERE key = $1 RETURNING key", mismatch.key)) == 1
    else:
        raw = await database.fetchval(f"SELECT raw::text FROM {relation} WHERE key = $1", mismatch.key)
        document = json.loads(raw)
        if mismatch.kind == "stale":
            document |= {"version": 1, "_rev": _older(document["_rev"])}
        else:
            _CHANGES[mismatch.kind](mismatch, document)
        text = json.dumps(document, separators=(",", ":"))
        changed = await database.fetch(
            f"UPDATE {relation} SET raw = $2, doc = coalesce($3, _crossfade.queryable($2)) "
            "WHERE key = $1 RETURNING key",
            mismatch.key,
            text,
            to_jsonb(text.encode()),
        )
        assert len(changed) == 1


def _older(rev: str) -> str:
    """Return a revision before that one."""
    from proxy.model.revision import decode_rev, encode_rev

    return encode_rev(decode_rev(rev) - 1)


async def read_once(wire: Wire, mismatch: SeededMismatch) -> None:
    """Do the one read that must find it."""
    if mismatch.read == "key" and mismatch.kind != "error":
        await wire.ask("GET", f"{_DOCUMENT}/{mismatch.key}")
        return
    if mismatch.read == "many" and mismatch.kind != "error":
        await wire.ask("PUT", f"{_DOCUMENT}?onlyget=true", [mismatch.key, f"{mismatch.key}-none"])
        return
    body: dict[str, Any] = {"bindVars": {"n": mismatch.number}}
    if mismatch.kind == "error":
        body["query"] = f"FOR d IN {COLLECTION} FILTER d.plant == @n RETURN 6 / d.divisor"
        body["options"] = {"failOnWarning": True}
    elif mismatch.read == "query":
        body["query"] = f"FOR d IN {COLLECTION} FILTER d._key == @key RETURN d"
        body["bindVars"] = {"key": mismatch.key}
    elif mismatch.read == "attribute":
        body["query"] = f"FOR d IN {COLLECTION} FILTER d.plant == @n RETURN d"
    else:
        body["query"] = f"FOR d IN {COLLECTION} FILTER d.plant == @n SORT d.version, d._key RETURN d"
        body["batchSize"] = _BATCH
    status, answer, _ = await wire.ask("POST", "/_api/cursor", body)
    while status in (200, 201) and answer["hasMore"]:
        status, answer, _ = await wire.ask("POST", f"/_api/cursor/{answer['id']}")
