"""A PostgreSQL that refuses every insert and update of chosen collections by a trigger, during a fault.

The trigger exists before the fault, which only changes its behaviour: that needs no lock, whatever a proxy has open.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from tests.ad_hoc import Database

_LIMIT: Final = 20.0  # seconds
_CREATE_FUNCTION: Final = (
    "CREATE OR REPLACE FUNCTION public.judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$"
)
_ACCEPT: Final = _CREATE_FUNCTION.format("RETURN NEW;")
_REFUSE: Final = _CREATE_FUNCTION.format("RAISE 'not this one';")
_TRIGGER: Final = "CREATE TRIGGER judge BEFORE INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION public.judge()"
_COLLECTIONS_WITHOUT_TRIGGER: Final = """
SELECT relation FROM _crossfade.collection WHERE collection = ANY ($1)
    AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'judge' AND tgrelid = relation::regclass)
"""


class Refusing:
    """letters: dead letters that were there when the fault ended. (The next write of a key clears its own.)"""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.letters = 0

    async def prepare(self, collections: Sequence[str]) -> None:
        """Create the trigger, which refuses nothing yet."""
        await self._database.execute(_ACCEPT)
        for row in await self._database.fetch(_COLLECTIONS_WITHOUT_TRIGGER, collections):
            await self._database.execute(_TRIGGER.format(row["relation"]))

    async def begin(self) -> None:
        await self._database.execute(_REFUSE)

    async def end(self) -> None:
        """End the fault after at least one document was refused, however slow the machine is; writes continue."""
        limit = time.monotonic() + _LIMIT
        while not (count := await self._database.fetchval("SELECT count(*) FROM _crossfade.dead_letter")):
            if time.monotonic() > limit:
                break
            await asyncio.sleep(0.1)
        self.letters = count
        await self._database.execute(_ACCEPT)
