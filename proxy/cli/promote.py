"""promote: PostgreSQL takes the writes of flipped collections; demote: ArangoDB takes them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.token_secret import token_secret
from proxy.carryover.group_handover import GroupHandover
from proxy.carryover.promotion_gates import judge_promotion
from proxy.cli.flip import WaitForInstances, until_gates_pass
from proxy.cli.naming import expand
from proxy.cli.registration import bundled
from proxy.cli.runtime import DONE, REFUSED, Collections, StageOptions, console, execute, note, write_json
from proxy.cli.stage_change import follow, plain, show
from proxy.complete.catalog_cache import CatalogCache
from proxy.control.controller import Changed
from proxy.control.gates.gate_types import GatedChange
from proxy.control.gates.gates import blocking, refusal
from proxy.control.promotion import demote as demotion
from proxy.control.promotion import promote as promotion
from proxy.model.revision import Clock
from proxy.model.stages import Stage
from proxy.operator import status

_TIMEOUT: Final = 10.0  # seconds for each request to ArangoDB
_GATES: Final = "Gates"


@dataclass(frozen=True)
class PromotionGates:
    """Options for gates that do not pass."""

    wait: Annotated[
        bool,
        typer.Option("--wait", help="wait until every gate passes; show which do not yet", rich_help_panel=_GATES),
    ] = False
    gate_timeout: Annotated[
        float,
        typer.Option("--gate-timeout", metavar="SECONDS", min=1, help="how long --wait waits", rich_help_panel=_GATES),
    ] = 3600
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="ignore gates, except those that keep writes; needs --reason", rich_help_panel=_GATES
        ),
    ] = False


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(promote)
    app.command()(demote)


LongPause = Annotated[
    bool,
    typer.Option(
        "--long-pause",
        help="also with unique indexes and more than 5,000 documents: writes wait until PostgreSQL has built these",
    ),
]


@bundled
def promote(
    chosen: Collections,
    *,
    long_pause: LongPause = False,
    wait_for_instances: WaitForInstances = True,
    how: StageOptions,
    gates: PromotionGates,
) -> None:
    """Let PostgreSQL take the writes of flipped collections. Every gate of every collection must pass.

    Several collections are promoted together or not at all; a query that writes to one may read the others then. Their
    writes wait for a moment at every proxy: they are carried out by PostgreSQL after it, or by ArangoDB if the
    promotion is aborted. ArangoDB's users lose the right to write these collections, and what PostgreSQL writes is
    carried to ArangoDB, so that `crossfade demote` can undo it at any time, without a loss.

    --dry-run checks the gates and asks every proxy whether it is ready. Run `crossfade accounts copy` before.

    Examples:
      crossfade promote shop/orders --dry-run
      crossfade promote shop/orders shop/customers --reason 'the last step'
      crossfade promote 'shop/*' --wait
    """

    async def go(settings: Settings, connected: Database) -> int:
        names = await expand(
            connected,
            chosen.collections,
            chosen.database,
            lambda state: state.stage in (Stage.FLIPPED, Stage.PROMOTED),
            "at stage flipped or promoted",
        )
        async with OriginClient(settings.origin_url, *settings.origin_account, timeout=_TIMEOUT) as origin:

            async def judge(ahead: Sequence[str]) -> promotion.Gates:
                return await judge_promotion(connected, settings, origin, ahead) if ahead else {}

            async def of_flipped() -> promotion.Gates:
                known = await status.collection_states(connected)
                return await judge([name for name in names if known[name].stage is Stage.FLIPPED])

            if gates.wait and not how.dry_run:
                await until_gates_pass(of_flipped, force=gates.force, timeout=gates.gate_timeout)
            changed = await promotion.promote(
                connected,
                names,
                settings=settings,
                origin=origin,
                handover=lambda ahead: GroupHandover(
                    connected, origin, _catalogs(connected, settings), ahead, long_pause=long_pause
                ),
                judge=judge,
                refusal=lambda found: refusal(found, force=gates.force, change=GatedChange.PROMOTION),
                actor=how.who,
                reason=how.required_reason("--force") if gates.force else how.reason,
                dry_run=how.dry_run,
                wait=wait_for_instances,
                timeout=how.timeout,
                progress=follow() if not how.as_json else lambda _: None,
            )
        refused = bool(changed.unready) or any(blocking(of, force=gates.force) for of in changed.gates.values())
        return _report(changed, names, how, refused=refused, undone_by="demote", nothing="Already promoted")

    execute(go, as_json=how.as_json, timeout=None)


@bundled
def demote(chosen: Collections, *, wait_for_instances: WaitForInstances = True, how: StageOptions) -> None:
    """Let ArangoDB take the writes of promoted collections again; PostgreSQL goes on to serve their reads.

    No gates. What ArangoDB lacks is carried first, as far as possible while writes go on, and for no longer than
    --timeout; then writes wait for a moment, until the rest is carried. ArangoDB's users get their rights back. Nothing
    is lost. `crossfade rollback` then lets ArangoDB serve the reads too.

    Examples:
      crossfade demote shop/orders --dry-run
      crossfade demote shop/orders shop/customers --reason 'a look back'
      crossfade demote 'shop/*' --timeout 600
    """

    async def go(settings: Settings, connected: Database) -> int:
        names = await expand(
            connected,
            chosen.collections,
            chosen.database,
            lambda state: state.stage is Stage.PROMOTED,
            "promoted",
        )
        async with OriginClient(settings.origin_url, *settings.origin_account, timeout=_TIMEOUT) as origin:
            if how.dry_run:
                found = await demotion.demotable(connected, names, origin)
                if not how.as_json:
                    note(f"ArangoDB lacks {found.lacking:,} writes, and its clock is {found.behind:.3f} s behind")
            changed = await demotion.demote(
                connected,
                names,
                settings=settings,
                origin=origin,
                actor=how.who,
                reason=how.reason,
                dry_run=how.dry_run,
                wait=wait_for_instances,
                timeout=how.timeout,
                progress=follow("ArangoDB has every write") if not how.as_json else lambda _: None,
            )
        nothing = "ArangoDB takes the writes already"
        return _report(changed, names, how, refused=False, undone_by="promote", nothing=nothing)

    execute(go, as_json=how.as_json, timeout=None)


def _catalogs(connected: Database, settings: Settings) -> CatalogCache:
    return CatalogCache(
        connected,
        Clock(),
        root_password=settings.root_password.get_secret_value() if settings.authentication else "",
        enforced=settings.authentication,
        secret=token_secret(settings),
        embedded=True,
    )


def _report(
    changed: Changed, names: Sequence[str], how: StageOptions, *, refused: bool, undone_by: str, nothing: str
) -> int:
    """Print the result, or write it with the next step. Return the exit code."""
    listed = " ".join(names)
    command = "promote" if undone_by == "demote" else "demote"
    if not how.dry_run:
        step = f"crossfade status; `crossfade {undone_by} {listed}` undoes it"
    elif refused:
        step = f"do what the gates and proxies need, then crossfade {command} {listed} --dry-run"
    else:
        step = f"crossfade {command} {listed}"
    if how.as_json:
        write_json({**plain(changed), "next": step} | ({"would_be_refused": refused} if how.dry_run else {}))
    else:
        show(changed, f"{nothing}: nothing to change")
        if changed.transitions:
            console().print(f"next: {step}", soft_wrap=True, markup=False)
    return REFUSED if how.dry_run and refused else DONE
