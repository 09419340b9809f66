"""Log events are ids that a search finds (`read_fallback`); what happened stands in their fields."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
ID = re.compile(r"^[a-z]+(_[a-z]+)*$")


def events() -> Iterator[tuple[str, str]]:
    """Yield (module, event) of each call of a logger."""
    for path in (path for room in ("proxy", "backfill", "deploy") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            if node.func.attr in LEVELS and isinstance(node.func.value, ast.Name) and node.func.value.id in LOGGERS:
                for part in ast.walk(node.args[0]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield str(path.relative_to(ROOT)), part.value


LOGGERS = frozenset({"log", "logger", "_log"})


def test_a_log_event_is_an_id() -> None:
    found = list(events())
    assert len(found) > 50
    assert [one for one in found if not ID.fullmatch(one[1])] == []


def test_the_events_that_an_operator_searches_for() -> None:
    assert {"read_fallback", "heartbeat_failed", "replica_diverged", "wal_unavailable"} <= {
        event for _, event in events()
    }
