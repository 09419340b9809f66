"""The writes of a stream transaction so far, kept until its end: versions, bounded, and intents. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from proxy.journal.intent import Intent
from proxy.model.operations import Change

_LIMIT: Final = 8 << 20  # bytes of documents of one transaction; beyond, its keys alone
ENDED: Final = frozenset({"committed", "aborted"})


class _Names(msgspec.Struct):
    write: str | list[str] = []
    exclusive: str | list[str] = []


class _Begin(msgspec.Struct):
    collections: _Names


class _Result(msgspec.Struct):
    id: str = ""
    status: str = ""


class _Answer(msgspec.Struct):
    result: _Result = msgspec.field(default_factory=_Result)


_BEGIN: Final = msgspec.json.Decoder(_Begin)
_ANSWER: Final = msgspec.json.Decoder(_Answer)


@dataclass(slots=True)
class Buffer:
    """One transaction. changes: versions of writes whose intents are `whole`; the keys of `again` are read afterwards.

    declared: collections (`db/name`) that it declared for writing. size: bytes of `changes`. ended: what is written
    after that is not kept. undoes: collections whose flips its commit rolls back, with the reason.
    """

    declared: tuple[str, ...] = ()
    changes: list[Change] = field(default_factory=list)
    whole: list[Intent] = field(default_factory=list)
    again: list[Intent] = field(default_factory=list)
    size: int = 0
    ended: bool = False
    undoes: dict[str, str] = field(default_factory=dict)

    @property
    def intents(self) -> list[Intent]:
        return [*self.whole, *self.again]

    @property
    def empty(self) -> bool:
        """True if it wrote nothing through this proxy."""
        return not self.whole and not self.again

    def numbers(self) -> list[int]:
        """Return the numbers of its intents in the journal."""
        return [intent.seq for intent in self.intents]

    def wrote(self, intent: Intent, changes: Sequence[Change]) -> None:
        """Keep the versions that a document write was answered with."""
        self.whole.append(intent)
        self.changes += changes
        self.size += sum(len(change.raw or b"") for change in changes)
        if self.size > _LIMIT:
            self.forget()

    def keep(self, intents: Collection[Intent]) -> None:
        """Keep intents of which the keys alone are known, or nothing: read again after the end."""
        self.again += intents

    def undo(self, collections: Iterable[str], reason: str) -> None:
        """Let its commit roll flips of these collections back; an abort leaves them."""
        for collection in collections:
            self.undoes.setdefault(collection, reason)

    def forget(self) -> None:
        """Drop the versions: everything is read again after the end."""
        self.again += self.whole
        self.whole, self.changes, self.size = [], [], 0


def declared(body: bytes, database: str) -> tuple[str, ...]:
    """Return the collections that the body of a begin declares for writing."""
    try:
        names = _BEGIN.decode(body).collections
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    found: list[str] = []
    for given in (names.write, names.exclusive):
        found += [given] if isinstance(given, str) else given
    return tuple(f"{database}/{name}" for name in dict.fromkeys(found))


def state(body: bytes) -> tuple[str, str]:
    """Return (id, status) of an answer about a transaction; empty if it does not say."""
    try:
        result = _ANSWER.decode(body).result
    except msgspec.DecodeError:
        return "", ""
    return result.id, result.status
