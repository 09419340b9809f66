"""Gates: conditions for a change, each pass, fail or inconclusive, from values that were read before. Pure.

No data is inconclusive and never a pass (I9); a change needs pass on all that judge it. Each gate is a module of
`rules`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from proxy.base.module_discovery import import_modules
from proxy.control.gates import rules
from proxy.control.gates.gate_types import (
    Gate,
    GatedChange,
    GateEvidence,
    GateLimits,
    GateRule,
    GateVerdict,
)


def _discover() -> tuple[GateRule, ...]:
    """Return the `GATE` of each module of `rules`, in the order in which an operator comes across them."""
    found: list[GateRule] = [module.GATE for module in import_modules(rules.__name__)]
    return tuple(sorted(found, key=lambda rule: rule.position))


RULES: Final = _discover()
_REGISTERED: Final = "registered"
_UNKNOWN: Final = "a proxy that does not know a collection neither mirrors its writes nor holds its answers"


def rules_of(change: GatedChange) -> tuple[GateRule, ...]:
    """Return the gates that judge a change."""
    return tuple(rule for rule in RULES if change in rule.judges)


def evaluate(evidence: GateEvidence, limits: GateLimits, change: GatedChange = GatedChange.FLIP) -> tuple[Gate, ...]:
    """Return all gates of a change of one collection, in the order in which an operator comes across them."""
    return tuple(_protected(rule.decide(evidence, limits), change) for rule in rules_of(change))


def _protected(gate: Gate, change: GatedChange) -> Gate:
    protected = gate.name in _protections(change)
    if change is GatedChange.FLIP:
        return replace(gate, protects_reads=protected)
    return replace(gate, protects_writes=protected)


@functools.cache
def _protections(change: GatedChange) -> Mapping[str, str]:
    """Return the gates that `--force` does not pass, and why."""
    return {_REGISTERED: _UNKNOWN} | {rule.name: why for rule in rules_of(change) if (why := rule.protects(change))}


def missing_gates(collection: str, change: GatedChange = GatedChange.FLIP) -> tuple[Gate, ...]:
    """Return the one gate of a collection that the control plane does not know."""
    remedy = f"`crossfade mirror {collection}` starts to mirror it"
    return (_protected(Gate(_REGISTERED, GateVerdict.FAILED, "not known", "registered", remedy), change),)


def passed(gates: Sequence[Gate]) -> bool:
    """Return True if each gate passed, and there is one."""
    return bool(gates) and all(gate.verdict is GateVerdict.PASSED for gate in gates)


def blocking(gates: Sequence[Gate], *, force: bool) -> tuple[Gate, ...]:
    """Return the gates that block the change; with force only those that no `--force` passes."""
    return tuple(g for g in gates if g.verdict is not GateVerdict.PASSED and (g.protected or not force))


def refusal(gates: Mapping[str, Sequence[Gate]], *, force: bool, change: GatedChange = GatedChange.FLIP) -> str:
    """Return why a change is blocked: every gate of each collection that is held back, blocking gates first.

    Empty if no gate blocks it.
    """
    lines: list[str] = []
    count = 0
    for collection, found in gates.items():
        stopped = blocking(found, force=force)
        if stopped:
            count += len(stopped)
            shown = [*stopped, *(gate for gate in found if gate not in stopped)]
            lines += [f"{collection}: {_said(gate, stopped, change, force=force)}" for gate in shown]
    title = f"{change.capitalize()} blocked by {count} gate{'' if count == 1 else 's'}"
    return "\n  ".join([title, *lines]) if lines else ""


def _said(gate: Gate, stopped: Sequence[Gate], change: GatedChange, *, force: bool) -> str:
    text = f"{gate.name} is {gate.verdict} ({gate.figures})"
    if gate in stopped:
        why = f"; --force does not ignore it: {_protections(change)[gate.name]}" if force else ""
        return f"{text}: {gate.remedy}{why}"
    return text if gate.verdict is GateVerdict.PASSED else f"{text}: --force passes it"
