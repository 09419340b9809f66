"""Queries that may not hold many rows in memory: same results as in memory, from pages and from disk."""

from __future__ import annotations

from typing import Any, Final

import pytest

from proxy.aql.execution import held_rows, sorted_rows
from proxy.base.errors import ArangoError
from tests.unit.aql.large import PagedStore, rows_of
from tests.unit.aql.store import Store

ROWS: Final[list[dict[str, Any]]] = [
    {"n": number, "half": number // 2, "text": "x" * (number % 7), "list": [number, {"m": number % 3}]}
    for number in range(1, 40)
]
QUERIES: Final = (
    "FOR d IN c RETURN d",
    "FOR d IN c FILTER d.n % 3 == 0 LET m = d.n * 2 RETURN {n: d.n, m}",
    "FOR d IN c SORT d.half DESC, d.text, d.n DESC RETURN [d.n, d.list]",
    "FOR d IN c SORT d.half DESC, d.n DESC LIMIT 3, 5 RETURN d.n",
    "FOR d IN c SORT d.text LIMIT 20 RETURN d.n",
    "FOR d IN c SORT d.text DESC RETURN d.n",
    "LET a = (FOR d IN c RETURN d.n) FOR d IN c SORT LENGTH(a) - d.half RETURN [d.n, FIRST(a)]",
    "FOR d IN c COLLECT t = d.text INTO g RETURN [t, g[*].d.n]",
    "FOR d IN c COLLECT t = d.text INTO g = d.n RETURN [t, g]",
    "FOR d IN c LET m = d.n COLLECT t = d.text INTO g KEEP m RETURN [t, g]",
    "FOR d IN c COLLECT t = d.text AGGREGATE s = SUM(d.n), u = UNIQUE(d.half) RETURN [t, s, u]",
    "FOR d IN c COLLECT WITH COUNT INTO n RETURN n",
    "FOR i IN 1..3 LET y = i FOR d IN c FILTER d.half == i COLLECT h = d.half INTO g RETURN [h, g[*].y]",
    "FOR d IN c FOR e IN c FILTER e.half == d.n RETURN [d.n, e.n]",
    "FOR d IN c LET found = (FOR e IN c FILTER e.n > d.n SORT e.n DESC LIMIT 2 RETURN e.n) RETURN found",
    "RETURN LENGTH(FOR d IN c RETURN d)",
    "FOR d IN c LIMIT 3, 4 RETURN d.n",
    "FOR d IN c LIMIT 0 RETURN d.n",
    "FOR d IN c RETURN DISTINCT d.text",
    "FOR d IN c SORT d.n WINDOW {preceding: 2} AGGREGATE s = SUM(d.n) RETURN [d.n, s]",
    "FOR d IN c FILTER d._key IN ['3', '17', '4', 'none'] RETURN d.n",
    "FOR d IN c UPDATE d WITH {n: d.n + 1} IN c RETURN [OLD.n, NEW.n, NEW.half]",
    "FOR d IN c SORT d.n DESC UPDATE d._key WITH {n: d.n + 1} IN c LIMIT 3 RETURN NEW.n",
    "FOR d IN c LET k = d._key REPLACE k WITH {k, list: d.list} IN c",
    "FOR d IN c REMOVE d IN c RETURN OLD.n",
    "FOR d IN c FILTER d.n > 5 INSERT {_key: CONCAT('k', d.n), d} INTO other RETURN NEW.d.n",
    "FOR d IN c INSERT {_key: d.text == '' ? 'e' : d.text, n: d.n} INTO other OPTIONS {overwriteMode: 'replace'}",
    "FOR d IN c UPSERT {t: d.text} INSERT {t: d.text, n: 1} UPDATE {n: OLD.n + 1} IN other RETURN [NEW.t, NEW.n]",
    "FOR d IN c LET made = (INSERT {from: d._key} INTO other RETURN NEW.from) FILTER d.n > 5 RETURN [made, d.n]",
    "FOR d IN c UPDATE d WITH {done: d.n} IN c INSERT {x: NEW.done} INTO e RETURN [d.n, NEW.x]",
    "FOR k IN ['1', 'none', '2'] REMOVE k IN c OPTIONS {ignoreErrors: true} RETURN OLD._key",
    "FOR d IN c UPDATE d WITH {} IN c COLLECT AGGREGATE m = MAX(NEW.n) RETURN m",
)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_rows, "_ROWS", 3)
    monkeypatch.setattr(held_rows, "IN_MEMORY", 2000)
    monkeypatch.setattr(sorted_rows, "_MOST", 4)


@pytest.mark.parametrize("text", QUERIES)
def test_the_results_are_those_of_memory(text: str) -> None:
    whole, paged = Store(c=ROWS, other=[], e=[]), PagedStore(c=ROWS, other=[], e=[])
    one, other = whole.query(text), paged.query(text)
    assert rows_of(other) == one.rows
    assert paged.collections == whole.collections
    names = ("writes_executed", "writes_ignored", "filtered")
    assert [getattr(other.stats, name) for name in names] == [getattr(one.stats, name) for name in names]


def test_an_array_of_all_documents_is_bounded_in_bytes() -> None:
    store = PagedStore(c=[{"text": "x" * 1000} for _ in range(100)])
    with pytest.raises(ArangoError) as refused:
        store.query("LET everything = (FOR d IN c RETURN d) RETURN LENGTH(everything)", memory_limit=50_000)
    assert refused.value.number == 32
    with pytest.raises(ArangoError) as refused:
        store.query("FOR d IN c COLLECT t = 1 INTO g RETURN LENGTH(g)", memory_limit=50_000)
    assert refused.value.number == 32
    assert store.rows("FOR d IN c SORT d.text, d._key RETURN 1") == [1] * 100


def test_what_streams_needs_no_memory() -> None:
    """Neither the pages nor the result count against the limit."""
    store = PagedStore(c=[{"text": "x" * 1000} for _ in range(100)])
    text = "FOR d IN c FILTER d.text != '' SORT d.text RETURN d"
    assert len(rows_of(store.query(text, memory_limit=10_000))) == 100
    assert store.pages == 50


@pytest.mark.parametrize("text", ["FOR i IN 1..200 SORT i RETURN i", "FOR i IN 1..200 INSERT {i} INTO c RETURN 1"])
def test_rows_on_disk_count_against_the_limit_of_the_client(text: str) -> None:
    store = PagedStore(c=[])
    assert len(rows_of(store.query(text, memory_limit=2_000))) == 200
    with pytest.raises(ArangoError) as refused:
        PagedStore(c=[]).query(text, memory_limit=2_000, counts_spooled=True)
    assert refused.value.number == 32


def test_documents_of_pages_count_as_in_memory() -> None:
    """Those that are fetched by their keys apart."""
    for text in ("FOR d IN c RETURN d", "FOR d IN c FILTER d._key IN ['3', '17', '4'] RETURN d.n"):
        assert PagedStore(c=ROWS).query(text).stats == Store(c=ROWS).query(text).stats


def test_a_scan_that_limit_ends_is_not_read_to_its_end() -> None:
    store = PagedStore(c=ROWS)
    assert len(store.rows("FOR d IN c LIMIT 3 RETURN d")) == 3
    assert store.pages == 2


def test_the_store_hears_what_the_next_writes_need() -> None:
    """One notice a page of rows: keys, or what an UPSERT looks for."""
    store = PagedStore(c=ROWS[:7], other=[])
    store.query("FOR d IN c UPDATE d WITH {a: 1} IN c")
    assert [one.fetches[0].keys for one in store.expected] == [("1", "2", "3"), ("4", "5", "6"), ("7",)]
    store.expected.clear()
    store.query("FOR d IN c UPSERT {t: d.text} INSERT {} UPDATE {} IN other")
    assert [fetch.equalities for fetch in store.expected[0].fetches] == [((("t",), "x" * n),) for n in (1, 2, 3)]
    store.expected.clear()
    store.query("FOR d IN c INSERT {} INTO other")
    assert store.expected == []
