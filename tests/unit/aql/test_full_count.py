"""fullCount as a separate query."""

from __future__ import annotations

import pytest

from proxy.aql import parse, print_query
from proxy.aql.full_count import without_limit


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FOR d IN c LIMIT 1 RETURN d", "FOR d IN c RETURN d"),
        ("FOR d IN c LIMIT 5 SORT d.a LIMIT 1, 2 LET x = 1 RETURN x", "FOR d IN c LIMIT 5 SORT d.a LET x = 1 RETURN x"),
        ("FOR d IN c RETURN d", None),
        ("FOR d IN c LIMIT 1 RETURN DISTINCT d.a", None),
        ("FOR d IN c LIMIT 1 FILTER d.a RETURN d", None),
        ("FOR d IN c LIMIT 1 FOR e IN c RETURN e", None),
        ("RETURN (FOR d IN c LIMIT 1 RETURN d)", None),
    ],
)
def test_the_last_limit_is_taken_out_if_only_lets_follow_it(text: str, wanted: str | None) -> None:
    found = without_limit(parse(text))
    assert found == (None if wanted is None else parse(wanted))
    assert found is None or "LIMIT 1" not in print_query(found)
