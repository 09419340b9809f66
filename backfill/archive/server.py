"""Requests to ArangoDB for archives: collection definitions for exports, and writes, byte for byte, for imports.

python-arango would parse documents and serialize them again, but a restored document must have the exported bytes. So
these requests use the proxy's own pool.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from proxy.base.errors import ArangoError, ConfigurationError, UpstreamOutcomeUnknown
from proxy.http.upstream import Upstream
from proxy.model.message import Request

T = TypeVar("T")
_BUSY: Final = frozenset({429, 502, 503, 504})
_MOST: Final = 1 << 30
NO_DATABASE: Final = 1228
NO_COLLECTION: Final = 1203
DUPLICATE_NAME: Final = 1207
EDGE: Final = 3


class DocumentAnswer(msgspec.Struct):
    """ArangoDB's answer for one written document."""

    key: str = msgspec.field(name="_key", default="")
    rev: str = msgspec.field(name="_rev", default="")
    error: bool = False
    number: int = msgspec.field(name="errorNum", default=0)
    message: str = msgspec.field(name="errorMessage", default="")


_ANSWERS: Final = msgspec.json.Decoder(list[DocumentAnswer])
_ONE: Final = msgspec.json.Decoder(DocumentAnswer)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


class ArangoServer:
    """ArangoDB at one URL with one account. `close()` when done.

    Every method raises UpstreamError if it does not answer, ConfigurationError if it refuses the account, and
    ArangoError if it refuses the request.
    """

    def __init__(self, url: str, user: str, password: str, *, timeout: float = 120.0) -> None:
        self._upstream = Upstream(url, connections=8, request_timeout=timeout, buffer_body=_MOST)
        self._url = self._upstream.name
        self._user = user
        token = base64.b64encode(f"{user}:{password}".encode())
        self._headers = [(b"authorization", b"Basic " + token), (b"accept", b"application/json")]

    @property
    def at(self) -> str:
        """Host and port."""
        return self._url

    async def close(self) -> None:
        await self._upstream.close()

    async def version(self) -> str:
        return str((await self._object("GET", "_system", "version")).get("version", ""))

    async def databases(self) -> list[str]:
        return list((await self._object("GET", "_system", "database/user")).get("result", ()))

    async def collections(self, database: str) -> list[str]:
        """Return the names of a database's collections, without system collections."""
        found = await self._object("GET", database, "collection", {"excludeSystem": "true"})
        return sorted(item["name"] for item in found.get("result", ()) if not item.get("isSystem"))

    async def properties(self, database: str, collection: str) -> dict[str, Any]:
        return await self._object("GET", database, f"collection/{quote(collection, safe='')}/properties")

    async def indexes(self, database: str, collection: str) -> list[dict[str, Any]]:
        """Return the definitions of indexes, without those that every collection has."""
        found = await self._object("GET", database, "index", {"collection": collection})
        return [one for one in found.get("indexes", ()) if one.get("type") not in ("primary", "edge")]

    async def create_database(self, name: str) -> None:
        await self._object("POST", "_system", "database", body={"name": name})

    async def create_collection(self, database: str, definition: Mapping[str, Any]) -> None:
        await self._object("POST", database, "collection", body=definition)

    async def set_properties(self, database: str, collection: str, properties: Mapping[str, Any]) -> None:
        await self._object("PUT", database, f"collection/{quote(collection, safe='')}/properties", body=properties)

    async def create_index(self, database: str, collection: str, definition: Mapping[str, Any]) -> None:
        await self._object("POST", database, "index", {"collection": collection}, body=definition)

    async def insert(
        self, database: str, collection: str, raws: Sequence[bytes], *, keep_revisions: bool, replace: bool = False
    ) -> list[DocumentAnswer]:
        """Insert documents byte for byte in one request; return the answers in the same order.

        keep_revisions: by `isRestore`, which is undocumented (protocol page, section 1); a server that does not know it
        assigns new revisions. replace: also if the key exists.
        """
        params = {"isRestore": "true"} if keep_revisions else {}
        if replace:
            params["overwriteMode"] = "replace"
        path = f"document/{quote(collection, safe='')}"
        body = b"[" + b",".join(raws) + b"]"
        answers = _decode(_ANSWERS, await self._ask("POST", database, path, params, body))
        if len(answers) != len(raws):
            raise UpstreamOutcomeUnknown(f"ArangoDB answered for {len(answers)} of {len(raws)} documents")
        return answers

    async def replace_exactly(
        self, database: str, collection: str, key: str, raw: bytes, *, stored: str, keep_revisions: bool
    ) -> DocumentAnswer | None:
        """Replace one document if its revision is `stored`; return None if it is not, or if the document is missing."""
        params = {"isRestore": "true"} if keep_revisions else {}
        path = f"document/{quote(collection, safe='')}/{quote(key, safe='')}"
        match = (b"if-match", f'"{stored}"'.encode())
        try:
            return _decode(_ONE, await self._ask("PUT", database, path, params, raw, match))
        except ArangoError as error:
            if error.status in (404, 412):
                return None
            raise

    async def _object(
        self, method: str, database: str, path: str, params: Mapping[str, str] | None = None, body: Any = None
    ) -> dict[str, Any]:
        data = b"" if body is None else msgspec.json.encode(body)
        return _decode(_OBJECT, await self._ask(method, database, path, params or {}, data))

    async def _ask(
        self,
        method: str,
        database: str,
        path: str,
        params: Mapping[str, str],
        body: bytes,
        *more: tuple[bytes, bytes],
    ) -> bytes:
        target = f"/_db/{quote(database, safe='')}/_api/{path}" + (f"?{urlencode(params)}" if params else "")
        headers = [*self._headers, *more]
        if body:
            headers.append((b"content-type", b"application/json"))
        response = await self._upstream.request(
            Request(method, target.encode(), headers, body), idempotent=method == "GET"
        )
        content = (
            response.body if isinstance(response.body, bytes) else b"".join([part async for part in response.body])
        )
        if 200 <= response.status < 300:
            return content
        answer = (
            _decode(_ONE, content)
            if content[:1] == b"{"
            else DocumentAnswer(message=content[:200].decode("utf-8", "replace"))
        )
        if response.status in _BUSY:
            raise UpstreamOutcomeUnknown(f"ArangoDB at {self._url} answered {response.status}: {answer.message}")
        if response.status == 401:
            raise ConfigurationError(
                f"ArangoDB at {self._url} refuses the account {self._user!r} ({answer.message}): "
                "set CROSSFADE_ORIGIN_USER and CROSSFADE_ORIGIN_PASSWORD"
            )
        raise ArangoError(answer.number or response.status, answer.message or None, status=response.status)


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise UpstreamOutcomeUnknown(f"ArangoDB's answer has an unexpected form: {error}") from error
