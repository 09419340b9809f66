"""Archives against real databases: round trips, what is cut short, what is damaged, what is newer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.archive_kit import ODD, Both, arangodb

NAME = "shop/carts"


@pytest.fixture
def both(dsn: str) -> Iterator[Both]:
    with arangodb() as url:
        yield Both(dsn, url)


def fill(both: Both, count: int = 300) -> None:
    both.create(NAME)
    both.insert(NAME, *ODD, *(b'{"_key":"k%05d","n":%d,"pad":"%s"}' % (n, n, b"x" * (n % 50)) for n in range(count)))


@pytest.mark.parametrize("side", ["arangodb", "postgresql"])
def test_export_wipe_import_verify_equal(both: Both, tmp_path: Path, side: str) -> None:
    """The rollback of last resort: the database is empty, and then it has every document again, byte for byte."""
    fill(both)
    both.copy(NAME)
    before = both.documents(NAME)
    assert both.rows(NAME) == before
    folder = str(tmp_path / "archive")

    code, out, _ = both.crossfade("archive", "export", NAME, "--to", folder, "--from", side)
    assert (code, "complete, 307 documents" in out) == (0, True), out
    assert both.crossfade("archive", "verify", folder, "--against", side)[0] == 0

    if side == "arangodb":
        both.ask("DELETE", "/_api/database/shop")
    else:
        both.sql(f"DROP TABLE {both.relation(NAME)}")
        both.sql("DELETE FROM crossfade.collection")
    code, out, err = both.crossfade("archive", "import", folder, "--into", side)
    assert (code, "307 documents: 307 written, 0 there already" in out) == (0, True), out + err

    assert both.documents(NAME) == before, "revisions included"
    assert both.rows(NAME) == before
    code, out, _ = both.crossfade("archive", "verify", folder, "--against", side)
    assert (code, "missing in the database 0, extra 0, different 0" in out) == (0, True), out
