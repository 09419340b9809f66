"""Query shapes in the answers of gates.

0 mismatches of n comparisons say that the true rate is at most 3/n, at a confidence of 95 % (the rule of three). That
holds for reads like those that were compared, so it is asked of every shape separately as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from proxy.control.gates.gate_types import GateEvidence, ShapeFact

_SHOWN: Final = 3  # shapes that a gate names
_LENGTH: Final = 70  # characters of each


def judged(evidence: GateEvidence) -> list[ShapeFact]:
    return [shape for shape in evidence.shapes if shape.exempt is None]


def bound(n: int) -> str:
    return f"{3 / n:.2%}" if n else "100%"


def seconds_of(shape: ShapeFact) -> str:
    assert shape.origin_p99 is not None
    assert shape.target_p99 is not None
    return f"{1000 * shape.target_p99:.1f} ms against {1000 * shape.origin_p99:.1f} ms"


def named(shapes: Sequence[ShapeFact], what: str, figure: Callable[[ShapeFact], str]) -> str:
    """`2 of 7 never: FOR d IN … (seen 12); document.read (seen 3)`."""
    return f"{len(shapes)} {what}: {listed([f'{short(shape.text)} ({figure(shape)})' for shape in shapes])}"


def listed(texts: Sequence[str]) -> str:
    """Return the first few, and how many more there are."""
    return "; ".join(texts[:_SHOWN]) + (f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")


def short(text: str) -> str:
    return text if len(text) <= _LENGTH else text[: _LENGTH - 1] + "…"
