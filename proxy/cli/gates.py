"""gates: what a flip or a promotion needs and what was found; gates limits: the limits that gates apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed
from proxy.carryover.promotion_gates import judge_promotion
from proxy.cli import tables
from proxy.cli.naming import mirrored
from proxy.cli.registration import bundled, group
from proxy.cli.runtime import DONE, REFUSED, Audited, JsonOption, Selection, console, execute, write_json
from proxy.control import gate_inputs, thresholds
from proxy.control.gates.gate_types import Gate, GatedChange
from proxy.control.gates.gates import passed

ChangeOption = Annotated[GatedChange, typer.Option("--for", help="the change that is judged: flip or promotion")]
LimitArgument = Annotated[str, typer.Argument(metavar="LIMIT", help="as `crossfade gates limits` shows it")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    gates = group(
        """Show what a flip or a promotion needs, what was found, and what to do about it.

        `crossfade gates COLLECTION...` checks the gates. `crossfade gates limits` shows and sets the limits that they
        apply.

        Examples:
          crossfade gates shop/orders && crossfade flip shop/orders
          crossfade gates shop/orders --for promotion
          crossfade gates limits
        """,
        default="check",
    )
    gates.command()(check)
    limits = group(
        """Show and set the limits that gates apply, for every operator.

        Examples:
          crossfade gates limits
          crossfade gates limits set slowdown 2 --reason 'a batch service'
          crossfade gates limits reset slowdown
        """,
        default="list",
    )
    limits.command("list")(list_limits)
    limits.command("set")(set_limit)
    limits.command("reset")(reset_limit)
    gates.add_typer(limits, name="limits")
    app.add_typer(gates, name="gates")


@bundled
def check(chosen: Selection, *, change: ChangeOption = GatedChange.FLIP, as_json: JsonOption = False) -> None:
    """Check every gate of collections. Exit code 0 only if all of them pass.

    --for promotion judges the collections as one request: queries may use them together. It reads all their documents.

    Examples:
      crossfade gates check shop/orders --json
      crossfade gates check shop/orders shop/customers --for promotion
    """

    async def go(settings: Settings, connected: Database) -> int:
        names = await mirrored(connected, chosen.collections, chosen.database)
        found = await _judge(connected, settings, change, names)
        if as_json:
            write_json({name: [asdict(gate) for gate in of_it] for name, of_it in found.items()})
        elif found:
            tables.gates(console(), found)
        else:
            console().print("no collection is mirrored: `crossfade mirror DATABASE/COLLECTION` starts one")
        return DONE if found and all(map(passed, found.values())) else REFUSED

    execute(go, as_json=as_json, timeout=30.0 if change is GatedChange.FLIP else None)


async def _judge(
    connected: Database, settings: Settings, change: GatedChange, names: Sequence[str]
) -> Mapping[str, tuple[Gate, ...]]:
    if change is GatedChange.FLIP:
        return await gate_inputs.judge(connected, settings, names)
    if change is GatedChange.COMPLETION:
        raise PreconditionFailed("the gates of a completion: `crossfade complete COLLECTION --archive DIR --dry-run`")
    async with OriginClient(settings.origin_url, *settings.origin_account) as origin:
        return await judge_promotion(connected, settings, origin, names)


def list_limits(*, as_json: JsonOption = False) -> None:
    """Show the limits that gates apply, and who set them.

    Example:
      crossfade gates limits list --json
    """

    async def go(_: Settings, connected: Database) -> int:
        found = await thresholds.listed(connected)
        if as_json:
            write_json([{**asdict(one), "about": thresholds.MEANINGS[one.name]} for one in found])
            return DONE
        shown = tables.table("limits of gates", "limit", "value", "meaning", "set by", right=("value",))
        for one in found:
            by = escape(f"{one.actor}: {one.reason}") if one.actor else "default"
            shown.add_row(one.name, f"{one.value:g}", thresholds.MEANINGS[one.name], by)
        console().print(shown)
        return DONE

    execute(go, as_json=as_json)


@bundled
def set_limit(
    name: LimitArgument, value: Annotated[float, typer.Argument(metavar="VALUE", help="its new value")], how: Audited
) -> None:
    """Set a limit for every operator; it overrides the default. Needs --reason.

    Example:
      crossfade gates limits set shape_comparisons 100 --reason 'quiet'
    """

    async def go(_: Settings, connected: Database) -> int:
        await thresholds.put(connected, name, value, actor=how.who, reason=how.required_reason("setting a limit"))
        if how.as_json:
            write_json({"limit": name, "value": value})
        else:
            console().print(f"{name} is {value:g} now and overrides the default")
        return DONE

    execute(go, as_json=how.as_json)


@bundled
def reset_limit(name: LimitArgument, how: Audited) -> None:
    """Remove a limit that was set: the default applies again.

    Example:
      crossfade gates limits reset slowdown
    """

    async def go(_: Settings, connected: Database) -> int:
        gone = await thresholds.reset(connected, name, actor=how.who, reason=how.reason)
        if how.as_json:
            write_json({"limit": name, "reset": gone})
        else:
            console().print(f"{name} has its default again" if gone else f"{name} was not set")
        return DONE if gone else REFUSED

    execute(go, as_json=how.as_json)
