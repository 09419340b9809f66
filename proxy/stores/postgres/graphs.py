"""A vertex or an edge through a named graph: the document in another envelope, if the graph exists. Pure.

The definition of a graph is a document of `_graphs`. If that is mirrored, one statement reads both documents, under one
fence.
Rules: protocol page, section 6 ("gharial wraps").
"""

from __future__ import annotations

from typing import Final

from proxy.base.errors import ArangoError
from proxy.model import json_values
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import decode_rev
from proxy.stores.postgres.answers import CONFLICT, header_revision, system_of

DEFINITIONS: Final = "_graphs"  # the collection of all definitions of a database


def names_of(operation: Operation) -> tuple[str, str]:
    """Return (graph, `vertex` or `edge`) of /_api/gharial/{graph}/{kind}/{collection}/{key}."""
    return operation.path[2], operation.path[3]


def check_definition(operation: Operation, raw: bytes | None) -> None:
    """Raise ArangoError 1924 if there is no such graph. Reads do not check that the collection belongs to it."""
    if raw is None:
        raise ArangoError(1924, f"graph '{names_of(operation)[0]}' not found")


def outcome(operation: Operation, raw: bytes | None) -> Outcome:
    """Return 200 with the document in its envelope, or 304 without a body by If-None-Match.

    Raise ArangoError 1202 if it does not exist, 1200 (status 412) by If-Match or `rev`.
    """
    if raw is None:
        raise ArangoError(1202)
    _, kind = names_of(operation)
    rev = system_of(raw).rev
    header = operation.headers.get("if-match")
    wanted = header_revision(header) if header is not None else None
    if wanted is None and "rev" in operation.params:
        wanted = decode_rev(operation.params["rev"])
    if wanted is not None and wanted != decode_rev(rev):
        raise ArangoError(1200, CONFLICT, status=412)
    unwanted = operation.headers.get("if-none-match")
    if unwanted is not None and header_revision(unwanted) == decode_rev(rev):
        return Outcome(304, b"", ((b"etag", rev.encode()),), b"text/plain")
    body: list[bytes] = [b'{"error":false,"code":200,', json_values.dump(kind), b":", raw, b"}"]
    return Outcome(200, b"".join(body), ((b"etag", rev.encode()),))
