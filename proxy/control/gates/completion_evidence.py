"""What only the gates of a completion look at: frozen values, each None if it was not read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PromotedFact:
    """The stage of a collection. seconds: since it changed last."""

    stage: str
    seconds: float


@dataclass(frozen=True, slots=True)
class NeededFact:
    """Requests since the promotion that only ArangoDB could answer, in words. looked: endpoints that were seen."""

    looked: int
    requests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CarriedFact:
    """What ArangoDB lacks. rows: of the outbox; age: of the oldest in seconds; refused: what ArangoDB refuses."""

    rows: int
    age: float
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BrownoutFact:
    """The last time that proxies acted as if ArangoDB were gone. trouble: what ended it early; hours: since its end."""

    minutes: float
    hours: float
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class FinalArchiveFact:
    """An archive that was read whole. trouble: what is wrong with it; late: its export began after the promotion."""

    folder: str
    trouble: str = ""
    late: bool = False
    documents: int = 0


@dataclass(frozen=True, slots=True)
class SidesFact:
    """Both databases, read document by document. trouble: why one could not be read.

    different: how many documents stayed different; keys: the first of them, with what is different.
    """

    documents: int = 0
    different: int = 0
    keys: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class LostFact:
    """What PostgreSQL does not get from ArangoDB, by name. trouble: why it could not be listed.

    cut_off: collections of any database that were not moved, if proxies would ask ArangoDB for nothing any more.
    """

    things: tuple[str, ...] = ()
    trouble: str = ""
    cut_off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompletionEvidence:
    """What the gates of a completion look at, beside what is known of every collection."""

    promoted: PromotedFact | None = None
    needed: NeededFact | None = None
    carried: CarriedFact | None = None
    brownout: BrownoutFact | None = None
    archive: FinalArchiveFact | None = None
    sides: SidesFact | None = None
    lost: LostFact | None = None


NOTHING_LOOKED_AT: Final = CompletionEvidence()
