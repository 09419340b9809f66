"""Documents as the parameters of a statement: JSON text, and the queryable form if PostgreSQL cannot derive it.

Encoding takes time that clients would wait for, so a limited number of documents and bytes is encoded between two turns
of the event loop, and a large document that jsonb cannot hold as it is goes to a worker process. One statement holds no
more than a few megabytes of documents.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from proxy.base.errors import IsolationError
from proxy.isolation import Lane
from proxy.model.documents import suspected, to_jsonb
from proxy.replication.versions import StampedVersion

_DOCUMENTS: Final = 50  # encoded between two turns of the event loop
_BYTES: Final = 256 << 10  # likewise; and of one document that is escaped in this process
_STATEMENT: Final = 4 << 20  # bytes of the documents of one statement, unless it is one document
_SECONDS: Final = 20.0  # that a worker has to escape one document


class EncodedVersion(NamedTuple):
    """A version, and its document as text and in its queryable form. wrong: why there is no text."""

    row: StampedVersion
    raw: str
    doc: str | None
    wrong: str = ""


class DocumentEncoder:
    """Encodes documents. lane: workers for large ones; None: all are encoded in this process."""

    def __init__(self) -> None:
        self.lane: Lane | None = None

    async def encode(self, rows: Iterable[StampedVersion]) -> list[EncodedVersion]:
        """Encode those versions that are documents."""
        found: list[EncodedVersion] = []
        number = size = 0
        for row in rows:
            if row.raw is None:
                continue
            number, size = number + 1, size + len(row.raw)
            if number > _DOCUMENTS or size > _BYTES:
                number, size = 1, len(row.raw)
                await asyncio.sleep(0)
            try:
                found.append(EncodedVersion(row, row.raw.decode(), await self._queryable(row.raw)))
            except UnicodeDecodeError as error:
                found.append(EncodedVersion(row, "", None, f"not UTF-8: {error}"))
            except ValueError as error:
                found.append(EncodedVersion(row, "", None, f"not JSON: {error}"))
        return found

    async def _queryable(self, raw: bytes) -> str | None:
        """Call `to_jsonb`, in this process if no worker does it in time: no write is lost because of its size."""
        if self.lane is not None and len(raw) > _BYTES and suspected(raw):
            with contextlib.suppress(IsolationError):
                return await self.lane.run(to_jsonb, raw, seconds=_SECONDS)
        return to_jsonb(raw)


def statement_parts(items: Sequence[EncodedVersion]) -> Iterator[Sequence[EncodedVersion]]:
    """Divide documents into those of one statement each."""
    begin = size = 0
    for index, item in enumerate(items):
        length = len(item.raw) + len(item.doc or "")
        if size and size + length > _STATEMENT:
            yield items[begin:index]
            begin, size = index, 0
        size += length
    yield items[begin:]
