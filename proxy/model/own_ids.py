"""Ids of the proxy's own cursors and jobs, which can be distinguished from ArangoDB's without a table.

An id is decimal text, as ArangoDB's are. Nineteen digits with these prefixes are above every tick of a server (its
hybrid logical clock gets there in the year 2241) and within 64 bits. Each kind has its prefix, so that every instance
of the proxy recognises the ids of the others.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

_DIGITS: Final = 19


@dataclass(frozen=True, slots=True)
class OwnIds:
    """Ids of one kind."""

    prefix: str

    def make(self) -> str:
        """Return a new id that cannot be guessed."""
        digits = _DIGITS - len(self.prefix)
        return f"{self.prefix}{secrets.randbelow(10**digits):0{digits}}"

    def owns(self, identifier: str) -> bool:
        """Return True for an id of this kind, whichever instance made it."""
        return len(identifier) == _DIGITS and identifier.startswith(self.prefix) and identifier.isdecimal()


READ_CURSORS: Final = OwnIds("9000")
WRITE_CURSORS: Final = OwnIds("9001")
JOBS: Final = OwnIds("9002")
# of requests that PostgreSQL carries out beside ArangoDB
PROMOTED_CURSORS: Final = OwnIds("9003")
PROMOTED_JOBS: Final = OwnIds("9004")
PROMOTED_TRANSACTIONS: Final = OwnIds("9005")


@dataclass(frozen=True, slots=True)
class SessionIds:
    """The ids of what a server keeps from request to request; None: numbers from the server's only sequence."""

    cursors: OwnIds | None = None
    jobs: OwnIds | None = None
    transactions: OwnIds | None = None


PROMOTED: Final = SessionIds(PROMOTED_CURSORS, PROMOTED_JOBS, PROMOTED_TRANSACTIONS)
