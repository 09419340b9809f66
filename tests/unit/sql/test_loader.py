"""Migrations are numbered without a gap; statements are named once and described."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from sql.loader import migrations, queries

TOPICS = sorted(entry.name.removesuffix(".sql") for entry in resources.files("sql").joinpath("queries").iterdir())


def test_migrations_are_numbered_from_one() -> None:
    found = migrations()
    assert [m.number for m in found] == list(range(1, len(found) + 1))
    assert all(len(m.checksum) == 64 for m in found)


@pytest.mark.parametrize("topic", TOPICS)
def test_every_statement_has_a_name_a_description_and_a_text(topic: str) -> None:
    found = queries(topic)
    assert found
    assert [
        name for name, text in found.items() if not text.startswith("-- ") or text.splitlines()[-1].startswith("--")
    ] == []


@pytest.mark.parametrize("topic", TOPICS)
def test_every_fragment_is_expanded(topic: str) -> None:
    assert [name for name, text in queries(topic).items() if re.search(r"{[a-z_]+\(|-- fragment", text)] == []


def test_a_fragment_takes_its_argument() -> None:
    found = queries("store")
    assert "SELECT $2::bigint IS NULL" in found["read"]
    assert "SELECT $1::bigint IS NULL" in found["scan_count"]
    assert "SELECT {generation}::bigint IS NULL" in found["fenced"]
