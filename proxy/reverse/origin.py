"""Requests of the reverse mirror to ArangoDB, with Crossfade's account."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from proxy.base.errors import ArangoError, UpstreamOutcomeUnknown
from proxy.model.error_body import decode_error
from proxy.model.message import Request, Response
from proxy.model.revision import decode_rev
from proxy.reverse.batch import Version
from proxy.stores.arango import Requester

FENCE: Final = "_crossfade"  # a system collection: its rights are those of its database
NO_COLLECTION: Final = 1203
DUPLICATE_NAME: Final = 1207
_NOT_THERE: Final = frozenset({1202, 1203, 1228})


class _Begun(msgspec.Struct):
    id: str


class _BeginAnswer(msgspec.Struct):
    result: _Begun


class _Revisions(msgspec.Struct):
    result: list[tuple[str, str]]
    more: bool = msgspec.field(name="hasMore", default=False)


class FenceDocument(msgspec.Struct, frozen=True):
    """The fence document. intent: the outbox row of the change that was announced last; 0: none."""

    token: int = 0
    intent: int = 0


NO_FENCE: Final = FenceDocument()


class _FenceAnswer(msgspec.Struct):
    old: FenceDocument | None = None


class _Element(msgspec.Struct):
    number: int = msgspec.field(name="errorNum", default=0)
    message: str = msgspec.field(name="errorMessage", default="")


_BEGUN: Final = msgspec.json.Decoder(_BeginAnswer)
_REVISIONS: Final = msgspec.json.Decoder(_Revisions)
_FENCE: Final = msgspec.json.Decoder(_FenceAnswer)
_ELEMENTS: Final = msgspec.json.Decoder(list[_Element])
_QUERY: Final = "FOR d IN @@collection FILTER d._key IN @keys RETURN [d._key, d._rev]"


@dataclass(frozen=True, slots=True)
class ElementError:
    """ArangoDB's error for one document of an array."""

    key: str
    number: int
    message: str


class OriginRequests:
    """ArangoDB over a pool of connections. Every method raises UpstreamError, and ArangoError if it refuses."""

    def __init__(self, upstream: Requester, user: str, password: str) -> None:
        self._upstream = upstream
        token = base64.b64encode(f"{user}:{password}".encode())
        self._headers = [(b"authorization", b"Basic " + token), (b"accept", b"application/json")]

    async def ask(
        self,
        method: str,
        database: str,
        path: Sequence[str],
        *,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        transaction: str = "",
        idempotent: bool = False,
    ) -> tuple[bytes, Response]:
        """Return the body of an answer, and the answer."""
        target = "/_db/" + "/".join(quote(part, safe="") for part in (database, "_api", *path))
        if params:
            target += "?" + urlencode(params)
        headers = list(self._headers)
        if body:
            headers.append((b"content-type", b"application/json"))
        if transaction:
            headers.append((b"x-arango-trx-id", transaction.encode()))
        request = Request(method, target.encode(), headers, body)
        response = await self._upstream.request(request, idempotent=idempotent)
        found = response.body if isinstance(response.body, bytes) else b"".join([part async for part in response.body])
        if response.status >= 400:
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                error = decode_error(found)
                raise ArangoError(error.number or response.status, error.message, status=response.status)
            raise UpstreamOutcomeUnknown(f"the answer {response.status} to {method} {target} is not ArangoDB's")
        return found, response

    # ---- stream transactions

    async def begin(self, database: str, names: Sequence[str]) -> str:
        """Begin a transaction that writes those collections and the fence document; return its number."""
        declared = {"collections": {"write": [FENCE, *names]}, "allowImplicit": False}
        body, _ = await self.ask("POST", database, ("transaction", "begin"), body=msgspec.json.encode(declared))
        return _BEGUN.decode(body).result.id

    async def commit(self, database: str, transaction: str) -> None:
        await self.ask("PUT", database, ("transaction", transaction))

    async def abort(self, database: str, transaction: str) -> None:
        """Abort a transaction; one that is not there, or was committed, is none of the caller's errors."""
        with contextlib.suppress(ArangoError):
            await self.ask("DELETE", database, ("transaction", transaction))

    async def write_fence(self, database: str, transaction: str, part: int, fields: Mapping[str, int]) -> FenceDocument:
        """Lock and change the fence document of a part; return what it was."""
        document = {"_key": f"part-{part}", **fields}
        body, _ = await self.ask(
            "POST",
            database,
            ("document", FENCE),
            params={"overwriteMode": "update", "returnOld": "true"},
            body=msgspec.json.encode(document),
            transaction=transaction,
        )
        return _FENCE.decode(body).old or NO_FENCE

    async def revisions(self, database: str, transaction: str, name: str, keys: Sequence[str]) -> dict[str, int]:
        """Return the revision of each of the keys that ArangoDB has."""
        query = {
            "query": _QUERY,
            "bindVars": {"@collection": name, "keys": list(keys)},
            "batchSize": len(keys) + 1,
        }
        body, _ = await self.ask(
            "POST", database, ("cursor",), body=msgspec.json.encode(query), transaction=transaction
        )
        answer = _REVISIONS.decode(body)
        if answer.more:
            raise UpstreamOutcomeUnknown("ArangoDB returned only a part of the revisions")
        return {key: decode_rev(rev) for key, rev in answer.result}

    async def remove(self, database: str, transaction: str, name: str, keys: Sequence[str]) -> list[ElementError]:
        """Remove documents; return those that could not be removed."""
        body, response = await self.ask(
            "DELETE", database, ("document", name), body=msgspec.json.encode(list(keys)), transaction=transaction
        )
        return _errors(body, response, keys)

    async def write(
        self, database: str, transaction: str, name: str, versions: Sequence[Version]
    ) -> list[ElementError]:
        """Insert or replace documents with their own revisions; return those that could not be written."""
        body, response = await self.ask(
            "POST",
            database,
            ("document", name),
            params={"isRestore": "true", "overwriteMode": "replace", "skipDocumentValidation": "true"},
            body=b"[" + b",".join([version.raw or b"null" for version in versions]) + b"]",
            transaction=transaction,
        )
        return _errors(body, response, [version.key for version in versions])

    # ---- collections

    async def create_fence(self, database: str) -> None:
        """Create the collection of the fence document, unless it is there."""
        definition: dict[str, Any] = {"name": FENCE, "isSystem": True}
        try:
            await self.ask("POST", database, ("collection",), body=msgspec.json.encode(definition))
        except ArangoError as error:
            if error.number != DUPLICATE_NAME:
                raise

    async def exists(self, database: str, name: str) -> bool:
        """Return True if a collection exists."""
        try:
            await self.ask("GET", database, ("collection", name), idempotent=True)
        except ArangoError as error:
            if error.number in _NOT_THERE:
                return False
            raise
        return True


def _errors(body: bytes, response: Response, keys: Sequence[str]) -> list[ElementError]:
    """Return the errors in an answer about an array; the header says whether there are any."""
    if response.header(b"x-arango-error-codes") is None:
        return []
    elements = _ELEMENTS.decode(body)
    if len(elements) != len(keys):
        raise UpstreamOutcomeUnknown(f"ArangoDB answered {len(elements)} elements for {len(keys)} documents")
    return [
        ElementError(key, element.number, element.message)
        for key, element in zip(keys, elements, strict=True)
        if element.number
    ]
