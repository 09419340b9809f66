"""Tables for human readers. They never show values of documents, except in a mismatch that is shown on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import sql
from proxy.control.gates.gate_types import Gate, GateVerdict
from proxy.model.stages import CollectionState, Stage, Transition, Writer
from proxy.operator.mismatches import MismatchFingerprint
from proxy.operator.out_of_band import OutOfBandCount
from proxy.operator.status import CollectionStatus, ControlStatus, RunStatus
from proxy.state.audit import AuditRecord

_COLOUR = {GateVerdict.PASSED: "green", GateVerdict.FAILED: "red", GateVerdict.INCONCLUSIVE: "yellow"}
# what operators copy into the next command
_WHOLE = frozenset({"instance", "id", "collection", "shape", "gate", "verdict", "stage", "state", "limit"})
_STATE = {"live": "green", "silent": "red", "diverged": "red", "stopped": "dim"}


def table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table; `right`: columns that are right-aligned. Names and ids are never broken over lines."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            column, justify="right" if column in right else "left", overflow="fold", no_wrap=column in _WHOLE
        )
    return table


def state_text(state: CollectionState) -> str:
    """Return `flipped 10 %`, `shadow`."""
    return f"{state.stage} {state.weight} %" if state.stage is Stage.FLIPPED else str(state.stage)


def transitions(console: Console, changes: Sequence[Transition]) -> None:
    for transition in changes:
        before, after = state_text(transition.before), state_text(transition.after)
        console.print(f"{escape(transition.collection)}: {before} -> [bold]{after}[/bold]")


def gates(console: Console, found: Mapping[str, Sequence[Gate]]) -> None:
    for collection, of_it in found.items():
        shown = table(escape(collection), "gate", "verdict", "found", "needed", "to do")
        for gate in of_it:
            colour = _COLOUR[gate.verdict]
            shown.add_row(
                gate.name,
                f"[{colour}]{gate.verdict}[/{colour}]",
                escape(gate.figures),
                escape(gate.threshold),
                escape(gate.remedy),
            )
        console.print(shown)


def status(console: Console, found: ControlStatus) -> None:
    _epoch(console, found)
    lost = reads_lost(found)
    if lost:
        console.print(f"[red]{escape(lost)}[/red]")
    for sentence in writes_taken(found):
        console.print(escape(sentence))
    shown = table(
        "collections",
        "collection",
        "stage",
        "backfill",
        "verified",
        "compared",
        "mismatches",
        "blocks a flip",
        right=("compared", "mismatches"),
    )
    for one in found.collections:
        rate = one.mismatch_rate
        shown.add_row(
            escape(one.collection),
            state_text(one.state),
            _run(one.backfill),
            _run(one.verification),
            f"{one.compared:,}",
            f"{one.mismatched:,}" + (f" ({rate:.2%})" if rate else ""),
            escape(blocking(one, found)),
        )
    if found.collections:
        console.print(shown)
    else:
        console.print("no collection is known yet: `crossfade mirror DATABASE/COLLECTION` starts one")
    instances(console, found.instances)
    gaps(console, found.gaps)
    out_of_band_writes(console, found.out_of_band_writes)


def reads_lost(found: ControlStatus) -> str:
    """Return why reads of flipped collections come from ArangoDB nevertheless; empty if they do not. Pure."""
    if not any(one.state.stage is Stage.FLIPPED for one in found.collections):
        return ""
    behind = [f"{one.instance} is {one.state}" for one in found.instances if one.state in ("silent", "diverged")]
    if not behind:
        return ""
    return f"reads of flipped collections come from ArangoDB: {', '.join(behind)} (that is safe; `crossfade instances`)"


def writes_taken(found: ControlStatus) -> tuple[str, ...]:
    """Return who takes the writes of the collections that PostgreSQL took them of, in sentences. Pure."""
    promoted = [one for one in found.collections if one.state.stage.at_least(Stage.PROMOTED)]
    taken = [one.collection for one in promoted if one.writer is Writer.TARGET]
    waiting = [one.collection for one in promoted if one.writer is Writer.NONE]
    lacking = sum(one.lacking for one in promoted)
    sentences = []
    if taken:
        sentences.append(f"PostgreSQL takes the writes of {', '.join(taken)}")
    if waiting:
        sentences.append(f"writes of {', '.join(waiting)} wait until ArangoDB takes them again (demotion)")
    if promoted:
        sentences.append(
            f"ArangoDB lacks {lacking:,} of their writes" + ("" if lacking else ": `crossfade demote` goes back")
        )
    return tuple(sentences)


def _epoch(console: Console, found: ControlStatus) -> None:
    defaults = ", ".join(f"{database}: {stage}" for database, stage in sorted(found.defaults.items()))
    console.print(f"generation {found.generation}, epoch {found.epoch}; new collections: {defaults or 'off'}")
    if found.open_epoch is not None:
        one = found.open_epoch
        console.print(
            f"[yellow]epoch {one.epoch} is open[/yellow]: phase {one.phase}, by {escape(one.actor)}, "
            f"for {one.open_seconds:.0f} s"
        )
        transitions(console, one.transitions)


def _run(run: RunStatus | None) -> str:
    if run is None:
        return "-"
    if run.documents is not None:
        return f"{run.state} ({run.documents:,})"
    return run.state if run.differences is None else f"{run.state} ({run.differences:,} differ)"


def blocking(one: CollectionStatus, found: ControlStatus) -> str:
    """Return what is known to block a flip of the collection. Gates may find more: they also ask ArangoDB. Pure."""
    live = [instance for instance in found.instances if instance.stopped_at is None]
    silent = sum(instance.lease_left <= 0 for instance in live) if one.state.stage is not Stage.OFF else 0
    counts = {
        f"unverified ({one.unverified_reason})": one.unverified - silent if one.unverified_reason is not None else 0,
        "silent proxies" if silent > 1 else "silent proxy": silent,
        "out-of-band writes": sum(
            writes.open for writes in found.out_of_band_writes if writes.collection == one.collection
        ),
        "open mismatches": one.open_mismatches,
        "dead letters": one.dead_letters,
        "undecided": one.undecided,
    }
    known = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count > 0)
    return known or ("-" if one.state.stage.at_least(Stage.FLIPPED) else "run `crossfade gates`")


def instances(console: Console, found: Sequence[sql.control.InstanceRow]) -> None:
    if not found:
        console.print("no instance is registered: `crossfade proxy run` starts one")
        return
    shown = table(
        "instances",
        "instance",
        "state",
        "heartbeat",
        "generation",
        "backlog",
        "lag",
        "where",
        "since",
        right=("backlog",),
    )
    for one in found:
        colour = _STATE[one.state]
        shown.add_row(
            escape(one.instance),
            f"[{colour}]{one.state}[/{colour}]",
            f"{one.heartbeat_age:.1f} s ago",
            str(one.generation),
            f"{one.backlog:,}",
            f"{one.lag_seconds:.1f} s",
            escape(f"{one.host}, process {one.pid}"),
            _time(one.joined_at),
        )
    console.print(shown)


def gaps(console: Console, found: Sequence[sql.control.UncoveredRow]) -> None:
    if not found:
        return
    shown = table("not captured or not compared", "where", "endpoint", "why", "times", "last", right=("times",))
    for one in found:
        where = one.collection or (f"{one.database}/?" if one.database else "-")
        shown.add_row(escape(where), escape(one.endpoint), escape(one.reason), f"{one.seen:,}", _time(one.last_seen))
    console.print(shown)


def out_of_band_writes(console: Console, found: Sequence[OutOfBandCount]) -> None:
    if not found:
        return
    shown = table(
        "out-of-band writes",
        "collection",
        "documents",
        "to repair",
        "last",
        "keys",
        right=("documents", "to repair"),
    )
    for one in found:
        keys = ", ".join(one.keys) + (f" and {one.number - len(one.keys)} more" if one.number > len(one.keys) else "")
        shown.add_row(escape(one.collection), f"{one.number:,}", f"{one.open:,}", _time(one.last_found), escape(keys))
    console.print(shown)


def audit(console: Console, found: Sequence[AuditRecord]) -> None:
    shown = table("", "id", "when", "who", "what", "why", "changed", right=("id",))
    for one in found:
        shown.add_row(
            str(one.id),
            _time(one.at),
            escape(one.actor),
            one.action,
            escape(one.reason or "-"),
            escape(changed(one.detail) or "-"),
        )
    console.print(shown)


def changed(detail: Mapping[str, Any]) -> str:
    """Return what an entry of the audit changed: stages if it changed some, else all of its detail. Pure."""
    if detail.get("moves"):
        return ", ".join(
            f"{move['collection']} {_moved(move['before'])} -> {_moved(move['after'])}" for move in detail["moves"]
        )
    return "; ".join(f"{name}: {_plain(value)}" for name, value in detail.items() if value not in (None, "", []))


def _moved(state: Mapping[str, Any]) -> str:
    return f"{state['stage']} {state['weight']} %" if state["stage"] == Stage.FLIPPED else str(state["stage"])


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def mismatches(console: Console, found: Sequence[MismatchFingerprint]) -> None:
    shown = table("", "id", "collection", "class", "paths", "state", "seen", "last", "keys", right=("id", "seen"))
    for one in found:
        keys = ", ".join(one.keys[:3]) + (f" and {len(one.keys) - 3} more" if len(one.keys) > 3 else "")
        shown.add_row(
            str(one.id),
            escape(one.collection),
            one.kind,
            escape(", ".join(one.paths) or "-"),
            one.state,
            f"{one.seen:,}",
            _time(one.last_seen),
            escape(keys),
        )
    console.print(shown)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
