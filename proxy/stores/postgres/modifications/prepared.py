"""What the attempts of a query find out for those that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from proxy.aql.compile import Compiled
from proxy.aql.compile.writes import CompiledWrite
from proxy.stores.postgres.modifications.blocked_keys import BlockedKeys
from proxy.stores.postgres.modifications.given_rows import Row
from proxy.stores.postgres.modifications.reserved_numbers import NumberRange, NumbersNeeded


@dataclass(slots=True)
class Prepared:
    """What was found out by earlier attempts. keys: to load first; numbers: for new keys; revisions: how
    many to draw first; all by collection.

    looks_up: look up in unique indexes all that documents would claim; otherwise what they have at the end is assumed
    to be free, and PostgreSQL refuses the statement if it is not. sent: writes were sent before the end of a run.
    plan: the statement that does it all; None: evaluate. rows: those that are computed before it. read: the statement
    of a query that only reads. blocked: documents that others have, or have changed. made: as `Finished.numbers`, of
    the last attempt.
    """

    keys: dict[str, frozenset[str]] = field(default_factory=dict)
    numbers: dict[str, NumberRange] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    looks_up: bool = False
    plan: CompiledWrite | None = None
    rows: Sequence[Row] = ()
    read: Compiled | None = None
    sent: bool = False
    blocked: BlockedKeys = field(default_factory=BlockedKeys)
    made: dict[str, tuple[int, int]] = field(default_factory=dict)


class RepeatError(Exception):
    """The attempt must be repeated with what it lacked; it has written nothing."""

    def __init__(self, keys: Mapping[str, frozenset[str]], numbers: Mapping[str, NumbersNeeded]) -> None:
        super().__init__()
        self.keys = keys
        self.numbers = numbers
