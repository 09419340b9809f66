"""The state that one client expects: every document of its users, as it was acknowledged. Answers are compared with it.

A client owns its users exclusively, so each read has exactly one right answer (read your writes, I7), whichever store
gives it. A write that was cut off has two right outcomes until a later read shows which.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final

from deploy.demo.service import JOBS, RESULTS, RESUMES, matches

Document = dict[str, Any]

SYSTEM: Final = ("_id", "_rev")


def plain(document: Mapping[str, Any]) -> Document:
    """Return the document without what ArangoDB adds, except its key."""
    return {name: value for name, value in document.items() if name not in SYSTEM}


class ExpectedState:
    """The acknowledged state of one client's documents; `revisions` has the newest acknowledged `_rev`."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Document]] = {RESUMES: {}, JOBS: {}, RESULTS: {}}
        self.revisions: dict[tuple[str, str], str] = {}

    def put(self, collection: str, document: Mapping[str, Any], revision: str | None = None) -> None:
        """Record that a document was stored; a copy is kept. revision: from the answer, None if unknown."""
        kept = copy.deepcopy(plain(document))
        self.documents[collection][kept["_key"]] = kept
        self.revisions.pop((collection, kept["_key"]), None)
        if revision is not None:
            self.revisions[collection, kept["_key"]] = revision

    def drop(self, collection: str, key: str) -> None:
        """Record that a document was deleted."""
        self.documents[collection].pop(key, None)
        self.revisions.pop((collection, key), None)

    def get(self, collection: str, key: str) -> Document | None:
        return self.documents[collection].get(key)

    def of(self, collection: str, user: str) -> dict[str, Document]:
        """Return the user's documents, by key."""
        return {key: entry for key, entry in self.documents[collection].items() if entry["user_id"] == user}

    def check(self, collection: str, key: str, answer: Mapping[str, Any] | None) -> str | None:
        """Return what is wrong with the answer to a read by key; None if it is right."""
        expected = self.get(collection, key)
        if answer is None:
            return None if expected is None else f"{collection}/{key}: acknowledged, and not found"
        if expected is None:
            return f"{collection}/{key}: deleted, and found"
        if plain(answer) != expected:
            return f"{collection}/{key}: other content than was acknowledged, in {differing(plain(answer), expected)}"
        revision = self.revisions.get((collection, key))
        if revision is not None and answer["_rev"] != revision:
            return f"{collection}/{key}: revision {answer['_rev']}, acknowledged was {revision}"
        return None

    def check_list(
        self, collection: str, user: str, answer: Iterable[Mapping[str, Any]], **wanted: object
    ) -> str | None:
        """Check that a list is exactly the user's documents that have the wanted attributes, newest first."""
        rows = list(answer)
        expected = {
            key for key, entry in self.of(collection, user).items() if all(entry.get(k) == v for k, v in wanted.items())
        }
        return self._check_rows(collection, rows, expected)

    def check_search(self, user: str, term: str, answer: Iterable[Mapping[str, Any]]) -> str | None:
        """Check that a search has found exactly the expected résumés."""
        expected = {key for key, entry in self.of(RESUMES, user).items() if matches(entry, term)}
        return self._check_rows(RESUMES, list(answer), expected)

    def check_counts(self, user: str, answer: Mapping[str, int]) -> str | None:
        expected: dict[str, int] = {}
        for entry in self.of(RESUMES, user).values():
            expected[entry["status"]] = expected.get(entry["status"], 0) + 1
        return None if answer == expected else f"counts of {user}: {dict(answer)}, should be {expected}"

    def _check_rows(self, collection: str, rows: list[Mapping[str, Any]], expected: set[str]) -> str | None:
        found = [row["_key"] for row in rows]
        if len(found) != len(set(found)) or set(found) != expected:
            lost, more = sorted(expected - set(found)), sorted(set(found) - expected)
            return f"a list of {collection}: {len(found)} rows, lost {lost[:3]}, too many {more[:3]}"
        # older documents have no created_at: null sorts below every string, so last when the newest come first
        dated = [row.get("created_at") is not None for row in rows]
        if dated != sorted(dated, reverse=True):
            return f"a list of {collection}: documents without a date are not last"
        for row in rows:
            wrong = self.check(collection, row["_key"], row)
            if wrong is not None:
                return wrong
        return None


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the names of the attributes that differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def merged(before: Document, changes: Document) -> Document:
    """Merge like PATCH with mergeObjects and keepNull, ArangoDB's defaults."""
    after = dict(before)
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(after.get(name), dict):
            after[name] = merged(after[name], value)
        else:
            after[name] = value
    return after
