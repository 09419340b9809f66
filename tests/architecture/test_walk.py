"""One change, one file: each is planted in a copy of the product, and works there with no other file changed.

What docs/architecture.md promises for an endpoint, its handler in the development server, a kind of write, a gate and a
function of AQL. An interpreter with the copy on its path then uses what was planted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_PACKAGES: Final = ("proxy", "sql")

_GATE: Final = """
from proxy.control.gates.gate_types import Gate, GateEvidence, GateLimits, GateRule, GateVerdict


def decide(evidence: GateEvidence, limits: GateLimits) -> Gate:
    return Gate("planted", GateVerdict.FAILED, "0", "1", "plant")


GATE = GateRule("planted", 0, "A gate for the test.", decide)
"""
_USES_GATE: Final = """
from proxy.control.gates.gates import RULES

planted = next(rule for rule in RULES if rule.name == "planted")
assert planted.decide(None, None).remedy == "plant"
"""

_FUNCTION: Final = '''

@function("PLANTED", arguments=1)
def planted(_context: QueryContext, value: Value) -> Value:
    """PLANTED(value): the value, twice"""
    return [value, value]
'''
_USES_FUNCTION: Final = """
from proxy.devserver.store import MemoryStore
from proxy.model.operations import Operation
from proxy.wire.endpoints import named

outcome = MemoryStore().run(Operation(named("cursor.create"), "POST", body=b'{"query": "RETURN PLANTED(7)"}'))
assert b'"result":[[7,7]]' in outcome.body, outcome
"""

_KIND: Final = """
from proxy.capture.kind import WriteKind, WriteParts
from proxy.capture.transaction_plan import Buffer
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route


async def carry_out(parts: WriteParts, request: Request, operation: Operation, route: Route) -> Response:
    return Response(200, [], f"outside: {route.collections}".encode())


async def in_transaction(
    parts: WriteParts, request: Request, operation: Operation, route: Route, buffer: Buffer
) -> Response:
    return Response(200, [], f"inside: {route.collections}".encode())


KIND = WriteKind(carry_out, in_transaction)
"""
_USES_KIND: Final = """
import asyncio
from unittest.mock import MagicMock

from proxy.capture.dispatch import WriteDispatcher
from proxy.model.endpoint import CollectionIn, Effect, Endpoint, Family, InTransaction, WriteRoute
from proxy.model.message import Request
from proxy.model.operations import Operation
from proxy.model.stages import CollectionState, Snapshot, Stage
from proxy.routing.routes import route

row = Endpoint(
    "planted", Effect.OPAQUE, Family.BULK, write_route=WriteRoute.AS_NAMED, capture="planted",
    in_transaction=InTransaction.PART,
)
snapshot = Snapshot(collections={"shop/books": CollectionState(Stage.MIRROR)})
context = MagicMock()
context.flipped.return_value = False


async def carried_out(headers):
    operation = Operation(row, "POST", "shop", "books", headers=headers)
    dispatcher = WriteDispatcher(context, None, MagicMock())
    try:
        return (await dispatcher.carry_out(Request("POST", b"/", [], b""), operation, route(operation, snapshot))).body
    finally:
        await dispatcher.close()


assert asyncio.run(carried_out({})) == b"outside: ('shop/books',)"
assert asyncio.run(carried_out({"x-arango-trx-id": "7"})) == b"inside: ('shop/books',)"
"""

_ROW: Final = '    ("POST", "_api/planted/{c}", _uncaptured("planted", family=Family.BULK)),\n'
_USES_ROW: Final = """
from proxy.model.message import Request
from proxy.model.operations import Operation
from proxy.model.stages import CollectionState, Snapshot, Stage
from proxy.routing.routes import route
from proxy.wire.decode import decode

operation = decode(Request("POST", b"/_db/shop/_api/planted/books", [], b"{}"))
assert (operation.endpoint.name, operation.collection) == ("planted", "books")
way = route(operation, Snapshot(collections={"shop/books": CollectionState(Stage.MIRROR)}))
assert (way.action.name, way.collections) == ("OPAQUE", ("shop/books",))
"""

_HANDLER: Final = """
from proxy.devserver.store import access
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome


def planted(server: ServerState, operation: Operation) -> Outcome:
    return Outcome(200, b"planted")


COMMANDS = {"planted": EndpointCommand(planted, access.anyone)}
"""
_USES_HANDLER: Final = """
from proxy.devserver.store import MemoryStore
from proxy.model.endpoint import Effect, Endpoint, Family
from proxy.model.operations import Operation

row = Endpoint("planted", Effect.PASSTHROUGH, Family.SERVER)
assert MemoryStore().run(Operation(row, "GET", "_system")).body == b"planted"
"""


def _plant(tree: Path, path: str, text: str, *, before: str = "") -> None:
    """Write a new file, append to one that exists, or insert ahead of the text `before`."""
    file = tree / path
    old = file.read_text("utf-8") if file.exists() else ""
    at = old.index(before) if before else len(old)
    file.write_text(old[:at] + text + old[at:], "utf-8")


def _run(tree: Path, program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of the product's sources."""
    for package in _PACKAGES:
        shutil.copytree(_ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "text", "before", "program"),
    [
        pytest.param("proxy/wire/endpoints.py", _ROW, ")\n\n\nclass EndpointRow", _USES_ROW, id="endpoint"),
        pytest.param("proxy/devserver/store/handlers/planted.py", _HANDLER, "", _USES_HANDLER, id="handler"),
        pytest.param("proxy/capture/kinds/planted.py", _KIND, "", _USES_KIND, id="kind of write"),
        pytest.param("proxy/control/gates/rules/planted.py", _GATE, "", _USES_GATE, id="gate"),
        pytest.param("proxy/aql/functions/misc.py", _FUNCTION, "", _USES_FUNCTION, id="function"),
    ],
)
def test_a_change_is_one_file(tree: Path, path: str, text: str, before: str, program: str) -> None:
    assert _run(tree, program).returncode != 0  # without it nothing of that name is found
    _plant(tree, path, text, before=before)
    used = _run(tree, program)
    assert (used.returncode, used.stderr) == (0, "")


def test_a_misspelt_kind_stops_the_start(tree: Path) -> None:
    kind = 'Endpoint("planted", OPAQUE, write_route=WriteRoute.AS_NAMED, capture="plantd"'
    row = _ROW.replace('_uncaptured("planted"', kind)
    _plant(tree, "proxy/wire/endpoints.py", row, before=")\n\n\nclass EndpointRow")
    _plant(tree, "proxy/capture/kinds/planted.py", _KIND)
    started = _run(tree, "import proxy.app.application")
    assert "endpoint planted: no module of proxy.capture.kinds is called 'plantd'; there are" in started.stderr
