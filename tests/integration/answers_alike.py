"""Answers of two servers to the same requests, compared without what differs from server to server."""

from __future__ import annotations

import random
import re
from typing import Any, Final

import orjson

from proxy.model.operations import Operation, Outcome
from proxy.stores.base import Store
from proxy.wire.decode import decode_parts
from tests.integration.complete_sequences import SEQUENCES
from tests.integration.steps import Step

# attributes whose values differ from server to server, or from moment to moment
_VOLATILE: Final = frozenset(
    {
        *("_rev", "_oldRev", "revision", "id", "objectId", "globallyUniqueId", "serverId", "lastValue", "time"),
        *("created_at", "valid_until", "fingerprint", "token", "executionTime", "started", "timeStamp", "nextBatchId"),
        *("scannedFull", "documentLookups", "scannedIndex", "filtered", "rocksdb.estimate-num-keys", "peakMemoryUsage"),
    }
)
_REVISION: Final = re.compile(r"_[A-Za-z0-9_-]{10}(?![\w-])")
_NUMBERED: Final = re.compile(r"\b\d{6,}\b")


class Client:
    """A store and what a sequence has saved of its answers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._saved: dict[str, str] = {}

    async def run(self, step: Step) -> Outcome:
        outcome = await self._store.execute(self._operation(step))
        for name, path in step.save.items():
            value: Any = orjson.loads(outcome.body)
            for part in path.split("."):
                value = value.get(part, "")
            self._saved[name] = str(value)
        return outcome

    def _operation(self, step: Step) -> Operation:
        if step.body is None:
            body = b""
        else:
            body = step.body.encode() if isinstance(step.body, str) else orjson.dumps(step.body)
        headers = [(name.encode(), self._filled(value).encode()) for name, value in step.headers.items()]
        return decode_parts(step.method, self._filled(step.target).encode(), headers, body)

    def _filled(self, text: str) -> str:
        for name, value in self._saved.items():
            text = text.replace(f"{{{name}}}", value)
        return text


def plain(value: Any) -> Any:
    """Return an answer's value without what differs from server to server."""
    if isinstance(value, dict):
        return {_NUMBERED.sub("…", name): "…" if name in _VOLATILE else plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return _NUMBERED.sub("…", value) if isinstance(value, str) else value


def shown(outcome: Outcome) -> tuple[Any, ...]:
    """Return what is compared of an answer."""
    body: Any = outcome.body.decode()
    if outcome.content_type == b"application/json" and outcome.body:
        body = plain(orjson.loads(outcome.body))
        if isinstance(body, dict) and "identifiers" in body:
            body["identifiers"] = list(body["identifiers"].values())
    headers = [(name, _NUMBERED.sub("…", _REVISION.sub("…", value.decode()))) for name, value in outcome.headers]
    return outcome.status, body, headers, outcome.content_type


def walk(rng: random.Random, length: int) -> list[Step]:
    """Return steps of all sequences in a random order."""
    every = [step for steps in SEQUENCES.values() for step in steps]
    return rng.choices(every, k=length)


async def compare(ours: Client, theirs: Client, steps: list[Step] | tuple[Step, ...]) -> None:
    """Send the same requests to both, and compare each answer."""
    for number, step in enumerate(steps):
        expected, found = await theirs.run(step), await ours.run(step)
        assert shown(found) == shown(expected), (number, step, found.body[:300], expected.body[:300])
