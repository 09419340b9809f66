"""Gates: conditions for a flip, each pass, fail or inconclusive, from values that were read before. Pure.

No data is inconclusive and never a pass (I9); a flip needs pass on all. Each gate is a module of `rules`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from proxy.base.module_discovery import import_modules
from proxy.control.gates import rules
from proxy.control.gates.gate_types import Gate, GateEvidence, GateLimits, GateRule, GateVerdict


def _discover() -> tuple[GateRule, ...]:
    """Return the `GATE` of each module of `rules`, in the order in which an operator comes across them."""
    found: list[GateRule] = [module.GATE for module in import_modules(rules.__name__)]
    return tuple(sorted(found, key=lambda rule: rule.position))


RULES: Final = _discover()
# the gates that `--force` does not pass, and why
_PROTECTED: Final[Mapping[str, str]] = {
    "registered": "a proxy that does not know a collection neither mirrors its writes nor holds its answers",
    **{rule.name: rule.protects_reads for rule in RULES if rule.protects_reads},
}


def evaluate(evidence: GateEvidence, limits: GateLimits) -> tuple[Gate, ...]:
    """Return all gates of one collection, in the order in which an operator comes across them."""
    return tuple(_protected(rule.decide(evidence, limits)) for rule in RULES)


def _protected(gate: Gate) -> Gate:
    return replace(gate, protects_reads=gate.name in _PROTECTED)


def missing_gates(collection: str) -> tuple[Gate, ...]:
    """Return the one gate of a collection that the control plane does not know."""
    remedy = f"`crossfade mirror {collection}` starts to mirror it"
    return (_protected(Gate("registered", GateVerdict.FAILED, "not known", "registered", remedy)),)


def passed(gates: Sequence[Gate]) -> bool:
    """Return True if each gate passed, and there is one."""
    return bool(gates) and all(gate.verdict is GateVerdict.PASSED for gate in gates)


def blocking(gates: Sequence[Gate], *, force: bool) -> tuple[Gate, ...]:
    """Return the gates that block a flip; with force only those that keep I7."""
    return tuple(g for g in gates if g.verdict is not GateVerdict.PASSED and (g.protects_reads or not force))


def refusal(gates: Mapping[str, Sequence[Gate]], *, force: bool) -> str:
    """Return why a flip is blocked: every gate of each collection that is held back, blocking gates first.

    Empty if no gate blocks it.
    """
    lines: list[str] = []
    count = 0
    for collection, found in gates.items():
        stopped = blocking(found, force=force)
        if stopped:
            count += len(stopped)
            lines += [f"{collection}: {_said(gate, stopped, force=force)}" for gate in stopped]
            lines += [f"{collection}: {_said(gate, stopped, force=force)}" for gate in found if gate not in stopped]
    title = f"Flip blocked by {count} gate{'' if count == 1 else 's'}"
    return "\n  ".join([title, *lines]) if lines else ""


def _said(gate: Gate, stopped: Sequence[Gate], *, force: bool) -> str:
    text = f"{gate.name} is {gate.verdict} ({gate.figures})"
    if gate in stopped:
        why = f"; --force does not ignore it: {_PROTECTED[gate.name]}" if force else ""
        return f"{text}: {gate.remedy}{why}"
    return text if gate.verdict is GateVerdict.PASSED else f"{text}: --force passes it"
