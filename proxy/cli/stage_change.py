"""Parts that the commands that change stages share: the change itself, its progress, its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.cli import tables
from proxy.cli.runtime import DONE, REFUSED, ChangeOptions, StageOptions, console, note, write_json
from proxy.control import controller
from proxy.control.controller import Changed
from proxy.control.epoch import EpochStep, Progress
from proxy.control.gates.gates import blocking
from proxy.control.preflight import InstanceAnswer
from proxy.control.rollback_budgets import RollbackBudget
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Phase


async def change(
    connected: Database,
    targets: Sequence[DesiredState],
    how: ChangeOptions,
    *,
    settings: Settings,
    force: bool = False,
    wait: bool = True,
    budget: RollbackBudget | None = None,
    more: Mapping[str, Any] | None = None,
) -> int:
    """Carry out the change (`controller.change`), print the result, and return the exit code. Raise as it does.

    budget: of the automatic rollback that is armed with the change. more: further members of the JSON.
    """
    changed = await controller.change(
        connected,
        targets,
        settings=settings,
        actor=how.who,
        reason=how.reason,
        dry_run=how.dry_run,
        force=force,
        wait=wait,
        timeout=how.timeout if isinstance(how, StageOptions) else StageOptions().timeout,
        progress=follow() if not how.as_json else lambda _: None,
        budget=budget,
    )
    blocked = any(blocking(gates, force=force) for gates in changed.gates.values()) or bool(changed.unready)
    if how.as_json:
        shown = {**plain(changed), **(more or {})}
        write_json({**shown, "would_be_refused": blocked} if how.dry_run else shown)
    else:
        stages = ", ".join(dict.fromkeys(str(target.stage) for target in targets))
        show(changed, f"Already at {stages}: nothing to change" if stages else "Nothing to change")
        if budget is not None and not how.dry_run:
            console().print(budget_line(budget))
    return REFUSED if how.dry_run and blocked else DONE


def budget_line(budget: RollbackBudget) -> str:
    """Return one sentence that states what an automatic rollback does."""
    slow = "" if budget.seconds is None else f" or over 1 % of them take longer than {1000 * budget.seconds:g} ms"
    return (
        f"automatic rollback armed: reads return to ArangoDB if over {budget.errors_percent:g} % of them fail{slow}, "
        f"or after more than {budget.mismatches} confirmed mismatches. Run `crossfade auto-rollback` to see it"
    )


def plain(changed: Changed) -> dict[str, Any]:
    """Return a change as JSON has it."""
    return {
        **asdict(changed),
        "gates": {name: [asdict(gate) for gate in found] for name, found in changed.gates.items()},
    }


def show(changed: Changed, nothing: str) -> None:
    """Print a change; `nothing` if there was none."""
    out = console()
    if not changed.transitions:
        out.print(nothing)
        return
    tables.transitions(out, changed.transitions)
    if changed.dry_run:
        tables.gates(out, changed.gates)
        for one in changed.reached:
            out.print(_reached(one))
        steps = f"the phases {', '.join(changed.phases)}" if changed.phases else "one step"
        out.print(f"nothing was changed; the change takes {steps}")
        for one in changed.unready:
            note(f"it would fail on {one.instance}: {one.trouble}")
        return
    out.print(f"done in {changed.seconds:.2f} s{_acknowledged(changed)}")
    if changed.behind:
        out.print(
            f"[yellow]{', '.join(changed.behind)} has not acknowledged yet[/yellow]; until it does, it refuses reads "
            "from PostgreSQL, so clients are safe"
        )


def _acknowledged(changed: Changed) -> str:
    """Return `; 2/3 proxies on epoch 4 (generation 9)`."""
    number = len(changed.instances)
    if not number:
        return f"; epoch {changed.epoch} (generation {changed.generation})"
    current = len(set(changed.instances) - set(changed.behind))
    proxies = "proxy" if number == 1 else "proxies"
    return f"; {current}/{number} {proxies} on epoch {changed.epoch} (generation {changed.generation})"


def _reached(one: InstanceAnswer) -> str:
    """Return a line of a dry run."""
    if one.trouble:
        return f"[red]{escape(one.instance)}: {escape(one.trouble)}[/red]"
    return (
        f"{escape(one.instance)}: ready at {escape(str(one.admin_url))}, generation {one.generation}, reaches both "
        f"databases, backlog {one.backlog}, lag {one.lag_seconds or 0.0:.1f} s"
    )


def follow(done: str = "acknowledged by every proxy") -> Progress:
    """Print each phase on standard error, and whom it waits for, once each; `done` if for nobody."""
    printed: set[tuple[Phase, tuple[str, ...]]] = set()

    def step(one: EpochStep) -> None:
        names = tuple(waiting.instance for waiting in one.waiting)
        if one.phase is not Phase.IDLE and (one.phase, names) not in printed:
            printed.add((one.phase, names))
            whom = ", ".join(f"{waiting.instance} ({waiting.why})" for waiting in one.waiting)
            note(f"{one.phase}: " + (f"waiting for {whom}" if whom else done))

    return step
