"""Revisions that answers show: a version has one, no two versions share one, a newer version has a greater one.

A version is the number of the write that made it. Pure, but for what it remembers.
"""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict

from proxy.model.revision import decode_rev
from tests.faults.violations import Kind, Violation


class Revisions:
    """What is known of the revisions of one collection."""

    def __init__(self) -> None:
        self._by_version: dict[tuple[str, int], int] = {}
        self._by_revision: dict[int, tuple[str, int]] = {}
        self._versions: defaultdict[str, list[int]] = defaultdict(list)  # those whose revision is known, ascending

    def of(self, key: str, version: int) -> int | None:
        """Return the revision of a version, if an answer has shown it."""
        return self._by_version.get((key, version))

    def saw(self, key: str, version: int, text: str) -> Violation | None:
        """Note the revision of a version as `_rev` has it, and return what it contradicts."""
        revision = decode_rev(text)
        known = self._by_version.setdefault((key, version), revision)
        if known != revision:
            return Violation(Kind.REVISION, f"{key} {version}: revision {revision}, and it had {known}")
        holder = self._by_revision.setdefault(revision, (key, version))
        if holder != (key, version):
            return Violation(Kind.REVISION, f"{key} {version}: revision {revision}, which {holder} has")
        versions = self._versions[key]
        place = bisect(versions, version)
        if place and versions[place - 1] == version:
            return None
        versions.insert(place, version)
        if place and self._by_version[key, versions[place - 1]] > revision:
            return Violation(
                Kind.REVISION, f"{key} {version}: revision {revision}, below that of {versions[place - 1]}"
            )
        if place + 1 < len(versions) and self._by_version[key, versions[place + 1]] < revision:
            return Violation(
                Kind.REVISION, f"{key} {version}: revision {revision}, above that of {versions[place + 1]}"
            )
        return None
