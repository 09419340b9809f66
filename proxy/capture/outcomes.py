"""The outcomes that a write may have, by what ArangoDB's answer shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from proxy.capture.refusals import wrote_nothing
from proxy.model.operations import Change, Operation
from proxy.model.parsed_answer import ParsedAnswer


@dataclass(frozen=True, slots=True)
class NothingWritten:
    """ArangoDB refused the request, or it changed nothing."""


class Written(msgspec.Struct, frozen=True):  # made for nearly every write
    """The outcome that these versions were written, and nothing else: they go to PostgreSQL as they are."""

    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """The request has ended, and what its intents stand for is read again. keys: those that the answer added."""

    keys: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """The outcome that the effect is not known: it is read again once the request can no longer run at ArangoDB."""


@dataclass(frozen=True, slots=True)
class Uncaptured:
    """An opaque write was carried out: its collections get a mark that they need a verification."""


WriteOutcome = NothingWritten | Written | ReadAgain | Unknown | Uncaptured

NOTHING_WRITTEN: Final = NothingWritten()
READ_AGAIN: Final = ReadAgain()
UNKNOWN: Final = Unknown()
UNCAPTURED: Final = Uncaptured()


def of_documents(answer: ParsedAnswer) -> WriteOutcome:
    """Return the outcome of a write whose answer shows versions."""
    if answer.late:
        return UNKNOWN
    if not answer.complete:
        return ReadAgain(answer.written_keys)
    return Written(answer.changes) if answer.changes else NOTHING_WRITTEN


def without_versions(operation: Operation, status: int, body: object, keys: Sequence[str] = ()) -> WriteOutcome:
    """Return the outcome of a write whose answer shows no versions. keys: those that it names."""
    if wrote_nothing(operation, status, body):
        return NOTHING_WRITTEN
    return UNKNOWN if status >= 500 else ReadAgain(keys)
