"""Sizes so small that nearly every query and answer is a large one."""

from __future__ import annotations

import msgspec
import pytest

from proxy.aql.execution import held_rows, sorted_rows
from proxy.complete import fast_ways, requests_in_snapshot
from proxy.model.operations import Outcome
from proxy.stores.postgres import queries, snapshot_reads, spooled_answers, store
from proxy.stores.postgres.modifications import attempt, flushes, known_documents, query_run


async def whole(outcome: Outcome) -> Outcome:
    """Return an outcome whose stream, if it has one, was read."""
    if outcome.stream is None:
        return outcome
    body = b"".join([piece async for piece in outcome.stream])
    assert outcome.header(b"content-length") == b"%d" % len(body)
    headers = tuple(pair for pair in outcome.headers if pair[0] != b"content-length")
    return msgspec.structs.replace(outcome, body=body, headers=headers, stream=None)


def hold_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let memory hold two documents or so: everything else is read in pages, kept on disk, and sent before the end."""
    monkeypatch.setattr(held_rows, "_ROWS", 2)
    monkeypatch.setattr(held_rows, "IN_MEMORY", 200)
    monkeypatch.setattr(sorted_rows, "_MOST", 2)
    monkeypatch.setattr(snapshot_reads, "PAGE", 600)
    monkeypatch.setattr(flushes, "PENDING", 1200)
    monkeypatch.setattr(query_run, "KNOWN", 1200)
    monkeypatch.setattr(known_documents, "KNOWN", 1200)
    monkeypatch.setattr(spooled_answers, "_WHOLE", 150)
    monkeypatch.setattr(spooled_answers, "_FIRST", 2)
    monkeypatch.setattr(spooled_answers, "_MOST", 2)
    monkeypatch.setattr(spooled_answers, "MANY", 2)
    monkeypatch.setattr(store, "MANY", 2)
    monkeypatch.setattr(requests_in_snapshot, "MANY", 2)
    monkeypatch.setattr(fast_ways, "MANY", 2)
    monkeypatch.setattr(queries, "_BUFFERED", 200)
    monkeypatch.setattr(queries, "AT_ONCE", 1)
    monkeypatch.setattr(attempt, "_KEPT", 1200)
