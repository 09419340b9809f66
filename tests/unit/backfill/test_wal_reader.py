"""Reading the origin's write-ahead log: names, renames, gaps, undecodable responses; scans."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backfill.wal_reader import LoggedVersion, OriginLog, RevisionScan
from proxy.base.errors import ArangoError, UpstreamOutcomeUnknown
from proxy.model.message import Request, Response
from proxy.model.revision import encode_rev

REV = 1 << 60


class Origin:
    """A stub of the origin. answers: status and body by a part of the request target, before the defaults."""

    def __init__(self) -> None:
        self.names = {"g/1": "orders"}
        self.lines: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {"lastincluded": "7", "frompresent": "true", "checkmore": "false"}
        self.asked: list[str] = []
        self.bodies: list[Any] = []
        self.answers: dict[str, tuple[int, Any]] = {}

    async def request(self, request: Request, *, idempotent: bool = False) -> Response:
        target = request.target.decode()
        self.asked.append(target)
        self.bodies.append(request.body)
        for part, (status, value) in self.answers.items():
            if part in target:
                content = value if isinstance(value, bytes) else json.dumps(value).encode()
                return Response(status, [], content)
        if "lastTick" in target:
            return Response(200, [], b'{"tick": "5"}')
        if "/wal/tail" in target:
            headers = [(f"x-arango-replication-{name}".encode(), text.encode()) for name, text in self.headers.items()]
            return Response(200, headers, b"\n".join(json.dumps(line).encode() for line in self.lines) + b"\n")
        listed = [{"name": name, "globallyUniqueId": guid} for guid, name in self.names.items()]
        return Response(200, [], json.dumps({"result": listed}).encode())


def _put(key: str, guid: str = "g/1", kind: int = 2300) -> dict[str, Any]:
    return {"type": kind, "db": "shop", "cuid": guid, "data": {"_key": key, "_rev": encode_rev(REV), "more": [1]}}


async def _log(origin: Origin) -> OriginLog:
    log = OriginLog(origin, "root", "")
    await log.begin()
    await log.probe()
    return log


async def test_read_returns_watched_versions_and_the_next_tick() -> None:
    origin = Origin()
    log = await _log(origin)
    origin.lines = [
        _put("a"),
        {"type": 2200, "tid": "1"},
        _put("b", kind=2302),
        _put("c", guid="g/9"),
        _put("d", "g/9"),
    ]
    page = await log.read(["shop/orders"])
    assert page.versions == [
        LoggedVersion("shop/orders", "a", REV, removed=False),
        LoggedVersion("shop/orders", "b", REV, removed=True),
    ]
    assert (page.lost, page.more, page.tick) == (False, False, 7)
    assert sum("_api/collection" in target for target in origin.asked) == 2  # an unknown id is looked up once
    origin.lines, origin.headers = (
        [],
        {"lastincluded": "0", "lastscanned": "9", "frompresent": "false", "checkmore": "true"},
    )
    page = await log.read(["shop/orders"])
    assert (page.lost, page.more, page.tick) == (True, True, 9)
    assert "from=7&" in origin.asked[-1]


async def test_renames_are_noticed_and_dropped_databases_ignored() -> None:
    origin = Origin()
    log = await _log(origin)
    origin.lines = [_put("a")]
    await log.read(["shop/orders"])
    origin.names = {"g/1": "invoices"}
    origin.lines = [{"type": 2002, "db": "shop", "cuid": "g/1", "data": {"name": "invoices"}}, _put("b")]
    page = await log.read(["shop/invoices"])
    assert [version.collection for version in page.versions] == ["shop/invoices"]
    origin.answers["_api/collection"] = (404, {"errorNum": 1228, "errorMessage": "database not found"})
    origin.lines = [{"type": 1101, "db": "shop"}, _put("c")]
    assert (await log.read(["shop/invoices"])).versions == []
    origin.answers["_api/collection"] = (500, b"?")
    origin.lines = [{"type": 1101, "db": "shop"}, _put("c")]
    with pytest.raises(ArangoError):
        await log.read(["shop/invoices"])


@pytest.mark.parametrize("answer", [b'{"type": "no number"}\n', b'{"type": 2300, "data": 5}\n'])
async def test_an_undecodable_log_is_an_error(answer: bytes) -> None:
    origin = Origin()
    log = await _log(origin)
    origin.answers["chunkSize"] = (200, answer)
    with pytest.raises(UpstreamOutcomeUnknown):
        await log.read(["shop/orders"])


async def test_an_invalid_tick_is_an_error() -> None:
    origin = Origin()
    log = await _log(origin)
    origin.headers["lastincluded"] = "soon"
    with pytest.raises(UpstreamOutcomeUnknown, match="no tick"):
        await log.read(["shop/orders"])


async def test_scans() -> None:
    origin = Origin()
    scan = RevisionScan(origin, "root", "")
    await scan.begin()
    found = {"now": 1e12, "found": [["a", encode_rev(REV)]]}
    origin.answers["_api/cursor"] = (201, {"result": [found]})
    assert [one.key for one in await scan.join(["shop/orders"])] == ["a"]
    assert [one.key for one in (await scan.read(["shop/orders"])).versions] == ["a"]
    origin.answers["_api/cursor"] = (404, {"errorNum": 1203, "errorMessage": "gone"})
    assert (await scan.read(["shop/orders"])).versions == []
    origin.answers["_api/cursor"] = (403, {"errorNum": 11, "errorMessage": "forbidden"})
    with pytest.raises(ArangoError):
        await scan.read(["shop/orders"])
    origin.answers["_api/cursor"] = (201, {"result": []})
    with pytest.raises(UpstreamOutcomeUnknown):
        await scan.read(["shop/orders"])


async def test_a_scan_that_fails_halfway_starts_again_at_the_same_time() -> None:
    """The versions of the first collection were not returned, so the next scan must return them (I10)."""
    origin = Origin()
    scan = RevisionScan(origin, "root", "")
    both = ["shop/orders", "other/orders"]
    answer: dict[str, Any] = {"now": 1_000_000.0, "found": []}
    origin.answers["_api/cursor"] = (201, {"result": [answer]})
    await scan.read(both)
    origin.answers = {"/_db/other/": (503, {"errorNum": 503}), **origin.answers}
    answer["now"] = 2_000_000.0
    with pytest.raises(ArangoError):
        await scan.read(both)
    del origin.answers["/_db/other/"]
    origin.bodies.clear()
    await scan.read(both)
    assert [json.loads(body)["bindVars"]["since"] for body in origin.bodies] == [990_000, 990_000]
