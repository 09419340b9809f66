"""The table of commands against the table of endpoints."""

from __future__ import annotations

from proxy.devserver.store.handlers.table import COMMANDS
from proxy.wire.endpoints import ROWS


def test_every_endpoint_has_its_command_and_every_command_its_endpoint() -> None:
    assert set(COMMANDS) == {row.endpoint.name for row in ROWS}
