"""What the commands that change stages share: the change itself, its progress, what it came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.cli import tables
from proxy.cli.runtime import DONE, REFUSED, actor_or_me, console, note, write_json
from proxy.control import controller
from proxy.control.controller import Changed
from proxy.control.epoch import Progress, Step
from proxy.control.gates.gates import blocking
from proxy.control.guard import Budget
from proxy.control.preflight import Reached
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Phase


async def change(
    connected: Database,
    targets: Sequence[DesiredState],
    *,
    settings: Settings,
    dry_run: bool,
    as_json: bool,
    reason: str | None,
    actor: str | None,
    timeout: float = 30.0,
    force: bool = False,
    wait: bool = True,
    guard: Budget | None = None,
    more: Mapping[str, Any] | None = None,
) -> int:
    """Carries the change out (`controller.change`), shows it, and gives the exit code. Raises as that does.

    more: what the JSON has besides.
    """
    changed = await controller.change(
        connected,
        targets,
        settings=settings,
        actor=actor_or_me(actor),
        reason=reason,
        dry_run=dry_run,
        force=force,
        wait=wait,
        timeout=timeout,
        progress=_follow() if not as_json else lambda _: None,
        guard=guard,
    )
    blocked = any(blocking(gates, force=force) for gates in changed.gates.values()) or bool(changed.unready)
    if as_json:
        plain = {**_plain(changed), **(more or {})}
        write_json({**plain, "would_be_refused": blocked} if dry_run else plain)
    else:
        _show(changed)
        if guard is not None and not dry_run:
            console().print(guard_line(guard))
    return REFUSED if dry_run and blocked else DONE


def guard_line(budget: Budget) -> str:
    """What a guard does, in a sentence."""
    slow = "" if budget.seconds is None else f", or over 1 % of them take longer than {1000 * budget.seconds:g} ms"
    return (
        f"guarded: reads go back to ArangoDB by themselves where over {budget.errors_percent:g} % of them fail{slow}, "
        f"or more than {budget.mismatches} mismatches are confirmed; see `crossfade guard`"
    )


def _plain(changed: Changed) -> dict[str, Any]:
    return {
        **asdict(changed),
        "gates": {name: [asdict(gate) for gate in found] for name, found in changed.gates.items()},
    }


def _show(changed: Changed) -> None:
    out = console()
    if not changed.moves:
        out.print("nothing to change: all of them are there already")
        return
    tables.moves(out, changed.moves)
    if changed.dry_run:
        tables.gates(out, changed.gates)
        for one in changed.reached:
            out.print(_reached(one))
        steps = ", ".join(changed.phases) if changed.phases else "at once, in one step"
        out.print(f"nothing was changed; it would go through: {steps}")
        for one in changed.unready:
            note(f"it would fail on {one.instance}: {one.trouble}")
        return
    proxies = "1 proxy behaves" if len(changed.instances) == 1 else f"{len(changed.instances)} proxies behave"
    tail = f"; {proxies} by it" if changed.instances and not changed.behind else ""
    out.print(f"done in {changed.seconds:.2f} s: epoch {changed.epoch}, generation {changed.generation}{tail}")
    if changed.behind:
        out.print(
            f"[yellow]{', '.join(changed.behind)} did not behave by it yet[/yellow]: no harm, reads from PostgreSQL "
            "are refused there until it does"
        )


def _reached(one: Reached) -> str:
    """A line of a dry run."""
    if one.trouble:
        return f"[red]{escape(one.instance)}: {escape(one.trouble)}[/red]"
    return (
        f"{escape(one.instance)}: reached at {escape(str(one.admin_url))}, generation {one.generation}, both databases "
        f"answer it, backlog {one.backlog}, lag {one.lag_seconds or 0.0:.1f} s"
    )


def _follow() -> Progress:
    """Says on standard error which phase is under way, and for whom it waits; once each."""
    said: set[tuple[Phase, tuple[str, ...]]] = set()

    def step(one: Step) -> None:
        names = tuple(waiting.instance for waiting in one.waiting)
        if one.phase is not Phase.SETTLED and (one.phase, names) not in said:
            said.add((one.phase, names))
            whom = ", ".join(f"{waiting.instance} ({waiting.why})" for waiting in one.waiting)
            note(f"{one.phase}: " + (f"waiting for {whom}" if whom else "acknowledged by all"))

    return step
