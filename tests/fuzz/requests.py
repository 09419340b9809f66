"""Requests of hostile, broken and confused clients as values, and bytes that are not requests."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from proxy.wire import endpoints

NAMES = ["c", "e", "g", "missing", "_users", "_graphs", "", "0", "1", "x/y", "ä", "a" * 300, "%00", "..", "_system"]
KEYS = ["k1", "k2", "e1", "missing", "", "_", "a/b", "ü", "k" * 255, "1", "\x00", "\ud800"]
PARAMS = [
    "collection",
    "waitForSync",
    "returnNew",
    "returnOld",
    "silent",
    "overwrite",
    "overwriteMode",
    "keepNull",
    "mergeObjects",
    "ignoreRevs",
    "versionAttribute",
    "onlyget",
    "isRestore",
    "type",
    "onDuplicate",
    "complete",
    "details",
    "fromPrefix",
    "toPrefix",
    "line",
    "vertex",
    "direction",
    "count",
    "withRevisions",
    "withData",
    "excludeSystem",
    "from",
    "to",
    "chunkSize",
    "batchId",
    "lastBatch",
    "ttl",
    "dropCollections",
    "full",
    "global",
    "serverId",
    "syncerId",
    "includeSystem",
    "isSystem",
    "keepPrimary",
    "put",
    "stamp",
]
WORDS = [
    "",
    "true",
    "false",
    "1",
    "0",
    "-1",
    "yes",
    "null",
    "c",
    "e/k1",
    "conflict",
    "update",
    "replace",
    "ignore",
    "documents",
    "array",
    "auto",
    "list",
    "any",
    "in",
    "out",
    "99999999999999999999",
    "1e400",
    "NaN",
    "'",
    "\ud800",
    "\x00",
    "1.5",
]
FIELDS = [
    "_key",
    "_id",
    "_rev",
    "_from",
    "_to",
    "name",
    "type",
    "fields",
    "query",
    "bindVars",
    "batchSize",
    "count",
    "options",
    "ttl",
    "collection",
    "collections",
    "read",
    "write",
    "exclusive",
    "edgeDefinitions",
    "from",
    "to",
    "orphanCollections",
    "example",
    "newValue",
    "limit",
    "skip",
    "keys",
    "attribute",
    "left",
    "right",
    "user",
    "passwd",
    "username",
    "password",
    "active",
    "extra",
    "grant",
    "schema",
    "rule",
    "level",
    "message",
    "keyOptions",
    "offset",
    "increment",
    "unique",
    "sparse",
    "expireAfter",
    "waitForSync",
    "@c",
    "@@c",
    "x",
    "fullCount",
    "stream",
    "memoryLimit",
    "vertex",
    "edge",
    "lockTimeout",
    "allowImplicit",
    "computedValues",
    "expression",
    "overwrite",
    "computeOn",
    "closed",
    "action",
    "params",
    "graphName",
    "numberOfShards",
    "isSystem",
    "allowUserKeys",
    "data",
    "operation",
    "users",
    "maxRuntime",
]
TEXTS = [
    "",
    "c",
    "e",
    "k1",
    "c/k1",
    "e/e1",
    "c/",
    "/",
    "traditional",
    "autoincrement",
    "padded",
    "uuid",
    "persistent",
    "ttl",
    "hash",
    "geo",
    "inverted",
    "document",
    "edge",
    "rw",
    "none",
    "strict",
    "FOR d IN c RETURN d",
    "RETURN @x",
    "FOR d IN @@c LIMIT 2 RETURN d",
    "RETURN 1/0",
    "INSERT {} INTO c",
    "FOR d IN c UPDATE d WITH {a: 1} IN c RETURN NEW",
    "FOR v IN 1..2 ANY 'c/k1' e RETURN v",
    "RETURN REGEX_TEST('aaaaaaaaaaaa', '(a+)+$')",
    "RETURN",
    "\u0000",
    "\U0010ffff",
    "ſ",
    "_id",
    "tags[*]",
    "a" * 300,
    "insert",
    "2020-01-01",
]
NUMBERS = [
    0,
    1,
    -1,
    2,
    3,
    1000,
    2**31,
    2**53,
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**64,
    10**30,
    -(2**63) - 1,
    0.5,
    -0.0,
    1e308,
]

scalars = st.one_of(
    st.none(), st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.text(max_size=6), st.integers(-5, 5)
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=10,
)
objects = st.dictionaries(st.sampled_from(FIELDS), values, max_size=6)
RAW = [
    b"",
    b"{",
    b"[",
    b'"',
    b"nul",
    b"{}",
    b"[]",
    b"null",
    b"\x00",
    b"\xff\xfe",
    b'{"a":"\xff"}',
    b'{"a":"\\ud800"}',
    b'{"a":1,"a":2}',
    b'{"_key":"k1","_key":"k2"}',
    b"[" * 250 + b"]" * 250,
    b"[" * 3000,
    b'{"a":' * 250 + b"1" + b"}" * 250,
    b'{"a":' * 2000,
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"a":Infinity}',
    b'{"a":' + b"9" * 500 + b"}",
    b"{'a':1}",
    b"{}{}",
    b'{"a":1}x',
    b'[{"_key":"a"},',
    b'{"a":"\x01"}',
    b"\xef\xbb\xbf{}",
    b'"k1"',
    b"1",
    b"{}\n{}",
    b'{"a":1}\n[',
    b'["a"]\n[1]',
    b'{"query":"RETURN 1","bindVars":[]}',
    b"\x0b\x02",
    b"\x1a",
    b"\xff" * 50,
]


def spelled(value: Any) -> bytes:
    """Encode as JSON; lone surrogates, which have no UTF-8, become escapes."""
    return json.dumps(value, ensure_ascii=True).encode()


bodies = st.one_of(
    objects.map(spelled),
    objects.map(spelled),
    values.map(spelled),
    st.lists(objects, max_size=3).map(spelled),
    st.sampled_from(RAW),
    st.binary(max_size=40),
)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "LOCK", "TRACE"]
_PATTERNS = [(row.method, row.pattern) for row in endpoints.ROWS]


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@st.composite
def targets(draw: st.DrawFn) -> tuple[str, bytes]:
    """A method and a target: a known endpoint with arbitrary values in its places, or anything."""
    method, pattern = draw(st.sampled_from(_PATTERNS))
    if method == "ANY" or draw(st.integers(0, 15)) == 0:
        method = draw(st.sampled_from(_METHODS))
    parts = []
    for part in pattern.split("/"):
        if part == "*":
            parts += draw(
                st.lists(st.sampled_from([*NAMES, "database", "start", "next", "tree"]).map(_quoted), max_size=3)
            )
        elif part == "{c}":
            parts.append(_quoted(draw(st.sampled_from(["c", "c", "c", "e", *NAMES]))))
        elif part[0] == "{":
            parts.append(_quoted(draw(st.sampled_from(["k1", "e1", "g", "1", *KEYS, *NAMES]))))
        else:
            parts.append(part)
    prefix = draw(st.sampled_from(["/", "/", "/", "/_db/_system/", "/_db/none/", "/_db/%00/", "/_arango/v0/", "//"]))
    target = prefix + "/".join(parts)
    params = draw(st.lists(st.tuples(st.sampled_from(PARAMS), st.sampled_from(WORDS)), max_size=3))
    if params:
        target += "?" + "&".join(f"{name}={_quoted(value)}" for name, value in params)
    return method, target.encode()


headers = st.lists(
    st.sampled_from(
        [
            (b"if-match", b"*"),
            (b"if-match", b'"_abc"'),
            (b"if-none-match", b"\xff"),
            (b"x-arango-async", b"store"),
            (b"x-arango-async", b"true"),
            (b"x-arango-trx-id", b"1"),
            (b"x-arango-trx-id", b""),
            (b"x-arango-trx-id", b"\xff"),
            (b"content-type", b"application/x-velocypack"),
            (b"accept", b"application/x-velocypack"),
            (b"content-encoding", b"gzip"),
            (b"content-encoding", b"deflate"),
            (b"content-encoding", b"x-arango-lz4"),
            (b"authorization", b"Basic !!"),
            (b"authorization", b"bearer x.y.z"),
            (b"authorization", b"\xff\xff"),
            (b"x-arango-queue-time-seconds", b"x"),
            (b"x-crossfade-explain", b"1"),
            (b"x-arango-allow-dirty-read", b"true"),
            (b"accept-encoding", b"gzip"),
            (b"content-type", b"multipart/x"),
        ]
    ),
    max_size=2,
    unique_by=lambda pair: pair[0],
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes, list[tuple[bytes, bytes]], bytes]:
    """One complete request (method, target, headers, body) of which only the framing is correct."""
    method, target = draw(targets())
    extra, body = draw(headers), draw(bodies)
    if draw(st.booleans()):  # an encoding that is what it says, every other time
        if (b"content-encoding", b"gzip") in extra:
            body = gzip.compress(body, mtime=0)
        elif (b"content-encoding", b"deflate") in extra:
            body = zlib.compress(body)
    return method, target, extra, body
