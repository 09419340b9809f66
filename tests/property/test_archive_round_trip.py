"""An archive returns exactly the documents that were written, byte for byte, in any parts and pages."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backfill import checksum
from backfill.archive import reader
from backfill.archive.export import Export, ExportOptions
from backfill.archive.manifest import ArchiveOrigin
from backfill.archive.progress import Silent
from backfill.archive.sources import Described, Pages
from backfill.origin_pages import Document, document
from proxy.model.revision import encode_rev

NUMBERS = st.sampled_from(["-0", "0", "1.0", "1", "9007199254740993", "9223372036854775808", "-9223372036854775808",
                           "18446744073709551615", "1e+300", "1.7976931348623157e+308", "5e-324"])  # fmt: skip
ESCAPES = [r"\u0000", r"\ud800", r"\udfff\ud800", r"\n\r", r"\"", r"\\"]
TEXTS = st.one_of(st.text(max_size=8), st.sampled_from(["\ufdd0", "\u2028", *ESCAPES]))


def printed(text: str) -> str:
    """Return a string as ArangoDB might have printed it, with some characters escaped."""
    return f'"{text}"' if text in ESCAPES else json.dumps(text, ensure_ascii=len(text) % 2 == 0)


VALUES = st.recursive(
    st.one_of(NUMBERS, TEXTS.map(printed), st.sampled_from(["null", "true", "false"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.dictionaries(TEXTS.map(printed), inner, max_size=3).map(
            lambda items: "{" + ",".join(f"{name}:{value}" for name, value in items.items()) + "}"
        ),
    ),
    max_leaves=6,
)
KEYS = st.text("abcXYZ019_-:.@()+,=;$!*'%", min_size=1, max_size=6)


class Listed:
    """Documents in memory as a store, in pages of a few."""

    def __init__(self, documents: list[Document], page: int) -> None:
        self._documents = documents
        self._page = page

    async def origin(self) -> ArchiveOrigin:
        return ArchiveOrigin(kind="arangodb", at="here", version="3.12.4")

    async def collections(self, pattern: str) -> list[str]:
        return []

    async def describe(self, collection: str) -> Described:
        return Described(False, {}, ())

    async def count(self, collection: str) -> int:
        return len(self._documents)

    async def page(self, collection: str, after: str, limit: int) -> Pages:
        found = [one for one in self._documents if one.key > after][: self._page]
        return Pages(found, len(found) < self._page, self._page)


@settings(max_examples=60, deadline=None)
@given(
    values=st.dictionaries(KEYS, VALUES, max_size=12),
    part_bytes=st.integers(1, 400),
    page=st.integers(1, 5),
    first=st.integers(1, 1 << 60),
)
def test_an_archive_returns_the_documents_that_were_written(
    values: dict[str, Any], part_bytes: int, page: int, first: int
) -> None:
    raws = [
        f'{{"_key":{json.dumps(key)},"_rev":"{encode_rev(first + number)}","v":{value}}}'.encode()
        for number, (key, value) in enumerate(sorted(values.items()))
    ]
    documents = [document(raw) for raw in raws]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        export = Export(Listed(documents, page), root, Silent(), asyncio.Event(), ExportOptions(part_bytes, level=1))
        [entry] = asyncio.run(export.run(["db/c"])).collections
        found = [one for part in entry.parts for one in reader.documents(root, part)]
        assert found == documents
        assert not any(reader.check(root, part).damaged for part in entry.parts)
        assert (entry.documents, entry.digest) == (len(raws), checksum.of_documents(raws))
