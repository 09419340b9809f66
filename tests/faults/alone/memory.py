"""What clients know of the documents that they write, from the answers that they got. Pure.

Each key belongs to one client, which has one attempt at a time, so that the document that a key must have is known
unless the answer to its last attempt was lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """Where a document is."""

    collection: str
    key: str


Effects = Mapping[Place, str | None]  # the token that each document has afterwards; None: it is removed


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt without an answer. whole: it has happened to all its documents or to none."""

    kind: str
    effects: dict[Place, str | None]
    whole: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """An insert of a value that only one document may have. happened: None if its answer was lost."""

    value: str
    place: Place
    happened: bool | None


@dataclass
class Memory:
    """What all clients know.

    tokens: of each document by the last settled attempt. open: attempts without an answer. revisions: every pair of
    revision and token that an answer has shown of a document, in the order in which its client saw them. writes: how
    many settled attempts changed a document. collections: names, and whether they must exist; None: it is not known.
    shared: revisions and tokens of settled writes of documents that all clients write. claims: of unique values.
    wrong: contradictions that clients found themselves. counted: settled attempts of each kind.
    """

    tokens: dict[Place, str | None] = field(default_factory=dict)
    open: list[OpenAttempt] = field(default_factory=list)
    revisions: defaultdict[Place, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    writes: defaultdict[Place, int] = field(default_factory=lambda: defaultdict(int))
    collections: dict[str, bool | None] = field(default_factory=dict)
    shared: defaultdict[Place, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    shared_open: defaultdict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    claims: list[Claim] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    counted: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def happened(self, kind: str, effects: Effects) -> None:
        """Note an attempt that was acknowledged."""
        self.counted[kind] += 1
        for place, token in effects.items():
            self.tokens[place] = token
            self.writes[place] += 1

    def refused(self, kind: str, places: Iterable[Place]) -> None:
        """Note an attempt that was refused: it has changed nothing."""
        self.counted[f"{kind}, refused"] += 1
        for place in places:
            self.tokens.setdefault(place, None)

    def lost(self, kind: str, effects: Effects, *, whole: bool) -> None:
        """Note an attempt whose answer was lost."""
        self.counted[f"{kind}, no answer"] += 1
        self.open.append(OpenAttempt(kind, dict(effects), whole))
        for place in effects:
            self.tokens.setdefault(place, None)

    def saw(self, place: Place, rev: int, token: str) -> None:
        """Note a version of a document that an answer has shown. One that is older than a former one is wrong."""
        seen = self.revisions[place]
        if seen and (rev, token) != seen[-1] and rev <= seen[-1][0]:
            self.wrong.append(f"{place}: revision {rev} of {token!r} after {seen[-1]}")
        seen.append((rev, token))

    def free(self) -> set[Place]:
        """Return the places that an open attempt does not concern."""
        return self.tokens.keys() - {place for attempt in self.open for place in attempt.effects}
