"""Tolerances, sampling, exported and reproduced mismatches on the command line; the API route of a mismatch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from typer.testing import CliRunner

import proxy.cli
from proxy.http import HttpLimits, Listener
from proxy.model.documents import to_jsonb
from proxy.model.message import Request, Response
from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, eventually, running

BOOKS = "_system/books"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Service:
    """A document service that forwards `traceparent` to its database, as any instrumented driver does."""

    def __init__(self) -> None:
        self.database = ""
        self.trace_headers: list[bytes | None] = []

    async def handle(self, request: Request) -> Response:
        trace = request.header(b"traceparent")
        self.trace_headers.append(trace)
        headers = {"traceparent": trace.decode()} if trace is not None else {}
        async with httpx.AsyncClient(base_url=self.database, headers=headers) as client:
            found = await client.get(f"/_api/document/books/{request.target.decode().rpartition('/')[2]}")
        return Response(found.status_code, [(b"content-type", b"application/json")], found.content)


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """Start a proxy in front of a service, with `books` at stage shadow."""
    service = Service()
    listener = Listener(service.handle, host="127.0.0.1", port=0, limits=HttpLimits())
    await listener.start()
    try:
        async with running(dsn, tmp_path, services={"/shelf": f"http://127.0.0.1:{listener.port}"}) as running_stack:
            service.database = f"http://127.0.0.1:{running_stack.application.port}"
            assert (await running_stack.client.post("/_api/collection", json={"name": "books"})).status_code == 200
            await running_stack.move(CollectionState(Stage.MIRROR), BOOKS)
            for key in "ab":
                await running_stack.client.post("/_api/document/books", json={"_key": key, "n": 1, "price": 1})
            await running_stack.drained()
            await running_stack.move(CollectionState(Stage.SHADOW), BOOKS)
            yield running_stack
    finally:
        await listener.close(0.1)


async def _plant(stack: Running, key: str, **content: Any) -> None:
    relation = await stack.database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", BOOKS)
    raw = await stack.database.fetchval(f"SELECT raw::text FROM {relation} WHERE key = $1", key)
    text = orjson.dumps(orjson.loads(raw) | content)
    await stack.database.execute(
        f"UPDATE {relation} SET raw = $2, doc = coalesce($3, _crossfade.queryable($2)) WHERE key = $1",
        key,
        text.decode(),
        to_jsonb(text),
    )


async def _shell(stack: Running, *arguments: str, code: int = 0) -> str:
    app, _ = proxy.cli.build()
    environment = {"CROSSFADE_DSN": stack.dsn, "CROSSFADE_ORIGIN": stack.origin.url}
    done = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.stdout + done.stderr
    return done.stdout


async def test_a_mismatch_names_its_api_route_and_can_be_exported(stack: Running, tmp_path: Path) -> None:
    await _plant(stack, "a", n=2)
    answer = await stack.client.get("/shelf/4711/a", headers={"traceparent": TRACE})
    assert answer.json()["n"] == 1
    await stack.application.shadow.idle()

    (found,) = json.loads(await _shell(stack, "mismatches", "list", "--json"))
    sample = json.loads(await _shell(stack, "mismatches", "show", str(found["id"]), "--json"))["samples"][0]
    assert sample["route"] == "GET /shelf/{id}/a"
    assert sample["traceparent"] == TRACE

    file = tmp_path / "bundle.json"
    await _shell(stack, "mismatches", "export", found["fingerprint"][:10], "-o", str(file))
    bundle = json.loads(file.read_text())
    assert [one["key"] for one in bundle["collections"][BOOKS]["documents"]] == ["a"]
    assert bundle["collections"][BOOKS]["indexes"][0]["type"] == "primary"
    assert "reproduced" in await _shell(stack, "mismatches", "reproduce", str(file))
    assert json.loads(await _shell(stack, "mismatches", "export", str(found["id"]), "--whole"))["keys"] == ["a"]

    bundle["collections"][BOOKS]["documents"][0]["target"] = bundle["collections"][BOOKS]["documents"][0]["origin"]
    file.write_text(json.dumps(bundle))
    assert json.loads(await _shell(stack, "mismatches", "reproduce", str(file), "--json", code=1)) == {
        "reproduced": False,
        "differences": [],
    }
    await _shell(stack, "mismatches", "reproduce", str(tmp_path / "none"), code=1)
    await _shell(stack, "mismatches", "export", "nonsense", code=1)
    await _shell(stack, "mismatches", "export", str(found["id"]), "-o", str(tmp_path / "no" / "folder"), code=1)


async def test_a_tolerance_from_the_command_line_reaches_a_running_proxy(stack: Running) -> None:
    await _plant(stack, "a", price=2)
    assert "no tolerance" in await _shell(stack, "tolerance", "list")
    rule = ("tolerance", "add", "books", "price", "--ignore")
    await _shell(stack, *rule, code=1)  # no reason
    await _shell(stack, *rule, "--as-set", "--reason", "old", code=1)  # two rules
    await _shell(stack, *rule[:-1], "--reason", "old", code=1)  # none
    added = json.loads(await _shell(stack, *rule, "--reason", "old", "--json"))
    await eventually(lambda: bool(stack.application.shadow._rules.tolerances([BOOKS])), "the proxy has read the rule")

    await stack.client.get("/_api/document/books/a")
    await stack.application.shadow.idle()

    assert stack.application.shadow.figures(BOOKS)["ignored"] == 1
    assert "ignore" in await _shell(stack, "tolerance", "list", "books")
    await _shell(stack, "tolerance", "remove", str(added["id"]))
    await _shell(stack, "tolerance", "remove", str(added["id"]), code=1)
    assert "0 findings" in await _shell(stack, "tolerance", "reset", "books")


async def test_sampling_from_the_command_line_reaches_a_running_proxy(stack: Running) -> None:
    assert "nothing is set" in await _shell(stack, "sampling")
    await _shell(stack, "sampling", "books", "--percent", "0", "--baseline-percent", "1")
    shadow = stack.application.shadow
    await eventually(lambda: shadow._rules.shares((BOOKS,), "x").sampled == 0.0, "the proxy has read the share")

    await stack.client.get("/_api/document/books/a")
    await shadow.idle()

    assert shadow.skips(BOOKS) == {"sampled out": 1}
    status = stack.application.status()["collections"]
    assert isinstance(status, dict)
    assert status[BOOKS]["skipped"] == {"sampled out": 1}
    assert "0 %" in await _shell(stack, "sampling", "books")
    await _shell(stack, "sampling", "books", "--reset", "--percent", "5", code=1)
    await _shell(stack, "sampling", "--percent", "5", code=1)
    await _shell(stack, "sampling", "books", "--reset")
    assert json.loads(await _shell(stack, "sampling", "--json")) == []


async def test_batches_of_a_cursor_through_a_proxy_are_compared_as_one(stack: Running) -> None:
    await _plant(stack, "b", n=2)
    body = {"query": "FOR d IN books SORT d._key RETURN d", "batchSize": 1}
    batch = (await stack.client.post("/_api/cursor", json=body)).json()
    while batch["hasMore"]:
        batch = (await stack.client.post(f"/_api/cursor/{batch['id']}")).json()
    await stack.application.shadow.idle()

    (found,) = json.loads(await _shell(stack, "mismatches", "list", "--json"))
    assert (found["paths"], found["keys"]) == (["[].n"], ["b"])


async def test_help_contains_examples(stack: Running) -> None:
    for name in ("list", "add", "remove", "reset"):
        assert "Example" in await _shell(stack, "tolerance", name, "--help")
    for name in ("export", "reproduce"):
        assert "Example" in await _shell(stack, "mismatches", name, "--help")
    assert "Example" in await _shell(stack, "sampling", "--help")
