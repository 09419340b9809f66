"""Cases that ArangoDB's own test suites state, run in the process against the store in memory.

They are outside the repository; without them the tests are skipped. `aql_suite_differences.json` lists, with the
reason, those that newer recorded answers or the notes on the protocol contradict: each of them must fail, and no other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.devserver.store import MemoryStore
from tests.unit.devserver.store.kit import Client

SUITES = Path(__file__).resolve().parents[2].parent / "shared" / "conformance" / "suites"
DIFFERENCES: dict[str, str] = json.loads(
    Path(__file__).with_name("aql_suite_differences.json").read_text(encoding="utf-8")
)
FILES = ("aql_newest.jsonl", "aql_plain.jsonl", "aql_with_collections.jsonl")


def equal_values(a: Any, b: Any) -> bool:
    """Return True if both are equal, numbers up to their last digits."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b or abs(a - b) <= 1e-12 * max(abs(a), abs(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal_values, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal_values(a[name], b[name]) for name in a)
    return bool(a == b)


def without_system(value: Any) -> Any:
    """Return an object without its attributes that begin with an underscore, and any other value unchanged."""
    if not isinstance(value, dict):
        return value
    return {name: item for name, item in value.items() if not name.startswith("_")}


def normalised(rows: list[Any], how: str | None) -> list[Any]:
    """Return rows without system attributes: `flat` of the rows themselves, `recursive` also of their elements."""
    if how == "recursive":
        rows = [[without_system(item) for item in row] if isinstance(row, list) else row for row in rows]
    return rows if how is None else [without_system(row) for row in rows]


class Bench:
    """A server in memory with the collections of one setup at a time."""

    def __init__(self, setups: dict[str, Any]) -> None:
        self._setups = setups
        self._ready: str | None = None
        self._client = Client(MemoryStore())

    def _prepare(self, setup: str | None) -> None:
        if setup is None or setup == self._ready:
            return
        self._client = Client(MemoryStore())
        for collection in self._setups[setup]:
            name = collection["name"]
            self._client.send("POST", "/_api/collection", {"name": name, "type": collection["type"]})
            for index in collection.get("indexes", []):
                self._client.send("POST", f"/_api/index?collection={name}", index)
            self._client.send("POST", f"/_api/document/{name}?silent=true", collection["docs"])
        self._ready = setup

    def passes(self, case: dict[str, Any]) -> bool:
        self._prepare(case.get("setup"))
        if case.get("modifies"):
            self._ready = None
        body = {"query": case["query"], "bindVars": case.get("bindVars") or {}, "batchSize": 100_000}
        _, answer = self._client.send("POST", "/_api/cursor", body | {"options": case.get("options") or {}})
        expect = case["expect"]
        if "error" in expect:
            return bool(answer.get("errorNum") == expect["error"])
        if answer["error"]:
            return False
        rows = normalised(answer["result"], case.get("normalise") or expect.get("normalise"))
        codes = [warning["code"] for warning in answer["extra"]["warnings"]]
        if "warning" in expect and expect["warning"] not in codes:
            return False
        if "stats" in expect:
            return all(answer["extra"]["stats"][name] == value for name, value in expect["stats"].items())
        return len(rows) == expect["count"] if "count" in expect else equal_values(expect["rows"], rows)


@pytest.mark.skipif(not SUITES.is_dir(), reason="no cases of ArangoDB's suites beside the repository")
@pytest.mark.parametrize("name", FILES)
def test_cases_of_arangodbs_own_suites_pass(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(json.loads((SUITES / "setups.json").read_text(encoding="utf-8")))
    cases = [json.loads(line) for line in (SUITES / name).read_text(encoding="utf-8").splitlines()]
    failing = {case["id"] for case in cases if not bench.passes(case)}
    listed = DIFFERENCES.keys() & {case["id"] for case in cases}
    with capsys.disabled():
        print(f"\n{name}: {len(cases) - len(failing)} of {len(cases)} pass, {len(listed)} differ for a reason")
    assert failing - listed == set()
    assert listed - failing == set(), "listed, and it passes: take it off the list"


def test_every_difference_has_a_reason() -> None:
    assert all(len(reason) > 20 for reason in DIFFERENCES.values())
