"""accounts: ArangoDB's users, their passwords and levels, copied into PostgreSQL."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.token_secret import token_secret
from proxy.carryover.account_copy import compare_accounts, copy_accounts
from proxy.carryover.account_plan import AccountPlan
from proxy.carryover.server_reading import OriginServer, read_server
from proxy.cli.registration import bundled, group
from proxy.cli.runtime import DONE, REFUSED, ChangeOptions, console, execute, plural, write_json

_TIMEOUT: Final = 30.0  # seconds for each request to ArangoDB
_COLOUR: Final = {"new": "green", "changed": "yellow", "gone": "red"}


def register(app: typer.Typer) -> None:
    """Add the group."""
    accounts = group(
        """Copy the accounts of clients: users, passwords, levels.

        Examples:
          crossfade accounts copy --dry-run
          crossfade accounts copy
        """
    )
    accounts.command()(copy)
    app.add_typer(accounts, name="accounts")


@bundled
def copy(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="change nothing, and exit with code 1 if the accounts differ")
    ] = False,
    how: ChangeOptions,
) -> None:
    """Copy ArangoDB's accounts into PostgreSQL: users, salted hashes of passwords, levels.

    Run it before collections are promoted, and again whenever users have changed in ArangoDB: nobody needs a new
    password. PostgreSQL's accounts become a mirror, so that users that ArangoDB does not have are removed; --dry-run
    names them. Running proxies notice within a second. Access tokens cannot be copied: ArangoDB does not show them.
    Tokens that ArangoDB issued stay valid if CROSSFADE_JWT_SECRET or CROSSFADE_JWT_SECRET_FILE is its secret; otherwise
    clients log in again. Crossfade's account needs `rw` on `_system`.

    Examples:
      crossfade accounts copy --dry-run
      crossfade accounts copy --reason 'before the promotion of shop'
      crossfade accounts copy --check --json
    """

    async def go(settings: Settings, connected: Database) -> int:
        secret = token_secret(settings)
        async with OriginClient(settings.origin_url, *settings.origin_account, timeout=_TIMEOUT) as client:
            origin = await read_server(client, settings.origin_user)
        changing = not (check or how.dry_run)
        if changing:
            plan = await copy_accounts(connected, origin, secret, actor=how.who, reason=how.reason)
        else:
            plan = await compare_accounts(connected, origin, secret)
        if how.as_json:
            write_json(
                {
                    "users": len(origin.accounts),
                    "changes": [asdict(one) for one in plan.changes],
                    "unusable": dict(origin.unusable),
                    "access_tokens": list(origin.with_tokens),
                    "dry_run": not changing,
                }
            )
        else:
            _show(console(), origin, plan, changed=changing)
        return REFUSED if check and plan.changes else DONE

    execute(go, as_json=how.as_json)


def _show(out: Console, origin: OriginServer, plan: AccountPlan, *, changed: bool) -> None:
    for one in plan.changes:
        colour = _COLOUR[one.change]
        what = f": {', '.join(one.what)}" if one.what else ""
        out.print(f"[{colour}]{one.change:7}[/{colour}] {one.kind} {escape(one.name)}{escape(what)}", soft_wrap=True)
    for name, why in origin.unusable.items():
        out.print(f"[yellow]ignored[/yellow] {escape(name)}: {escape(why)}", soft_wrap=True)
    if origin.with_tokens:
        names = escape(", ".join(origin.with_tokens))
        out.print(f"access tokens are not copied, create them again for: {names}", soft_wrap=True)
    users = plural(len(origin.accounts), "user")
    if not plan.changes:
        out.print(f"{users}: PostgreSQL has the accounts of ArangoDB")
    elif changed:
        out.print(f"{users}: PostgreSQL now has the accounts of ArangoDB")
    else:
        out.print("nothing was changed: run `crossfade accounts copy`")
