"""The certificate of a completion: what it rests on, whether that holds, and its JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from backfill.completion.sides import SHOWN, Compared
from proxy.control.gates.gate_types import Gate, GateVerdict
from proxy.state.audit import ChainVerdict

FORMAT: Final = "crossfade-certificate"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known of one completion. at: ISO 8601, UTC. compared: each collection's sides at rest, read directly.

    trouble: why sides could not be read. audit: the whole chain, the completion's own row included. archive: the
    manifest of the final archive; None if there is none. lost: what PostgreSQL does not get from ArangoDB. versions:
    pairs of name and version.
    """

    at: str
    actor: str
    reason: str | None
    forced: bool
    epoch: int
    generation: int
    collections: tuple[str, ...]
    gates: Mapping[str, tuple[Gate, ...]]
    compared: tuple[Compared, ...]
    audit: ChainVerdict
    archive: Mapping[str, Any] | None = None
    lost: tuple[str, ...] = ()
    versions: tuple[tuple[str, str], ...] = field(default=())
    trouble: str = ""

    @property
    def problems(self) -> tuple[str, ...]:
        """Return why the certificate does not hold; nothing if it does.

        A gate that was ignored is shown, and no problem of the certificate: who ignored it is in the audit.
        """
        found = [self.trouble] if self.trouble else []
        if self.audit.broken is not None:
            found.append(f"the audit chain is broken at row {self.audit.broken}: {self.audit.why}")
        compared = {one.collection for one in self.compared}
        found += [f"{name}: both sides were not compared" for name in self.collections if name not in compared]
        found += [_unequal(one) for one in self.compared if not one.equal]
        return tuple(found)

    @property
    def holds(self) -> bool:
        return not self.problems

    @property
    def ignored(self) -> tuple[str, ...]:
        """Return the gates that did not pass, with their collection."""
        return tuple(
            f"{name}: {gate.name} was {gate.verdict} ({gate.figures})"
            for name, found in self.gates.items()
            for gate in found
            if gate.verdict is not GateVerdict.PASSED
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as the file has it."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "holds": self.holds,
            "problems": list(self.problems),
            "at": self.at,
            "actor": self.actor,
            "reason": self.reason,
            "forced": self.forced,
            "epoch": self.epoch,
            "generation": self.generation,
            "collections": [_side_by_side(one) for one in self.compared],
            "gates": {name: [asdict(gate) for gate in found] for name, found in self.gates.items()},
            "ignored": list(self.ignored),
            "audit": {
                "rows": self.audit.rows,
                "head": self.audit.head.hex(),
                "broken": self.audit.broken,
                "why": self.audit.why,
            },
            "archive": None if self.archive is None else dict(self.archive),
            "lost": list(self.lost),
            "versions": dict(self.versions),
        }


def _unequal(one: Compared) -> str:
    if not one.number:
        return f"{one.collection}: the checksums are different"
    named = "; ".join(f"{key}: {what}" for key, what in one.different[:3])
    return f"{one.collection}: {one.number:,} documents are different ({named})"


def _side_by_side(one: Compared) -> dict[str, Any]:
    return {
        "collection": one.collection,
        "equal": one.equal,
        "postgresql": asdict(one.postgresql),
        "arangodb": asdict(one.arangodb),
        "different": one.number,
        "keys": [{"key": key, "difference": what} for key, what in one.different[:SHOWN]],
        "printed_differently": one.reprinted,
    }
