"""Statements that an evaluated modification sends: their number does not grow with its documents."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from proxy.base.database import Session
from tests.complete_fixtures import complete_store
from tests.integration.test_complete_proxies import send

FEW, MANY = 3, 200  # documents: those of one look-up
QUERIES = {
    "new keys": "FOR d IN @docs INSERT MERGE(d, {x: SOUNDEX(d.n)}) INTO c",
    "keys made": "FOR d IN @docs INSERT {n: d.n, x: SOUNDEX(d.n)} INTO c",
    "overwritten": "FOR d IN @docs INSERT MERGE(d, {x: SOUNDEX(d.n)}) INTO c OPTIONS {overwriteMode: 'update'}",
    "by attributes": "FOR d IN @docs UPSERT {n: d.n} INSERT MERGE(d, {x: 1}) UPDATE {x: SOUNDEX(d.n)} IN c",
    "by keys": "FOR d IN @docs UPSERT {_key: d._key} INSERT MERGE(d, {x: 1}) UPDATE {x: SOUNDEX(d.n)} IN c",
    "changes": "FOR d IN @docs UPDATE d._key WITH {x: SOUNDEX(d.n)} IN there RETURN [OLD, NEW]",
    "replacements": "FOR d IN @docs REPLACE d WITH {x: SOUNDEX(d.n)} IN there RETURN NEW",
    "removals": "FOR d IN @docs REMOVE d._key IN there OPTIONS {ignoreErrors: false} RETURN OLD",
}


class Statements:
    """Counts what the requests of one task send, beginnings and ends of transactions included."""

    def __init__(self) -> None:
        self.number = 0
        self.counts = ContextVar("counts", default=False)  # the upkeep of a store has other tasks


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Statements:
    statements, watched = Statements(), Session._watched

    @contextlib.contextmanager
    def counted(session: Session) -> Iterator[None]:
        statements.number += statements.counts.get()
        with watched(session):
            yield

    monkeypatch.setattr(Session, "_watched", counted)
    return statements


@pytest.mark.parametrize("kind", QUERIES)
async def test_an_evaluated_modification_takes_no_statement_for_each_document(
    dsn: str, sent: Statements, kind: str
) -> None:
    numbers = []
    async with complete_store(dsn) as store:
        sent.counts.set(True)
        for name in ("c", "there"):
            await send(store, "POST", "/_api/collection", {"name": name})
        for number, prefix in ((FEW, "w"), (FEW, "a"), (MANY, "b")):  # the first one warms up
            docs = [{"_key": f"{prefix}{n}", "n": f"{prefix}{n}"} for n in range(number)]
            await send(store, "POST", "/_api/document/there", docs)
            body: dict[str, Any] = {"query": QUERIES[kind], "bindVars": {"docs": docs}}
            before = sent.number
            status, answer = await send(store, "POST", "/_api/cursor", body)
            numbers.append(sent.number - before)
            assert status == 201, answer
            assert answer["extra"]["stats"]["writesExecuted"] == number
    assert 0 < numbers[2] <= numbers[1] + 2, numbers
