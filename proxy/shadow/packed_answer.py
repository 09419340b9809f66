"""A target's answer as a worker gave it: bytes that only workers open, since nobody knows how large it is."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from proxy.base.errors import ArangoError
from proxy.shadow.diff.compare_answers import TargetAnswer


@dataclass(frozen=True, slots=True)
class Packed:
    """An answer, pickled. error: whether it is one in ArangoDB's error shape."""

    data: bytes
    error: bool = False


def packed(target: TargetAnswer) -> Packed:
    """In a worker: an answer for its parent to keep."""
    return Packed(pickle.dumps(target, pickle.HIGHEST_PROTOCOL), isinstance(target, ArangoError))


def opened(target: TargetAnswer | Packed) -> TargetAnswer:
    """An answer to look into."""
    if not isinstance(target, Packed):
        return target
    found: TargetAnswer = pickle.loads(target.data)  # noqa: S301 - a worker of this program pickled it
    return found
