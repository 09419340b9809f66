"""The table of commands against the table of endpoints."""

from __future__ import annotations

from proxy.devserver.store.handlers.table import COMMANDS
from proxy.wire.endpoints import endpoints

DECODED = {"document.read_many"}  # `document.replace_many` with ?onlyget, which `decode` tells apart


def test_every_endpoint_has_its_command_and_every_command_its_endpoint() -> None:
    assert set(COMMANDS) == {endpoint for endpoint, _ in endpoints()} | DECODED
