"""migrate, proxy run: the first commands of an installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proxy.base.config import Settings, load
from proxy.base.database import Database
from proxy.base.errors import CrossfadeError
from proxy.cli.registration import group
from proxy.cli.runtime import DONE, DryRunOption, JsonOption, console, execute, fail, write_json
from proxy.operator import migrate as migrations


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(migrate)
    proxy = group(
        """Run the sidecar proxy.

        Example:
          crossfade proxy run --port 8530
        """
    )
    proxy.command("run")(run)
    app.add_typer(proxy, name="proxy")


def migrate(
    *,
    phase: Annotated[
        str, typer.Option("--phase", metavar="pre|all", help="pre; all adds the constraints that close the migration")
    ] = "pre",
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring PostgreSQL's schema up to date. It is safe to run twice, and concurrently on several machines.

    Example:
      CROSSFADE_DSN=postgresql://db/crossfade crossfade migrate
    """
    if phase not in ("pre", "all"):
        raise typer.BadParameter("pre or all", param_hint="--phase")

    async def go(_: Settings, connected: Database) -> int:
        phases = ("pre", "post") if phase == "all" else ("pre",)
        report = await migrations.apply(connected, dry_run=dry_run, phases=phases)
        names = [f"{m.number:04}_{m.phase}_{m.name}" for m in report.applied]
        if as_json:
            write_json({"before": len(report.before), "applied": names, "dry_run": dry_run})
        elif not names:
            console().print(f"the schema is up to date ({len(report.before)} migrations)")
        else:
            for name in names:
                console().print(f"{'would apply' if dry_run else 'applied'} {name}")
        return DONE

    execute(go, as_json=as_json, migrated=False, timeout=None)


def run(
    *,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="port for clients; by default CROSSFADE_LISTEN_PORT")
    ] = None,
    admin_port: Annotated[
        int | None,
        typer.Option(
            "--admin-port", min=0, max=65535, help="port of the admin listener; by default CROSSFADE_ADMIN_PORT"
        ),
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option("--state-dir", help="folder of the journal; by default CROSSFADE_STATE_DIR")
    ] = None,
) -> None:
    """Run one proxy until SIGTERM or Ctrl-C. Settings come from CROSSFADE_* and the file CROSSFADE_CONFIG.

    Example:
      CROSSFADE_ORIGIN=http://arangodb:8529 crossfade proxy run
    """
    given = {"listen_port": port, "admin_port": admin_port, "state_dir": state_dir}
    try:
        settings = load(**{name: value for name, value in given.items() if value is not None})
        from proxy.app import run as run_proxy  # noqa: PLC0415 - imports everything; others start faster without it

        run_proxy(settings)
    except CrossfadeError as error:
        raise fail(error) from error
