"""Fixtures of the archive tests: documents in both databases, an exported folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill.archive import manifest as manifests
from backfill.archive.manifest import ArchiveOrigin, CollectionEntry
from backfill.archive.writer import PartWriter
from backfill.origin_pages import Document
from tests.integration.archive_fixtures import UNUSUAL_DOCUMENTS, BothDatabases, arangodb

NAME = "shop/carts"
COUNT = 300 + len(UNUSUAL_DOCUMENTS)


@pytest.fixture
def both(dsn: str) -> Iterator[BothDatabases]:
    with arangodb() as url:
        yield BothDatabases(dsn, url)


def fill(both: BothDatabases, count: int = 300) -> None:
    both.create(NAME)
    both.insert(
        NAME,
        *UNUSUAL_DOCUMENTS,
        *(b'{"_key":"k%05d","n":%d,"pad":"%s"}' % (n, n, b"x" * (n % 50)) for n in range(count)),
    )


def exported(both: BothDatabases, folder: Path, *names: str, side: str = "arangodb") -> str:
    code, out, err = both.crossfade("archive", "export", *(names or (NAME,)), "--to", str(folder), "--from", side)
    assert code == 0, out + err
    return str(folder)


def wipe(both: BothDatabases, side: str) -> None:
    if side == "arangodb":
        both.ask("DELETE", "/_api/database/shop")
    else:
        both.sql(f"DROP TABLE {both.relation(NAME)}")
        both.sql("DELETE FROM _crossfade.collection")


def handmade(folder: Path, *documents: tuple[str, int, bytes], edge: bool = False, **values: object) -> str:
    """Write an archive of documents that no server here would print."""
    (folder / "shop" / "carts").mkdir(parents=True)
    writer = PartWriter(folder, "shop/carts", 1)
    writer.add([Document(key, rev, raw) for key, rev, raw in documents])
    entry = CollectionEntry(
        collection=NAME, edge=edge, state="done", started_at="", parts=(writer.finish(),), **values  # type: ignore[arg-type]
    )  # fmt: skip
    source = ArchiveOrigin(kind="arangodb", at="elsewhere", version="3.12.4")
    manifests.write(folder, manifests.new(source, "0", "2026-01-01T00:00:00Z").with_entry(entry))
    return str(folder)
