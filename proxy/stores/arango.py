"""The origin as a store: operations over HTTP, with the proxy's own account, and raw documents for repair.

Client traffic does not go through here: the dispatcher forwards it byte for byte (I6).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import quote, urlencode

import msgspec

from proxy.base.errors import ArangoError, UpstreamOutcomeUnknown
from proxy.model.error_body import decode_error
from proxy.model.message import Request, Response
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import decode_rev
from proxy.wire.endpoints import named


class Requester(Protocol):
    """The part of the upstream pool that stores, captures and the reader of the log use."""

    async def request(self, request: Request, *, idempotent: bool = False) -> Response: ...


class _Element(msgspec.Struct):
    error: bool = False
    number: int = msgspec.field(name="errorNum", default=0)


class _Revisions(msgspec.Struct):
    result: list[tuple[str, str]]
    more: bool = msgspec.field(name="hasMore", default=False)


class _Numbers(msgspec.Struct):
    result: list[float]


class _Collection(msgspec.Struct):
    name: str = ""
    type: int = 2


class _Indexes(msgspec.Struct):
    indexes: list[dict[str, object]]


class _Collections(msgspec.Struct):
    result: list[_Collection]


_NUMBERS = msgspec.json.Decoder(_Numbers)
_REVISIONS = msgspec.json.Decoder(_Revisions)
_COLLECTION = msgspec.json.Decoder(_Collection)
_INDEXES = msgspec.json.Decoder(_Indexes)
_COLLECTIONS = msgspec.json.Decoder(_Collections)
_EDGES = 3  # type of a collection
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ELEMENT = msgspec.json.Decoder(_Element)

# headers of an outcome that are compared or served
_KEPT = frozenset({b"etag", b"location", b"x-arango-error-codes", b"x-arango-potential-dirty-read"})


def _refused(outcome: Outcome, wanted: int) -> None:
    """Raise the ArangoError of an outcome unless it has the wanted status."""
    if outcome.status != wanted:
        error = decode_error(outcome.body)
        raise ArangoError(error.number or 500, error.message, status=outcome.status)


class ArangoStore:
    """ArangoDB through an upstream pool, with one account."""

    def __init__(self, upstream: Requester, user: str, password: str) -> None:
        self._upstream = upstream
        token = base64.b64encode(f"{user}:{password}".encode())
        self._headers = [(b"authorization", b"Basic " + token), (b"accept", b"application/json")]

    @property
    def name(self) -> str:
        return "arangodb"

    async def execute(self, operation: Operation) -> Outcome:
        """Run the operation with the proxy's account. Raise UpstreamError."""
        target = "/_db/" + "/".join(quote(part, safe="") for part in (operation.database, *operation.path))
        if operation.params:
            target += "?" + urlencode(operation.params)
        headers = list(self._headers)
        headers += [
            (name.encode(), operation.headers[name].encode())
            for name in ("if-match", "if-none-match")
            if name in operation.headers
        ]
        if operation.body:
            headers.append((b"content-type", b"application/json"))
        request = Request(operation.method, target.encode(), headers, operation.body)
        response = await self._upstream.request(request, idempotent=True)
        return await self._outcome(response)

    async def is_edge(self, database: str, collection: str) -> bool:
        """Return True if the collection holds edges. Raise ArangoError (1203: no such collection), UpstreamError."""
        path = ("_api", "collection", collection)
        outcome = await self.execute(Operation(named("collection.read"), "GET", database, collection, path=path))
        _refused(outcome, 200)
        return _COLLECTION.decode(outcome.body).type == _EDGES

    async def edge_collections(self, database: str) -> list[str]:
        """Return the names of the collections that hold edges. Raise ArangoError, UpstreamError."""
        outcome = await self.execute(Operation(named("collection.list"), "GET", database, path=("_api", "collection")))
        _refused(outcome, 200)
        return [found.name for found in _COLLECTIONS.decode(outcome.body).result if found.type == _EDGES]

    async def indexes(self, database: str, collection: str) -> list[dict[str, object]]:
        """Return the definitions of a collection's indexes. Raise ArangoError (1203), UpstreamError."""
        operation = Operation(
            named("index.list"), "GET", database, path=("_api", "index"), params={"collection": collection}
        )
        outcome = await self.execute(operation)
        _refused(outcome, 200)
        return _INDEXES.decode(outcome.body).indexes

    async def revisions(
        self, database: str, collection: str, after: str, upper: str | None, limit: int
    ) -> list[tuple[str, int]]:
        """Return (key, revision) of a page of documents with after < key <= upper, in key order, at most `limit`.

        Raise ArangoError (1203: the collection is gone), UpstreamError.
        """
        upto = "" if upper is None else "FILTER d._key <= @upper "
        query = f"FOR d IN @@c FILTER d._key > @after {upto}SORT d._key LIMIT @n RETURN [d._key, d._rev]"
        binds: dict[str, object] = {"@c": collection, "after": after, "n": limit}
        if upper is not None:
            binds["upper"] = upper
        return await self._read_revisions(database, query, binds, limit)

    async def read(self, database: str, collection: str, keys: Sequence[str]) -> dict[str, bytes | None]:
        """Return the documents of these keys as printed by ArangoDB; None if there is none.

        Raise ArangoError(1203) if the collection is gone, which is not the same as a document that is gone;
        UpstreamError if the origin did not answer.
        """
        body = msgspec.json.encode(list(keys))
        operation = Operation(
            named("document.read_many"),
            "PUT",
            database,
            collection,
            path=("_api", "document", collection),
            params={"onlyget": "true"},
            body=body,
        )
        outcome = await self.execute(operation)
        _refused(outcome, 200)
        elements = _ARRAY.decode(outcome.body)
        if len(elements) != len(keys):
            raise UpstreamOutcomeUnknown(f"the origin answered {len(elements)} documents for {len(keys)} keys")
        found: dict[str, bytes | None] = {}
        for key, raw in zip(keys, elements, strict=True):
            element = _ELEMENT.decode(raw)
            if element.error:
                if element.number != 1202:
                    raise ArangoError(element.number, f"the origin could not read {collection}/{key}")
                found[key] = None
            else:
                found[key] = bytes(raw)
        return found

    async def time_now(self, database: str) -> int:
        """Return the time of the origin's own clock in milliseconds. Raise ArangoError, UpstreamError."""
        answer = await self._query(database, {"query": "RETURN DATE_NOW()"})
        return int(_NUMBERS.decode(answer).result[0])

    async def written_since(self, database: str, collection: str, since: int, limit: int) -> list[tuple[str, int]]:
        """Return (key, revision) of documents whose revision was given at that time or later, at most `limit`.

        since: milliseconds of the origin's own clock. Raise ArangoError, UpstreamError.
        """
        query = (
            "FOR d IN @@collection FILTER DECODE_REV(d._rev).date >= DATE_ISO8601(@since) "
            "LIMIT @limit RETURN [d._key, d._rev]"
        )
        binds = {"@collection": collection, "since": since, "limit": limit}
        return await self._read_revisions(database, query, binds, limit)

    async def _read_revisions(
        self, database: str, query: str, binds: Mapping[str, object], limit: int
    ) -> list[tuple[str, int]]:
        """Return (key, revision) of a query of keys and revisions. Raise ArangoError, UpstreamError."""
        answer = _REVISIONS.decode(await self._query(database, {"query": query, "bindVars": binds, "batchSize": limit}))
        if answer.more:
            raise UpstreamOutcomeUnknown("the origin returned only a part of the requested keys")
        return [(key, decode_rev(rev)) for key, rev in answer.result]

    async def _query(self, database: str, query: Mapping[str, object]) -> bytes:
        """Return the body of the answer to an AQL query. Raise ArangoError, UpstreamError."""
        body = msgspec.json.encode(query)
        outcome = await self.execute(
            Operation(named("cursor.create"), "POST", database, path=("_api", "cursor"), body=body)
        )
        _refused(outcome, 201)
        return outcome.body

    @staticmethod
    async def _outcome(response: Response) -> Outcome:
        body = response.body if isinstance(response.body, bytes) else b"".join([part async for part in response.body])
        headers = tuple((name.lower(), value) for name, value in response.headers if name.lower() in _KEPT)
        content_type = response.header(b"content-type") or b"application/json"
        return Outcome(response.status, body, headers, content_type)
