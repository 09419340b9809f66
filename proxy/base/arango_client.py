"""Small clients for what is not on the request path: `crossfade doctor` and the other commands. The owner of httpx.

They ask what operators need before a change: whether ArangoDB answers, to which account, which collections it has.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

import httpx

from proxy.base.errors import ArangoError, UpstreamOutcomeUnknown, UpstreamUnavailable

_NO_COLLECTION: Final = 1203
_NAME_TAKEN: Final = 1207


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """The answer of `/_api/version`."""

    server: str
    version: str


@dataclass(frozen=True, slots=True)
class OriginCollection:
    """One collection of a database; edge: it holds edges. globally: its `globallyUniqueId`."""

    name: str
    edge: bool
    system: bool
    globally: str = ""


@functools.cache
def _trusted_authorities() -> ssl.SSLContext:
    """Return what httpx verifies certificates with, once: to load it takes 20 ms, also for a URL without TLS."""
    return httpx.create_ssl_context(trust_env=False)


class OriginClient:
    """ArangoDB, asked with one account. Use `async with`. timeout: seconds for each step of a request."""

    def __init__(self, url: str, user: str, password: str, *, timeout: float = 5.0) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            auth=httpx.BasicAuth(user, password),
            timeout=timeout,
            trust_env=False,
            verify=_trusted_authorities(),
        )

    async def __aenter__(self) -> OriginClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections, if it was not used with `async with`."""
        await self._client.aclose()

    async def version(self) -> ServerVersion:
        """Return the server's name and version. Raise as `_ask`."""
        value = await self._get("/_api/version")
        return ServerVersion(str(value.get("server", "")), str(value.get("version", "")))

    async def requires_credentials(self) -> bool:
        """Return False if the server answers anybody. Raise UpstreamError, ArangoError."""
        try:
            response = await self._client.get("/_api/version", auth=lambda request: request)
        except httpx.HTTPError as error:
            raise UpstreamUnavailable(f"{type(error).__name__}: {error}") from error
        return response.status_code == 401

    async def databases(self) -> tuple[str, ...]:
        """Return the databases that the account may read. Raise as `_ask`."""
        value = await self._get("/_api/database/user")
        return tuple(value.get("result", ()))

    async def collections(self, database: str) -> tuple[OriginCollection, ...]:
        """Return the collections of a database. Raise as `_ask`; ArangoError 1228 if there is no such database."""
        value = await self._get(f"/_db/{quote(database, safe='')}/_api/collection")
        return tuple(
            OriginCollection(
                str(item["name"]),
                item.get("type") == 3,
                bool(item.get("isSystem")),
                str(item.get("globallyUniqueId", "")),
            )
            for item in value.get("result", ())
        )

    async def read_only(self) -> bool:
        """Return True if the server takes no writes (`/_admin/server/mode`). Raise UpstreamError."""
        try:
            return (await self._get("/_admin/server/mode")).get("mode") == "readonly"
        except ArangoError:
            return False  # this account may not see it, or this server does not report it

    async def revisions(self, database: str, collection: str, keys: Sequence[str]) -> dict[str, str]:
        """Return the `_rev` of each of these keys that exists. Raise as `_ask`."""
        body = {
            "query": "FOR d IN @@c FILTER d._key IN @keys RETURN [d._key, d._rev]",
            "bindVars": {"@c": collection, "keys": list(keys)},
            "batchSize": max(1, len(keys)),
        }
        value = await self._ask("POST", f"/_db/{quote(database, safe='')}/_api/cursor", body)
        return {str(key): str(rev) for key, rev in value.get("result", ())}

    # ---- users, and what they may do

    async def users(self) -> tuple[str, ...]:
        """Return the names of all users, which only administrators see. Raise as `_ask`."""
        return tuple(str(item["user"]) for item in (await self._get("/_api/user")).get("result", ()))

    async def granted(self, user: str) -> dict[str, Any]:
        """Return what a user was granted, for each database and collection; `undefined` if nothing was. Raise as
        `_ask`.
        """
        return dict((await self._get(f"/_api/user/{quote(user, safe='')}/database?full=true"))["result"])

    async def level(self, user: str, database: str, collection: str) -> str:
        """Return a user's level for a collection, by whatever grant. Raise as `_ask`."""
        return str((await self._get(_level_path(user, database, collection)))["result"])

    async def grant(self, user: str, database: str, collection: str, level: str | None) -> None:
        """Grant a user a level for a collection; None: take back what was granted for it alone. Raise as `_ask`."""
        path = _level_path(user, database, collection)
        await (self._ask("DELETE", path) if level is None else self._ask("PUT", path, {"grant": level}))

    # ---- a collection of our own

    async def write(self, database: str, collection: str, document: Mapping[str, object]) -> str:
        """Write a document, in place of one with its key, and return its `_rev`. The collection, of the kind that
        users do not see, is made if it is missing. Raise as `_ask`.
        """
        base = f"/_db/{quote(database, safe='')}/_api"
        try:
            made = await self._ask("POST", f"{base}/document/{collection}?overwriteMode=replace", document)
        except ArangoError as error:
            if error.number != _NO_COLLECTION:
                raise
            try:
                await self._ask("POST", f"{base}/collection", {"name": collection, "isSystem": True})
            except ArangoError as there:
                if there.number != _NAME_TAKEN:  # another command has made it meanwhile
                    raise
            made = await self._ask("POST", f"{base}/document/{collection}?overwriteMode=replace", document)
        return str(made["_rev"])

    async def server_id(self) -> str:
        """Return the server's number. Raise as `_ask`."""
        return str((await self._get("/_api/replication/server-id"))["serverId"])

    async def all_databases(self) -> dict[str, str]:
        """Return the number of every database by name, which only administrators see. Raise as `_ask`."""
        names = (await self._get("/_api/database")).get("result", ())
        return {
            str(name): str((await self._get(f"/_db/{quote(name, safe='')}/_api/database/current"))["result"]["id"])
            for name in names
        }

    async def access_tokens(self, user: str) -> int:
        """Return how many access tokens a user has; 0 from a server that has none: before 3.12.5, or without
        authentication. Raise as `_ask`.
        """
        try:
            return len((await self._get(f"/_api/token/{quote(user, safe='')}")).get("tokens", ()))
        except ArangoError as error:
            if error.status in (401, 404, 501):
                return 0
            raise

    async def properties(self, database: str, collection: str) -> dict[str, Any]:
        """Return the properties of a collection, with its newest revision as `revision`. Raise as `_ask`."""
        path = f"/_db/{quote(database, safe='')}/_api/collection/{quote(collection, safe='')}"
        return await self._get(f"{path}/properties") | {"revision": (await self._get(f"{path}/revision"))["revision"]}

    async def indexes(self, database: str, collection: str) -> list[dict[str, Any]]:
        """Return the definitions of a collection's indexes. Raise as `_ask`."""
        path = f"/_db/{quote(database, safe='')}/_api/index?collection={quote(collection, safe='')}"
        return list((await self._get(path)).get("indexes", ()))

    async def views(self, database: str) -> tuple[str, ...]:
        """Return the names of a database's views. Raise as `_ask`."""
        value = await self._get(f"/_db/{quote(database, safe='')}/_api/view")
        return tuple(str(view["name"]) for view in value.get("result", ()))

    async def view_links(self, database: str) -> dict[str, tuple[str, ...]]:
        """Return the collections that each view of a database has. Raise as `_ask`."""
        return {
            name: view_collections(
                await self._get(f"/_db/{quote(database, safe='')}/_api/view/{quote(name, safe='')}/properties")
            )
            for name in await self.views(database)
        }

    async def clock(self) -> float:
        """Return ArangoDB's clock, in seconds since 1970. Raise as `_ask`."""
        value = await self._ask("POST", "/_api/cursor", {"query": "RETURN DATE_NOW()"})
        return float(value["result"][0]) / 1000

    async def count(self, database: str, collection: str) -> int:
        """Return the number of documents. Raise as `_ask`."""
        path = f"/_db/{quote(database, safe='')}/_api/collection/{quote(collection, safe='')}/count"
        return int((await self._get(path))["count"])

    async def dump(self, database: str, collection: str) -> list[bytes]:
        """Return every document as it is printed, from one snapshot: for small collections.

        An administrator reads `_users` by this way only. Raise as `_ask`.
        """
        base = f"/_db/{quote(database, safe='')}/_api/dump"
        body = {"shards": [collection], "docsPerBatch": 1_000, "prefetchCount": 1, "parallelism": 1, "ttl": 60.0}
        number = (await self._send("POST", f"{base}/start", body)).headers.get("x-arango-dump-id", "")
        lines: list[bytes] = []
        batch = 0
        while True:
            batch += 1
            former = f"&lastBatch={batch - 1}" if batch > 1 else ""
            response = await self._send("POST", f"{base}/next/{quote(number, safe='')}?batchId={batch}{former}")
            if response.status_code == httpx.codes.NO_CONTENT:
                break
            lines += filter(None, response.content.split(b"\n"))
        await self._send("DELETE", f"{base}/{quote(number, safe='')}")
        return lines

    async def _get(self, path: str) -> dict[str, Any]:
        """Return the answer to a GET. Raise as `_ask`."""
        return await self._ask("GET", path)

    async def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Return the object in the answer.

        Raise UpstreamUnavailable (no connection), UpstreamOutcomeUnknown (no whole answer, or not ArangoDB's),
        ArangoError (it refused: 401 and so on).
        """
        response = await self._send(method, path, body)
        value = _parsed(response, path)
        if not isinstance(value, dict):
            raise UpstreamOutcomeUnknown(f"the answer to {path} is not ArangoDB's")
        return value

    async def _send(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Return an answer that is not an error. Raise as `_ask`."""
        try:
            response = await self._client.request(method, path, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise UpstreamUnavailable(str(error) or type(error).__name__) from error
        except httpx.HTTPError as error:
            raise UpstreamOutcomeUnknown(str(error) or type(error).__name__) from error
        if response.status_code >= httpx.codes.BAD_REQUEST:
            value = _parsed(response, path)
            if not isinstance(value, dict):
                raise UpstreamOutcomeUnknown(f"the answer to {path} is not ArangoDB's")
            number = value.get("errorNum")
            raise ArangoError(
                number if isinstance(number, int) else response.status_code,
                str(value.get("errorMessage", "")) or None,
                status=response.status_code,
            )
        return response


def _level_path(user: str, database: str, collection: str) -> str:
    names = "/".join(quote(name, safe="") for name in (database, collection))
    return f"/_api/user/{quote(user, safe='')}/database/{names}"


def _parsed(response: httpx.Response, path: str) -> object:
    """Return the JSON of an answer. Raise UpstreamOutcomeUnknown."""
    try:
        return response.json()
    except ValueError as error:
        raise UpstreamOutcomeUnknown(f"the answer to {path} is not JSON (status {response.status_code})") from error


def view_collections(properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the collections of a view: those that an arangosearch view links, or whose indexes an alias has."""
    aliased = (str(index.get("collection", "")) for index in properties.get("indexes", ()))
    return tuple(sorted({*map(str, properties.get("links", ())), *aliased} - {""}))


class ReplayClient:
    """Reads through a proxy, as a client of its traffic listener. Use `async with`."""

    def __init__(self, url: str, user: str, password: str, *, timeout: float = 60.0) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            auth=httpx.BasicAuth(user, password),
            timeout=timeout,
            trust_env=False,
            verify=_trusted_authorities(),
        )

    async def __aenter__(self) -> ReplayClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def read(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> int:
        """Return the status of one read; a cursor is read to its end. Raise UpstreamError."""
        try:
            response = await self._client.request(method, target, headers=dict(headers), content=body or None)
            status, answer = response.status_code, _object(response)
            database = target.split("/")[2]
            while status < 400 and answer.get("hasMore") and answer.get("id"):
                response = await self._client.post(f"/_db/{database}/_api/cursor/{answer['id']}")
                status, answer = response.status_code, _object(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise UpstreamUnavailable(str(error) or type(error).__name__) from error
        except httpx.HTTPError as error:
            raise UpstreamOutcomeUnknown(str(error) or type(error).__name__) from error
        return status


def _object(response: httpx.Response) -> dict[str, Any]:
    """Return the object in an answer; empty if it is something else."""
    try:
        value = response.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


async def ask_instance(
    url: str, path: str, params: Mapping[str, str], *, timeout: float = 2.0, method: str = "GET"
) -> dict[str, Any]:
    """Return the object that the admin listener of an instance answers.

    Raise UpstreamUnavailable (no connection), UpstreamOutcomeUnknown (no answer in time, or not of an admin listener).
    """
    try:
        async with httpx.AsyncClient(base_url=url, timeout=timeout, trust_env=False) as client:
            response = await client.request(method, path, params=dict(params))
            value = response.json()
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
        raise UpstreamUnavailable(str(error) or type(error).__name__) from error
    except (httpx.HTTPError, ValueError) as error:
        raise UpstreamOutcomeUnknown(str(error) or type(error).__name__) from error
    if response.status_code != 200 or not isinstance(value, dict):
        raise UpstreamOutcomeUnknown(f"{path} gave status {response.status_code}")
    return value
