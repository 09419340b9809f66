"""flip: serve reads from PostgreSQL. The way back: `rollback`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.cli.naming import expand
from proxy.cli.registration import bundled
from proxy.cli.runtime import Collections, StageOptions, execute, note
from proxy.cli.stage_change import change
from proxy.control import gate_inputs
from proxy.control.gates.gate_types import Gate
from proxy.control.gates.gates import blocking
from proxy.control.rollback_budgets import RollbackBudget
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import CollectionState, Stage
from proxy.operator import status

_DEFAULT: Final = RollbackBudget()
_POLL: Final = 2.0  # seconds between two evaluations of the gates
_GATES: Final = "Gates"
_AUTO_ROLLBACK: Final = "Automatic rollback"

WaitForInstances = Annotated[
    bool,
    typer.Option(
        "--wait-for-instances/--no-wait-for-instances",
        help="wait until every proxy has confirmed, which is the default",
        show_default=False,
        rich_help_panel="Proxies",
    ),
]


@dataclass(frozen=True)
class GateOptions:
    """Options for gates that do not pass."""

    wait_for_gates: Annotated[
        bool,
        typer.Option(
            "--wait-for-gates",
            help="wait until every gate passes; show which do not yet",
            rich_help_panel=_GATES,
        ),
    ] = False
    gate_timeout: Annotated[
        float,
        typer.Option(
            "--gate-timeout", metavar="SECONDS", min=1, help="how long --wait-for-gates waits", rich_help_panel=_GATES
        ),
    ] = 3600
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="ignore gates, except those that keep reads current; needs --reason", rich_help_panel=_GATES
        ),
    ] = False


@dataclass(frozen=True)
class AutoRollbackOptions:
    """The budget of an automatic rollback."""

    auto_rollback: Annotated[
        bool,
        typer.Option(
            "--auto-rollback", help="let proxies roll back if a limit is exceeded", rich_help_panel=_AUTO_ROLLBACK
        ),
    ] = False
    max_error_percent: Annotated[
        float,
        typer.Option(
            "--max-error-percent",
            metavar="P",
            min=0,
            max=100,
            help="share of reads that may fail",
            rich_help_panel=_AUTO_ROLLBACK,
        ),
    ] = _DEFAULT.errors_percent
    max_p99_ms: Annotated[
        float,
        typer.Option(
            "--max-p99-ms",
            metavar="MS",
            min=0,
            help="99th percentile of the latency of reads; 0: no limit",
            rich_help_panel=_AUTO_ROLLBACK,
        ),
    ] = 250
    max_mismatches: Annotated[
        int,
        typer.Option(
            "--max-mismatches",
            metavar="N",
            min=0,
            help="confirmed mismatches that are allowed",
            rich_help_panel=_AUTO_ROLLBACK,
        ),
    ] = _DEFAULT.mismatches

    @property
    def budget(self) -> RollbackBudget | None:
        """The budget; None without --auto-rollback."""
        if not self.auto_rollback:
            return None
        return RollbackBudget(self.max_error_percent, self.max_p99_ms / 1000 or None, self.max_mismatches)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(flip)


@bundled
def flip(
    chosen: Collections,
    *,
    percent: Annotated[
        int, typer.Option("--percent", metavar="P", min=1, max=100, help="share of reads that PostgreSQL serves")
    ] = 100,
    wait_for_instances: WaitForInstances = True,
    how: StageOptions,
    gates: GateOptions,
    limits: AutoRollbackOptions,
) -> None:
    """Serve reads of collections from PostgreSQL. Every gate of every collection must pass.

    Several collections flip together or not at all. --dry-run also asks every proxy whether it is ready. `crossfade
    rollback` undoes a flip within seconds.

    Examples:
      crossfade flip shop/orders --dry-run
      crossfade flip shop/orders --percent 10 --auto-rollback
      crossfade flip shop/orders shop/customers --wait-for-gates
    """

    async def go(settings: Settings, connected: Database) -> int:
        names = await expand(
            connected,
            chosen.collections,
            chosen.database,
            lambda s: s.stage in (Stage.SHADOW, Stage.FLIPPED),
            "at stage shadow or flipped",
        )
        if gates.wait_for_gates and not how.dry_run:

            async def judge() -> Mapping[str, Sequence[Gate]]:
                known = await status.collection_states(connected)
                ahead = [name for name in names if _raises(known.get(name, CollectionState()), percent)]
                return await gate_inputs.judge(connected, settings, ahead)

            await until_gates_pass(judge, force=gates.force, timeout=gates.gate_timeout)
        return await change(
            connected,
            [DesiredState(name, Stage.FLIPPED, percent) for name in names],
            how,
            settings=settings,
            force=gates.force,
            wait=wait_for_instances,
            budget=limits.budget,
        )

    execute(go, as_json=how.as_json)


async def until_gates_pass(
    judge: Callable[[], Awaitable[Mapping[str, Sequence[Gate]]]], *, force: bool, timeout: float
) -> None:
    """Evaluate the gates again and again, and print on standard error those that block, each time that they change.

    Return when none blocks, or at the time-out: then the change itself refuses, and names each.
    """
    until = time.monotonic() + timeout
    printed: list[str] | None = None
    while True:
        judged = await judge()
        found = [(name, gate) for name, gates in judged.items() for gate in blocking(gates, force=force)]
        still = [f"{name}: {gate.name}" for name, gate in found]
        if still != printed:
            for name, gate in found:
                note(f"waiting: {name}: {gate.name} is {gate.verdict} ({gate.figures}): {gate.remedy}")
            printed = still
        if not found or time.monotonic() > until:
            return
        await asyncio.sleep(min(_POLL, max(0.0, until - time.monotonic())))


def _raises(state: CollectionState, percent: int) -> bool:
    """Return True if the flip lets more reads go to PostgreSQL: only then gates are judged."""
    return state.stage is not Stage.FLIPPED or state.weight < percent
