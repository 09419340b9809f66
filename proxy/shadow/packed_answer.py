"""A target's answer as a worker returned it: bytes that only workers open, since it may have any size."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from proxy.base.errors import ArangoError
from proxy.shadow.diff.compare_answers import TargetAnswer


@dataclass(frozen=True, slots=True)
class PackedAnswer:
    """An answer, pickled. error: True if it is an error of ArangoDB's."""

    data: bytes
    error: bool = False


def pack(target: TargetAnswer) -> PackedAnswer:
    """Pack an answer for the parent process. Runs in a worker."""
    return PackedAnswer(pickle.dumps(target, pickle.HIGHEST_PROTOCOL), isinstance(target, ArangoError))


def unpack(target: TargetAnswer | PackedAnswer) -> TargetAnswer:
    """Return an answer, unpacked."""
    if not isinstance(target, PackedAnswer):
        return target
    found: TargetAnswer = pickle.loads(target.data)  # noqa: S301 - a worker of this program pickled it
    return found
