"""Names of collections and databases, as operators type them: the one place that decides what a name means.

A name that Crossfade does not know is refused with exit code 1, by every command and before anything is done, with a
sentence that names what exists: near matches (other letters, another database), or the known collections. A typing
error during an incident must never look like success. Only `mirror` and `stage default`, which start with new names,
check ArangoDB instead, with the same sentences. Only `rollback` does what it can: it rolls back the names that it
knows, and refuses the others.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed
from proxy.model.stages import CollectionState, Stage
from proxy.operator import status

_NEAR: Final = 3  # near matches that are offered
_LISTED: Final = 5  # names that are listed if nothing is near


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The known names: registered collections that were not dropped, and databases with a default stage."""

    collections: Mapping[str, CollectionState]
    defaults: Mapping[str, Stage]

    @property
    def databases(self) -> frozenset[str]:
        return frozenset(name.partition("/")[0] for name in self.collections) | (self.defaults.keys() - {"*"})


async def known(database: Database) -> KnownNames:
    """Return what Crossfade knows. Raise DatabaseError."""
    return KnownNames(await status.present(database), await status.defaults(database))


def qualified(names: Iterable[str], database: str) -> list[str]:
    """Return `database/name` of each, in order, once. Raise PreconditionFailed for one of another form."""
    found: dict[str, None] = {}
    for name in names:
        full = name if "/" in name else f"{database}/{name}"
        left, _, right = full.partition("/")
        if not left or not right or "/" in right:
            raise PreconditionFailed(
                f"{name!r} is not a collection: write database/name, or database/* for all of a database"
            )
        found[full] = None
    return list(found)


async def expand(
    database: Database, names: Sequence[str], default: str, keep: Callable[[CollectionState], bool], what: str
) -> list[str]:
    """Return the collections that names and patterns stand for; of a pattern those that `keep` accepts.

    Raise PreconditionFailed if a name is not known, or if a pattern matches none; `what` describes the accepted ones.
    """
    there = await known(database)
    found: dict[str, None] = {}
    for name in require(qualified(names, default), there):
        if "*" not in name:
            found[name] = None
            continue
        matching = [k for k, state in there.collections.items() if matches(k, name) and keep(state)]
        if not matching:
            raise PreconditionFailed(f"no collection of {name} is {what}: {alternatives(name, there)}")
        found |= dict.fromkeys(matching)
    return list(found)


async def expand_known(database: Database, names: Sequence[str], default: str) -> list[str]:
    """Return the known collections that names and patterns stand for. Raise as `expand` does."""
    return await expand(database, names, default, lambda _: True, "known")


async def selected(database: Database, names: Sequence[str] | None, default: str) -> list[str] | None:
    """Return the known collections that are named, None if none is: the command then means all of them."""
    return await expand_known(database, names, default) if names else None


async def mirrored(database: Database, names: Sequence[str] | None, default: str) -> list[str]:
    """Return the collections at `mirror` or further: those that are named (as `expand` does), or all of them."""
    if names:
        return await expand(database, names, default, _is_mirrored, "mirrored or further")
    return [name for name, state in (await status.present(database)).items() if _is_mirrored(state)]


def _is_mirrored(state: CollectionState) -> bool:
    return state.stage.at_least(Stage.MIRROR)


def require(names: Sequence[str], there: KnownNames) -> Sequence[str]:
    """Return the names if each is known or a pattern. Raise PreconditionFailed that names what exists instead."""
    wrong = unknown(names, there)
    if wrong:
        raise PreconditionFailed("; ".join(f"{name} is not known: {alternatives(name, there)}" for name in wrong))
    return names


async def require_known(database: Database, names: Sequence[str], default: str) -> list[str]:
    """Return `database/name` of each. Raise PreconditionFailed as `require` does, and for patterns."""
    full = qualified(names, default)
    for name in full:
        if "*" in name:
            raise PreconditionFailed(f"{name} is a pattern: this command takes names of collections")
    require(full, await known(database))
    return full


def unknown(names: Iterable[str], there: KnownNames) -> list[str]:
    """Return those that are neither a known collection nor a pattern."""
    return [name for name in names if "*" not in name and name not in there.collections]


def matches(collection: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(collection, pattern)


def alternatives(name: str, there: KnownNames) -> str:
    """Return what exists in place of a name or pattern that matches nothing: near matches, else what is known."""
    database, _, rest = name.partition("/")
    if rest == "*" and database not in there.databases:
        return _instead(
            near_matches(database, there.databases), sorted(there.databases), f"`crossfade mirror '{name}'`"
        )
    others = near_matches(name, [one for one in there.collections if one != name])
    return _instead(others, sorted(there.collections), f"`crossfade mirror {'NAME' if '*' in rest else name}`")


def near_matches(name: str, candidates: Collection[str]) -> list[str]:
    """Return the candidates that may be meant, the likeliest first: other case, another database, other letters."""
    database, _, rest = name.lower().rpartition("/")
    same = [one for one in sorted(candidates) if database and one.rpartition("/")[2].lower() == rest]
    folded: dict[str, str] = {}
    for one in sorted(candidates):
        theirs, _, short = one.lower().rpartition("/")
        folded.setdefault(short, one)
        if theirs != database:  # of two names in one database, the database says nothing about how near they are
            folded.setdefault(one.lower(), one)
    found = dict.fromkeys(same)
    for wanted in dict.fromkeys((name.lower(), rest)):
        close = difflib.get_close_matches(wanted, folded, n=_NEAR, cutoff=0.7)
        found |= dict.fromkeys(folded[one] for one in close)
    return list(found)[:_NEAR]


def _instead(offered: Sequence[str], everything: Sequence[str], begin: str) -> str:
    if offered:
        return f"did you mean {' or '.join(offered)}? `crossfade status` lists what there is"
    if not everything:
        return f"nothing is known yet; {begin} starts mirroring it"
    more = f" and {len(everything) - _LISTED} more" if len(everything) > _LISTED else ""
    return f"there is {', '.join(everything[:_LISTED])}{more} (`crossfade status`); {begin} starts mirroring a new one"


def flipped(there: KnownNames) -> str:
    """Return which reads come from PostgreSQL now: an operator who rolls back needs this first."""
    found = [
        f"{name} {state.weight} %" for name, state in sorted(there.collections.items()) if state.stage is Stage.FLIPPED
    ]
    return f"flipped now: {', '.join(found)}" if found else "nothing is flipped"
