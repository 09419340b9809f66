"""One mismatch as a file that reproduces it elsewhere: request, both answers, the documents concerned on both sides.

JSON. Documents are kept as the text that either side printed (`origin`, `target`; null where it has none) beside what
PostgreSQL queries (`queryable`), since a difference may lie in either. A sample that was redacted has no request that
could be sent again: its bundle is a report, and reproduces nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

import sql
from proxy.aql import analyse, parse
from proxy.base.database import Database
from proxy.base.errors import ArangoError, PreconditionFailed
from proxy.model.operations import Operation
from proxy.operator.mismatches import MismatchFingerprint
from proxy.stores.arango import ArangoStore
from proxy.wire.endpoints import named

FORMAT: Final = "crossfade mismatch 1"
MOST: Final = 1000  # documents of a collection


async def build(database: Database, origin: ArangoStore, found: MismatchFingerprint, *, whole: bool) -> dict[str, Any]:
    """Return the bundle of a mismatch with its newest sample.

    whole: all documents of its collections, at most MOST of each, not those alone that the mismatch names; so are they
    where it names none. Raise PreconditionFailed if it has no sample any more, or a collection is too large;
    ArangoError, UpstreamError, DatabaseError.
    """
    if not found.samples:
        raise PreconditionFailed(
            f"mismatch {found.id} has no sample any more: it was forgotten, see CROSSFADE_SAMPLE_DAYS"
        )
    sample = found.samples[-1]
    bundle: dict[str, Any] = {
        "format": FORMAT,
        "collection": found.collection,
        "fingerprint": found.fingerprint,
        "class": found.kind,
        "paths": list(found.paths),
        "keys": list(found.keys),
        "seen": found.seen,
        "first_seen": found.first_seen.isoformat(),
        "last_seen": found.last_seen.isoformat(),
        **{name: sample.get(name) for name in ("request", "origin", "target", "route", "traceparent", "explanation")},
        "reversed": sample.get("reversed", False),
        "reproducible": not sample.get("redacted"),
        "collections": {},
    }
    if not bundle["reproducible"]:
        return bundle
    base, _, _ = found.collection.partition("/")
    for name in _collections(found, sample["request"]):
        keys = list(found.keys) if name == found.collection and not whole else None
        bundle["collections"][name] = await _collection(database, origin, base, name.partition("/")[2], keys or None)
    return bundle


def read(text: bytes) -> dict[str, Any]:
    """Return a bundle from its file. Raise PreconditionFailed if it is not a bundle, or cannot be reproduced."""
    try:
        bundle = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise PreconditionFailed(f"this is no bundle: {error}") from error
    if not isinstance(bundle, dict) or bundle.get("format") != FORMAT:
        raise PreconditionFailed(f"this is no bundle of this version ({FORMAT!r})")
    if not bundle["reproducible"]:
        raise PreconditionFailed("the values of this bundle were redacted: it can be read, and not reproduced")
    return bundle


def _collections(found: MismatchFingerprint, request: Mapping[str, Any]) -> Sequence[str]:
    """Return the mismatch's collections and the others that its query reads."""
    if "query" not in request:
        return [found.collection]
    base = found.collection.partition("/")[0]
    try:
        reads = analyse(parse(request["query"]), request.get("bindVars") or {}).reads
    except ArangoError:
        reads = frozenset()
    return sorted({found.collection, *(f"{base}/{name}" for name in reads)})


async def _collection(
    database: Database, origin: ArangoStore, base: str, name: str, keys: Sequence[str] | None
) -> dict[str, Any]:
    row = await database.fetchrow(sql.collections.FIND, f"{base}/{name}")
    if row is None:
        raise PreconditionFailed(f"PostgreSQL does not know {base}/{name}")
    if keys is None:
        keys = [key for key, _ in await origin.revisions(base, name, "", None, MOST + 1)]
        theirs = await database.fetch(sql.shadow.SOME_KEYS.on(row.relation), MOST + 1)
        keys = sorted({*keys, *theirs})
        if len(keys) > MOST:
            raise PreconditionFailed(
                f"{base}/{name} has more than {MOST} documents, and the mismatch names none of them"
            )
    stored = {one.key: one for one in await database.fetch(sql.shadow.ROWS.on(row.relation), list(keys))}
    printed = await origin.read(base, name, keys)
    return {
        "edge": row.edge,
        "indexes": await _indexes(origin, base, name),
        "documents": [
            {
                "key": key,
                "origin": None if (raw := printed[key]) is None else raw.decode("utf-8", "replace"),
                "target": stored[key].raw if key in stored else None,
                "queryable": stored[key].doc if key in stored else None,
            }
            for key in keys
        ],
    }


async def _indexes(origin: ArangoStore, base: str, name: str) -> list[dict[str, Any]]:
    """Return the indexes as ArangoDB lists them; they explain an order and change no answer."""
    asked = Operation(
        named("index.list"),
        "GET",
        base,
        name,
        path=("_api", "index"),
        params={"collection": name},
    )
    outcome = await origin.execute(asked)
    if outcome.status != 200:
        return []
    found: list[dict[str, Any]] = orjson.loads(outcome.body).get("indexes", [])
    return found
