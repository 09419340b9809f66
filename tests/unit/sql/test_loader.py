"""Migrations are numbered without a gap; statements are named once and described."""

from __future__ import annotations

from importlib import resources

import pytest

from sql.loader import Query, migrations, queries

TOPICS = sorted(entry.name.removesuffix(".sql") for entry in resources.files("sql").joinpath("queries").iterdir())


def test_migrations_are_numbered_from_one() -> None:
    found = migrations()
    assert [m.number for m in found] == list(range(1, len(found) + 1))
    assert all(len(m.checksum) == 64 for m in found)


@pytest.mark.parametrize("topic", TOPICS)
def test_every_statement_has_a_name_and_a_text(topic: str) -> None:
    found = queries(topic)
    assert found
    assert all(query.text for query in found.values())


def test_a_statement_is_put_on_a_table_by_its_quoted_name() -> None:
    assert Query("x", "SELECT 1 FROM {relation}").on('"a b".c') == 'SELECT 1 FROM "a b".c'
