"""Puts together what triggers note of the counts of collections, so that a count reads few rows. All proxies do so."""

from __future__ import annotations

from typing import Final

import sql
from proxy.base.database import Database
from proxy.base.periodic import Periodic

_INTERVAL: Final = 1.0  # seconds
_MOST: Final = 100  # rows of a collection that a count may read


class CountFolding:
    """Folds the changes of counts every second."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._task = Periodic(self.fold, "counts", _INTERVAL)

    def start(self) -> None:
        """Start the task."""
        self._task.start()

    async def close(self) -> None:
        """End the task."""
        await self._task.close()

    async def fold(self) -> None:
        """Put the rows of each collection that has many together. Raise DatabaseError."""
        await self._database.execute(sql.complete.FOLD_COUNTS, _MOST)
