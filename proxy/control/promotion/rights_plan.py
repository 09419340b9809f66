"""Which rights of ArangoDB's users a promotion takes, and which are given back: decided of what ArangoDB shows. Pure.

A user who may write a promoted collection in ArangoDB itself could change it behind PostgreSQL. So the level of each is
lowered to `ro` on the collection itself. What the user had is noted first: the level that was granted on the
collection, if any, and what the user's level followed from otherwise, which is not changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

WRITES: Final = "rw"
READS: Final = "ro"
_NOTHING: Final = "undefined"
_ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class OriginRight:
    """A user's right to write a collection. granted: on the collection itself; None: it followed from `followed`."""

    collection: str
    user: str
    granted: str | None
    followed: Mapping[str, str]


def takes_rights(collection: str) -> bool:
    """Return True if ArangoDB has levels for the collection alone: those of system collections are the database's."""
    return not collection.partition("/")[2].startswith("_")


def right_of(collection: str, user: str, everything: Mapping[str, Any]) -> OriginRight:
    """Return what a user was granted. everything: levels by database and collection, as ArangoDB lists them."""
    database, _, name = collection.partition("/")
    own = everything.get(database) or {}
    collections = own.get("collections") or {}
    every = everything.get(_ALL) or {}
    shown = {
        "database": own.get("permission"),
        "all collections": collections.get(_ALL),
        "all databases": every.get("permission"),
        "all collections of all databases": (every.get("collections") or {}).get(_ALL),
    }
    followed = {what: str(level) for what, level in shown.items() if level not in (None, _NOTHING)}
    granted = collections.get(name)
    return OriginRight(collection, user, None if granted in (None, _NOTHING) else str(granted), followed)


def restored(right: OriginRight, now: str | None) -> bool:
    """Return True if a user's right is to be granted again. now: the level granted on the collection itself.

    Another level than the one that a promotion sets was granted by an administrator since, and stays.
    """
    return now == READS and right.granted != READS
