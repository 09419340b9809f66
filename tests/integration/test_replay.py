"""Rare shapes reach their sample size: recorded reads are sent again through a proxy; writes never are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.model.stages import Stage
from proxy.operator.replay import Example, sendable
from tests.harness import Running, running
from tests.integration.test_shapes import SHAPE, _ask, _mirrored, shell

RARE_QUERY = "FOR b IN books FILTER b.year == @year SORT b._key RETURN b"


async def _replay(stack: Running, *arguments: str) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{stack.application.port}"
    code, printed = await shell(stack, "shadow", "replay", "--proxy", url, "--json", *arguments)
    return code, json.loads(printed)


async def test_a_rare_shape_is_replayed_until_the_gates_have_enough_samples(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path) as stack:
        await shell(stack, "gates", "limits", "set", "shape_comparisons", "12", "--reason", "a short test")
        await _mirrored(stack, Stage.SHADOW)
        body = {"query": RARE_QUERY, "bindVars": {"year": 1993}, "batchSize": 1}
        assert (await stack.client.post("/_api/cursor", json=body)).status_code == 201
        assert (await stack.client.get("/_api/document/books/k3")).status_code == 200
        many = await stack.client.put("/_api/document/books?onlyget=true", json=["k1", "k2"])
        assert many.status_code == 200
        await stack.application.shadow.idle()
        await stack.application.examples.flush()
        await stack.application.coverage.flush()
        code, planned = await _replay(stack, "--dry-run")
        assert (code, {one["missing"] for one in planned}) == (0, {11})
        assert {one["text"] for one in planned} >= {"document.read", "document.read_many"}
        code, output = await _replay(stack, "--rate", "200", "--seconds", "60")
        assert (code, output["missing"]) == (0, [])
        assert output["sent"] >= 33
        assert set(output["answers"]) <= {"200", "201"}


async def test_values_are_not_stored_if_samples_are_redacted(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path, redact=True) as stack:
        await _mirrored(stack, Stage.SHADOW)
        assert await _ask(stack, "FOR b IN books FILTER b.year == 1999 SORT b._key RETURN b") == 201
        await stack.application.shadow.idle()
        await stack.application.examples.flush()
        assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.example") == 0
        code, planned = await _replay(stack, "--dry-run")
        assert (code, planned[0]["text"], planned[0]["examples"]) == (0, SHAPE, 0)
        code, output = await _replay(stack, "--seconds", "5")
        assert (code, output["sent"]) == (1, 0)  # it reports that immediately, without waiting


async def test_a_missing_proxy_and_a_missing_permission_are_reported(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path) as stack:
        await _mirrored(stack, Stage.SHADOW)
        await stack.client.get("/_api/document/books/k3")
        await stack.application.shadow.idle()
        await stack.application.examples.flush()
        code, printed = await shell(stack, "shadow", "replay", "--proxy", "http://127.0.0.1:1")
        assert code == 1
        assert "give the address of its traffic listener with --proxy" in printed


async def test_only_the_newest_examples_are_kept(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path, examples=3) as stack:
        await _mirrored(stack, Stage.SHADOW)
        for number in range(10):
            await stack.client.get(f"/_api/document/books/k{number}")
        await stack.application.shadow.idle()
        await stack.application.examples.flush()
        assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.example") == 3


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        ({"method": "GET", "target": "/_db/shop/_api/document/books/1"}, True),
        ({"method": "HEAD", "target": "/_db/shop/_api/document/books/1"}, True),
        ({"method": "PUT", "target": "/_db/shop/_api/document/books?onlyget=true", "body": '["1"]'}, True),
        ({"method": "PUT", "target": "/_db/shop/_api/simple/by-example", "body": "{}"}, True),
        ({"method": "POST", "target": "/_db/shop/_api/cursor", "query": "RETURN 1", "bindVars": {}}, True),
        ({"method": "PUT", "target": "/_db/shop/_api/document/books", "body": "[]"}, False),
        ({"method": "PUT", "target": "/_db/shop/_api/simple/remove-by-keys", "body": "{}"}, False),
        ({"method": "POST", "target": "/_db/shop/_api/document/books", "body": "{}"}, False),
        ({"method": "DELETE", "target": "/_db/shop/_api/document/books/1"}, False),
        ({"method": "POST", "target": "/_db/shop/_api/cursor", "query": "REMOVE '1' IN books"}, False),
        ({"method": "POST", "target": "/_db/shop/_api/cursor", "query": "not a query"}, False),
        ({"method": "GET", "target": "http://elsewhere/"}, False),
    ],
)
def test_requests_that_may_write_are_never_sent(request_: dict[str, Any], sent: bool) -> None:
    assert (sendable(Example(request_)) is not None) is sent
