"""What only the gates of a promotion look at: frozen values, each None if it was not read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class FlippedFact:
    """How long PostgreSQL has served the reads. seconds: since the stage or the weight changed last.

    mismatches: kinds of mismatches that were seen in that time, ignored ones left out; compared: reads since the last
    reset of the comparison.
    """

    stage: str
    weight: int
    seconds: float
    mismatches: int
    compared: int


@dataclass(frozen=True, slots=True)
class RehearsedShape:
    """A shape of writes: how often it was seen, worked out by PostgreSQL's rules, and worked out differently."""

    text: str
    seen: int
    rehearsed: int
    different: int


@dataclass(frozen=True, slots=True)
class RehearsalFact:
    """The rehearsal of a collection's writes. open_mismatches: kinds of differences that no operator closed."""

    shapes: tuple[RehearsedShape, ...]
    open_mismatches: int = 0


@dataclass(frozen=True, slots=True)
class ServedFact:
    """What clients use of a collection, and what of it PostgreSQL alone does not answer.

    refused: requests that get no answer, in words. unknown: requests whose support cannot be told, in words. together:
    queries that use it together with a collection that ArangoDB keeps, in words. looked: shapes and endpoints.
    """

    looked: int
    refused: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    together: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DefinitionsFact:
    """What a collection takes with it. refused: why PostgreSQL cannot take it; kept_only: what has no effect there.

    indexes: unique ones; duplicates: documents that violate them, in words, None if they were not looked for.
    trouble: why the definitions could not be read.
    """

    trouble: str = ""
    refused: tuple[str, ...] = ()
    kept_only: tuple[str, ...] = ()
    indexes: int = 0
    duplicates: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class AccountsFact:
    """How PostgreSQL's accounts differ from ArangoDB's, in words; never a hash. trouble: why they were not compared.

    enforcement: proxies that require credentials although ArangoDB does not, or the reverse.
    """

    trouble: str = ""
    users: int = 0
    differences: tuple[str, ...] = ()
    with_tokens: tuple[str, ...] = ()
    enforcement: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CanaryFact:
    """A document that one proxy carried in both directions between PostgreSQL and a database. trouble: what failed."""

    instance: str
    trouble: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ClockFact:
    """How far a clock is ahead of PostgreSQL's, in seconds; uncertain: half the time that asking took."""

    name: str
    ahead: float
    uncertain: float
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ProxyFact:
    """What a registered proxy answered when it was asked. trouble: why a promotion would fail with it."""

    instance: str
    version: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class OpenTransactionFact:
    """A stream transaction of ArangoDB in which a proxy saw a write. seconds: since then.

    lost: the process that saw it has ended.
    """

    id: str
    instance: str
    seconds: float
    lost: bool


@dataclass(frozen=True, slots=True)
class OwnAccountFact:
    """Requests of clients with Crossfade's own account. clients: proxy and number of requests; seconds: watched."""

    user: str
    seconds: float
    clients: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PromotionEvidence:
    """What the gates of a promotion look at, beside what those of a flip do. version: of the command that asks."""

    flipped: FlippedFact | None = None
    rehearsal: RehearsalFact | None = None
    served: ServedFact | None = None
    definitions: DefinitionsFact | None = None
    accounts: AccountsFact | None = None
    canaries: tuple[CanaryFact, ...] | None = None
    clocks: tuple[ClockFact, ...] | None = None
    proxies: tuple[ProxyFact, ...] | None = None
    version: str = ""
    transactions: tuple[OpenTransactionFact, ...] | None = None
    own_account: OwnAccountFact | None = None


NOTHING_READ: Final = PromotionEvidence()
