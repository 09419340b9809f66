"""Request -> Operation. Pure and cheap: path, query and a few headers; bodies are not decoded.

Targets that name no document are remembered, since clients repeat them.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote, unquote_plus

from proxy.model.endpoint import CollectionIn, Endpoint
from proxy.model.message import Headers, Request
from proxy.model.operations import Operation
from proxy.wire.path_tree import find

# Headers that change what an operation means, by every spelling that clients send; others by their lower-case form.
_WANTED: Final = {
    name: name.decode()
    for name in (
        b"if-match",
        b"if-none-match",
        b"x-arango-trx-id",
        b"x-arango-async",
        b"x-arango-allow-dirty-read",
        b"x-arango-queue-time-seconds",
        b"content-encoding",
        b"content-type",
        b"accept",
        b"authorization",
        b"x-crossfade-explain",
    )
}
# the same by the spellings that were received, None for those that do not matter: clients use few
_spelled: dict[bytes, str | None] = {}
_SPELLINGS: Final = 512
_JSON_HEADERS: Final = frozenset({"content-type", "accept"})
# endpoint, database, path, collection, key, parameters
_Target = tuple[Endpoint, str, tuple[str, ...], str | None, str | None, dict[str, str]]
_remembered: dict[tuple[str, bytes], _Target] = {}
_REMEMBER: Final = 1024
_NO_PARAMS: Final[dict[str, str]] = {}


def decode(request: Request) -> Operation:
    """Return the operation that a request asks for. Never raises: an unknown path has the endpoint `unknown`.

    A body that is a stream is left alone (`body` is then empty).
    """
    return decode_parts(request.method, request.target, request.headers, request.body)


def decode_parts(
    method: str, target: bytes, headers: Headers, body: object = b"", *, identified: bool = False
) -> Operation:
    """Decode the parts of a request. identified: the Authorization header is kept whatever the endpoint."""
    found = _remembered.get((method, target))
    if found is None:
        found = _target(method, target)
    endpoint, database, path, collection, key, params = found
    return Operation(
        endpoint,
        method,
        database,
        collection,
        key,
        path,
        params,
        _headers(headers, identified=identified or endpoint.needs_user),
        body if type(body) is bytes else b"",
    )


def peek(method: str, target: bytes) -> Endpoint:
    """Return the endpoint of a request without decoding the rest of it."""
    found = _remembered.get((method, target))
    return found[0] if found is not None else _target(method, target)[0]


def _target(method: str, target: bytes) -> _Target:
    text = target.decode("utf-8", "surrogateescape")
    path, _, query = text.partition("?")
    segments = path.split("/")
    if segments[0].endswith(":") and path.startswith(("http://", "https://")):
        segments = segments[2:]  # the absolute form of a target
    segments = segments[1:]
    if "" in segments:
        segments = [segment for segment in segments if segment]
    if "%" in path:
        segments = [unquote(segment) for segment in segments]
    if segments[:1] == ["_arango"]:
        segments = segments[2:]
    database = "_system"
    if segments[:1] == ["_db"] and len(segments) > 1:
        database = segments[1]  # as it is spelt: ArangoDB refuses a name that is not in NFC
        segments = segments[2:]
    place = find(method, segments)
    endpoint = place.endpoint
    params = _params(query) if query else _NO_PARAMS
    if place.flagged is not None and place.parameter in params:
        endpoint = place.flagged
    collection = segments[place.collection] if place.collection >= 0 else None
    if collection is None and query and endpoint.collection_in is CollectionIn.QUERY:
        collection = params.get("collection")
    key = segments[place.key] if place.key >= 0 else None
    found = endpoint, database, tuple(segments), collection, key, params
    if place.fixed and len(target) < 256:
        if len(_remembered) >= _REMEMBER:
            _remembered.clear()
        _remembered[method, target] = found
    return found


def _params(query: str) -> dict[str, str]:
    params: dict[str, str] = {}
    for item in query.split("&"):
        if item:
            name, _, value = item.partition("=")
            if "%" in item or "+" in item:
                name, value = unquote_plus(name), unquote_plus(value)
            params[name] = value
    return params


def _headers(headers: Headers, *, identified: bool) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in headers:
        try:
            known = _spelled[name]
        except KeyError:
            known = _spelling(name)
        if known is None:
            continue
        if known in _JSON_HEADERS and b"velocypack" not in value and b"multipart" not in value:
            continue
        if known == "authorization" and not identified:
            continue
        kept[known] = value.decode("latin-1")
    return kept


def _spelling(name: bytes) -> str | None:
    """Return the lower-case form of a header that matters, by any spelling; None for other headers."""
    if len(_spelled) >= _SPELLINGS:
        _spelled.clear()
    known = _spelled[name] = _WANTED.get(name.lower())
    return known
