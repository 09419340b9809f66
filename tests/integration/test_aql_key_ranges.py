"""Reading page by page: ranges of keys that ArangoDB's primary index answers, in byte order."""

from __future__ import annotations

import pytest

from tests.ad_hoc import Database
from tests.integration.compile_fixtures import BothDatabases

KEYS = ["b", "A", "a", "B", "_x", "-1", "10", "9"]
BYTES = ["-1", "10", "9", "A", "B", "_x", "a", "b"]


@pytest.fixture
async def both(database: Database) -> BothDatabases:
    databases = BothDatabases(database)
    await databases.fill("c", [{"_key": key, "n": 1} for key in KEYS])
    return databases


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FOR d IN c FILTER d._key > 'B' SORT d._key LIMIT 2 RETURN d._key", BYTES[5:7]),
        ("FOR d IN c FILTER d._key > @last SORT d._key RETURN d._key", BYTES[5:]),
        ("FOR d IN c FILTER 'a' >= d._key AND d._key > 'A' SORT d._key DESC RETURN d._key", ["a", "_x", "B"]),
        ("FOR d IN c FILTER d.n == 1 FILTER d._key < @last SORT d._key RETURN d._key", BYTES[:4]),
        ("FOR d IN c FILTER d._key > 5 SORT d._key RETURN d._key", BYTES),
        ("RETURN (FOR d IN c FILTER d._key > 'B' SORT d._key RETURN d._key)", [BYTES[5:]]),
    ],
)
async def test_a_range_of_keys_is_in_the_order_of_its_sort(both: BothDatabases, text: str, wanted: list[str]) -> None:
    binds = {"last": "B"} if "@last" in text else {}
    answer = await both.answered(text, binds)
    assert not isinstance(answer, str), answer
    assert answer[1] == wanted
    assert both.evaluated(text, binds).rows == wanted


async def test_pages_contain_each_key_once(both: BothDatabases) -> None:
    text = "FOR d IN c FILTER d._key > @last SORT d._key LIMIT 3 RETURN d._key"
    found: list[str] = []
    while True:
        answer = await both.answered(text, {"last": found[-1] if found else ""})
        assert not isinstance(answer, str)
        if not answer[1]:
            break
        found += answer[1]
    assert found == BYTES
