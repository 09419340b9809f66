"""What is reported of writes."""

from __future__ import annotations

from typing import Any, cast

import pytest

from proxy.base.errors import DatabaseUnavailable
from proxy.replication.write_reports import WriteReporter, _parts, _Written


def test_a_key_that_postgresql_cannot_hold_does_not_excuse_a_write_to_another() -> None:
    taken = _Written()
    taken.keys["o\0ne"] = None
    [(names, _, keys, _)] = list(_parts({"shop/orders": taken}))
    assert (list(names), list(keys)) == (["shop/orders"], ['["o\ufffdne"]'])


class _Away:
    """PostgreSQL that takes the first statements only."""

    def __init__(self, statements: int) -> None:
        self.left = statements

    async def execute(self, *_: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise DatabaseUnavailable("away")


async def test_a_report_that_was_not_taken_counts_against_the_bound_as_before() -> None:
    reporter = WriteReporter(cast("Any", _Away(1)), "one", lambda: 0.0)
    keys = [f"k{number}" for number in range(12_000)]
    reporter.reread("shop/orders", keys)
    with pytest.raises(DatabaseUnavailable):
        await reporter.report()
    assert reporter.waiting == 12_000
