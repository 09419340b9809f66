"""A process that writes through a mirror until a fault kills it. Its origin is a folder, which survives it.

Run as `python -m tests.integration.mirror_process STATE_DIR ORIGIN_DIR DSN` with CROSSFADE_FAULT.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from proxy.base import failpoints
from proxy.journal.records import OpaqueWrite
from proxy.model.operations import Change
from proxy.replication.mirror import Mirror
from tests.ad_hoc import Database
from tests.integration.mirror_fixtures import COLLECTION, KeyedOrigin, Origin, settings


class FolderOrigin(KeyedOrigin):
    """Documents as files, printed like those of `Origin`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._maker = Origin()
        self._last: dict[str, Change] = {}

    def put(self, key: str, value: object) -> Change:
        change = self._last[key] = self._maker.put(key, value)
        assert change.raw is not None
        (self._folder / key).write_bytes(change.raw)
        return change

    def delete(self, key: str) -> Change:
        (self._folder / key).unlink()
        return self._maker.delete(self._last.pop(key))

    def documents(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self._folder.iterdir()}

    async def read(self, database: str, collection: str, keys: Sequence[str]) -> dict[str, bytes | None]:
        found = self.documents()
        return {key: found.get(key) for key in keys}


async def main(state: Path, folder: Path, dsn: str) -> None:
    origin = FolderOrigin(folder)
    database = await Database.open(dsn)
    mirror = Mirror(settings(state, dsn, batch=5), database, origin, "driver", lambda: 1)
    await mirror.start()
    for turn in range(1000):
        for number in range(20):
            key = f"k{number}"
            intent = mirror.intend(COLLECTION, () if number == 7 else (key,))
            failpoints.reach("after-intend")
            deletes = turn > 0 and number % 5 == 0 and turn % 2
            change = origin.delete(key) if deletes else origin.put(key, turn)
            failpoints.reach("after-forward")
            mirror.captured(intent, (change,))
        mirror.reread(mirror.intend(COLLECTION, ("k1",)))
        mirror.mark(mirror.intend_change(OpaqueWrite("import", ("shop/orders",))))
        if turn % 4 == 3:
            await mirror.caught_up(COLLECTION, 10)
        await asyncio.sleep(0)


if __name__ == "__main__":
    os.environ.setdefault("CROSSFADE_FAULT", "")
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
