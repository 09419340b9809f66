"""A vertex or an edge through a named graph: the document in other wrapping, under the graph's definition. Pure.

The definition is a document of `_graphs`: mirrored, it is read in the document's own statement, under the same fence.
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
    """(graph, `vertex` or `edge`) of /_api/gharial/{graph}/{kind}/{collection}/{key}."""
    return operation.path[2], operation.path[3]


def check_definition(operation: Operation, raw: bytes | None) -> None:
    """Raises ArangoError 1924: no such graph. Whether the collection is the graph's a read does not ask."""
    if raw is None:
        raise ArangoError(1924, f"graph '{names_of(operation)[0]}' not found")


def outcome(operation: Operation, raw: bytes | None) -> Outcome:
    """200 with the document in its wrapping. Raises ArangoError 1202, or 1200 (412) as If-Match or `rev` ask;
    304 without a body as If-None-Match asks.
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
