"""The table of commands against the table of endpoints."""

from __future__ import annotations

from types import ModuleType
from typing import Final

import pytest

from proxy.devserver.store.command_table import COMMANDS, merged
from proxy.wire.endpoints import ROWS, UNKNOWN

# endpoints that the development server does not answer, but for 501 and their names
UNANSWERED: Final = frozenset({"admin.backup"})


def test_every_endpoint_has_its_command_and_every_command_its_endpoint() -> None:
    assert set(COMMANDS) | UNANSWERED == {row.endpoint.name for row in ROWS} | {UNKNOWN.name}
    assert not set(COMMANDS) & UNANSWERED


def test_an_endpoint_that_two_modules_answer_is_an_error_that_names_both() -> None:
    first, second = ModuleType("first"), ModuleType("second")
    for module in (first, second):
        vars(module)["COMMANDS"] = {"version": COMMANDS["version"]}
    with pytest.raises(ValueError, match="endpoint version has a command in first and in second"):
        merged([first, second])
