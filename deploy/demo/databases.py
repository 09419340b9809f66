"""Questions to the two databases of one run, asked without the product (`db_checks`), and the service's own reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from deploy.demo import db_checks, fake_data
from deploy.demo.fake_data import DATABASE, RESUMES
from deploy.demo.loader import Document
from deploy.demo.service import ResumeService
from deploy.demo.stack import Stack

_T = TypeVar("_T")


class Databases:
    """Both databases of one stack. password: of ArangoDB's root."""

    def __init__(self, stack: Stack, password: str) -> None:
        self._stack = stack
        self._password = password

    @property
    def origin(self) -> db_checks.DirectArangoDB:
        return db_checks.DirectArangoDB(self._stack.arango_url, password=self._password)

    def service(self) -> ResumeService:
        """Return a client of the service's, connected to the proxy."""
        return ResumeService.connect(self._stack.url, DATABASE, password=self._password)

    def load_users(self, history: fake_data.History) -> dict[str, str]:
        """Load the service's users into PostgreSQL; return the résumé of each profile that names one, by user."""

        async def load(target: db_checks.Target) -> dict[str, str]:
            await target.load_users(history.users)
            return await target.profiles()

        return self.ask(load)

    def ask(self, question: Callable[[db_checks.Target], Awaitable[_T]]) -> _T:
        """Ask PostgreSQL a question over a new connection."""

        async def answer() -> _T:
            async with db_checks.Target.open(self._stack.dsn) as target:
                return await question(target)

        return asyncio.run(answer())

    def no_mismatch(self) -> list[str]:
        """Return a line unless a mismatch is open."""
        return [] if self.ask(db_checks.Target.open_mismatches) else ["no mismatch is open"]

    def falsify(self, key: str, path: Sequence[str]) -> None:
        """Change a value of a résumé in PostgreSQL, at the same revision."""
        self.ask(lambda target: target.falsify(DATABASE, RESUMES, key, path, "Nobody In Particular"))

    def equal_now(self, key: str) -> bool:
        """Return True if both databases have the same résumé."""
        row = self.ask(lambda target: target.documents(DATABASE, RESUMES)).get(key)
        text = self.origin.documents(DATABASE, RESUMES)[key]
        return row is not None and db_checks.compare("", {key: text}, {key: row}).equal

    def profiles_joined_to_users(self, profiles: Mapping[str, str]) -> int:
        """Count the profiles whose résumé, read through the proxy, is of the same user."""
        service = self.service()
        found = ((user, service.get(RESUMES, key)) for user, key in profiles.items())
        return sum(resume is not None and resume["user_id"] == user for user, resume in found)

    def lost(self, acknowledged: Mapping[str, Mapping[str, Document]]) -> list[str]:
        """Compare what was acknowledged to clients as stored (or deleted) with ArangoDB; return what is lost."""
        lost = []
        for name, expected in acknowledged.items():
            stored = {key: json.loads(text) for key, text in self.origin.documents(DATABASE, name).items()}
            for key in stored.keys() | expected.keys():
                there = {k: v for k, v in stored.get(key, {}).items() if k not in ("_id", "_rev")}
                if there != expected.get(key, {}):
                    lost.append(f"{DATABASE}/{name}/{key}: not what was acknowledged")
        return lost

    def compare_all(self, collections: Sequence[tuple[str, str]]) -> list[db_checks.Comparison]:
        """Compare collections, given as (database, name), document by document."""
        return asyncio.run(db_checks.compare_all(self.origin, self._stack.dsn, collections))

    def seeded_faults(self) -> dict[str, bool]:
        """Seed one fault of each kind, rolled back; True for each that the comparison finds."""
        return asyncio.run(db_checks.mutants(self.origin, self._stack.dsn, DATABASE, RESUMES))
