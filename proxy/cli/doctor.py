"""doctor: check what must be in place, and state what to do about each failure."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import typer
from rich.markup import escape

import sql
from proxy import __version__
from proxy.base.arango_client import OriginClient, ask_instance
from proxy.base.config import Settings, load
from proxy.base.database import Database
from proxy.base.errors import (
    ArangoError,
    ConfigurationError,
    DatabaseError,
    DatabaseTimedOut,
    DatabaseUnavailable,
    SchemaOutdated,
    UpstreamError,
)
from proxy.cli.runtime import DONE, REFUSED, UNUSABLE, JsonOption, console, fail, write_json
from proxy.operator import migrate, status
from proxy.stores.postgres.compiled_queries import has_icu

_OLDEST_POSTGRESQL: Final = 15
_OLDEST_ARANGODB: Final = (3, 12)
_OF_POOLERS: Final = frozenset({"26000", "34000", "42P05"})
_CUT: Final = "08"  # it takes no transactions
_NO_RIGHT: Final = "42501"
_ANOTHER_ROLE: Final = "run every part of Crossfade as the role that ran `crossfade migrate`, which owns the schemas"
_ASK: Final = 4.0  # seconds
_COLOUR: Final = {"ok": "green", "warn": "yellow", "fail": "red"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be in place. verdict: ok, warn or fail; remedy: what to do, empty if ok."""

    name: str
    verdict: str
    found: str
    remedy: str = ""
    unusable: bool = False  # without it no other command works either


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(*, as_json: JsonOption = False) -> None:
    """Check PostgreSQL, ArangoDB, the state directory and the proxies; state what to do about each.

    Example:
      crossfade doctor || echo 'not ready'
    """
    try:
        checks = asyncio.run(examine(load()))
    except ConfigurationError as error:
        raise fail(error, as_json=as_json) from error
    if as_json:
        write_json([asdict(check) for check in checks])
    else:
        out = console()
        for check in checks:
            colour = _COLOUR[check.verdict]
            out.print(f"[{colour}]{check.verdict:4}[/{colour}]  {escape(check.name)}: {escape(check.found)}")
            if check.remedy:
                out.print(f"      {escape(check.remedy)}")
    failed = [check for check in checks if check.verdict == "fail"]
    if any(check.unusable for check in failed):
        raise typer.Exit(UNUSABLE)
    raise typer.Exit(REFUSED if failed else DONE)


async def examine(settings: Settings) -> list[Check]:
    """Return the results of all checks, in order. No check raises."""
    database = await Database.open(settings.postgresql_dsn, size=2, timeout=10.0, application="crossfade doctor")
    try:
        checks = await _postgresql(database)
        reachable = checks[0].verdict == "ok"
        checks += await _origin(settings)
        checks.append(_state(settings.state_dir))
        if reachable and not any(check.unusable and check.verdict == "fail" for check in checks):
            checks += await _instances(database)
        return checks
    finally:
        await database.close()


async def _postgresql(database: Database) -> list[Check]:
    try:
        number = await database.fetchval(sql.server.VERSION)
    except DatabaseError as error:
        if error.sqlstate:
            remedy = "PostgreSQL runs: check CROSSFADE_DSN, its user, and poolers or firewalls in between"
            return [Check("PostgreSQL", "fail", f"answers, and refuses: {error}", remedy, unusable=True)]
        remedy = "set CROSSFADE_DSN to a running PostgreSQL 15 or newer"
        return [Check("PostgreSQL", "fail", f"does not answer: {error}", remedy, unusable=True)]
    major = number // 10_000
    checks = [
        Check("PostgreSQL", "ok", f"version {major}.{number % 10_000}")
        if major >= _OLDEST_POSTGRESQL
        else Check("PostgreSQL", "fail", f"version {major}", f"version {_OLDEST_POSTGRESQL} or newer is needed")
    ]
    checks.append(await _guarded("sessions", lambda: _sessions(database)))
    checks.append(await _guarded("rights", lambda: _rights(database)))
    checks.append(await _guarded("schema", lambda: _schema(database)))
    if checks[-1].verdict == "ok":
        checks.append(await _guarded("string order", lambda: _icu(database)))
    return checks


async def _guarded(name: str, look: Callable[[], Awaitable[Check]]) -> Check:
    try:
        return await look()
    except SchemaOutdated as error:
        return Check(name, "fail", str(error), "run `crossfade migrate`", unusable=True)
    except DatabaseError as error:
        remedy = _ANOTHER_ROLE if error.sqlstate == _NO_RIGHT else "see PostgreSQL's log"
        return Check(name, "fail", f"cannot be checked: {error}", remedy, unusable=True)


async def _sessions(database: Database) -> Check:
    """Check that a session stays on one server process as long as it is open, and may write."""
    try:
        pooled = await _pooled(database)
    except DatabaseUnavailable as error:
        if error.sqlstate not in _OF_POOLERS and error.sqlstate[:2] != _CUT:
            raise
        pooled = True
    if pooled:
        remedy = (
            "connect directly, or through a pooler in session mode: locks and prepared statements belong to a session"
        )
        return Check("sessions", "fail", "a pooler in transaction or statement mode shares them", remedy, unusable=True)
    if await database.fetchval(sql.server.READ_ONLY):
        remedy = "`default_transaction_read_only` is on for the role, the database or the server: turn it off"
        return Check("sessions", "fail", "PostgreSQL takes no writes", remedy)
    return Check("sessions", "ok", "not shared, and may write")


async def _pooled(database: Database) -> bool:
    """Return True if one session changes its server process while another one is in a transaction."""
    async with database.session() as one, database.session() as other:
        first = await one.fetchval(sql.server.PROCESS)
        async with other.transaction():
            await other.fetchval(sql.server.PROCESS)
            try:
                return await one.fetchval(sql.server.PROCESS) != first
            except DatabaseTimedOut:  # the pooler has only one server process, which the transaction holds
                return True


async def _rights(database: Database) -> Check:
    """Check that the role may create schemas: it owns them and the tables in them, and needs no other right."""
    remedy = await database.fetchval(sql.server.MISSING_RIGHT)
    if remedy:
        return Check("rights", "fail", "the role may not create schemas", f"run as the owner of the database: {remedy}")
    return Check("rights", "ok", "the role may create schemas")


async def _schema(database: Database) -> Check:
    await migrate.require_migrated(database)
    return Check("schema", "ok", "of this version")


async def _icu(database: Database) -> Check:
    if await has_icu(database):
        return Check("string order", "ok", "PostgreSQL has ICU")
    remedy = (
        "the proxy then evaluates string order, which is slower; a PostgreSQL built with ICU, into which the schema is "
        "migrated from scratch, avoids that"
    )
    return Check("string order", "warn", "PostgreSQL had no ICU when the schema was created", remedy)


async def _origin(settings: Settings) -> list[Check]:
    where = settings.origin_address
    async with OriginClient(settings.origin_url, *settings.origin_account) as client:
        try:
            version = await client.version()
            databases = await client.databases()
        except UpstreamError as error:
            remedy = "set CROSSFADE_ORIGIN to the URL of ArangoDB"
            return [Check("ArangoDB", "fail", f"{where} does not answer: {error}", remedy)]
        except ArangoError as error:
            remedy = "set CROSSFADE_ORIGIN_USER and CROSSFADE_ORIGIN_PASSWORD to an account that may read everything"
            return [Check("ArangoDB", "fail", f"{where} refuses {settings.origin_user}: {error.message}", remedy)]
    checks = [Check("ArangoDB", "ok", f"{version.server} {version.version} at {where}, {len(databases)} databases")]
    if _version(version.version) < _OLDEST_ARANGODB:
        remedy = (
            "before 3.12 a revision may be given before the key is locked: transactions may be mirrored out of order"
        )
        checks.append(Check("ArangoDB's version", "warn", version.version, remedy))
    return checks


def _version(text: str) -> tuple[int, ...]:
    """Return the first two numbers; (0,) if it has none."""
    parts = text.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else (0,)


def _state(folder: Path) -> Check:
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        remedy = "set CROSSFADE_STATE_DIR to a folder on a disk of this machine that the proxy may write"
        return Check("state directory", "fail", f"{folder} cannot be written", remedy)
    if (folder / "origin-only").exists():
        remedy = f"remove {folder / 'origin-only'}: while it exists, this instance is diverged and nothing flips"
        return Check("state directory", "warn", "origin-only is set", remedy)
    return Check("state directory", "ok", str(folder))


async def _instances(database: Database) -> list[Check]:
    try:
        found = [one for one in await status.instances(database) if one.stopped_at is None]
    except DatabaseError as error:
        return [Check("instances", "fail", f"cannot be checked: {error}", "see PostgreSQL's log")]
    if not found:
        return [Check("instances", "warn", "none is registered", "start one with `crossfade proxy run`")]
    checks = []
    for one in found:
        name = f"instance {one.instance}"
        if one.state == "live" and (waits := await _waits_for(one)):
            found_there = f"backlog {one.backlog}, which waits for PostgreSQL: {waits}"
            checks.append(Check(name, "fail", found_there, "it drains by itself when PostgreSQL takes its writes"))
        elif one.state == "live" and one.version != __version__:
            remedy = "restart it with this version, or use the command of its version: the schema may have changed"
            checks.append(Check(name, "warn", f"runs version {one.version}, this command {__version__}", remedy))
        elif one.state == "live":
            checks.append(Check(name, "ok", f"backlog {one.backlog}, lag {one.lag_seconds:.1f} s"))
        elif one.state == "silent":
            remedy = f"start it again, or `crossfade instances evict {one.instance} --confirmed-stopped`"
            checks.append(Check(name, "fail", f"silent for {one.heartbeat_age:.0f} s", remedy))
        else:
            remedy = "see its log; it recovers by itself when its backlog is drained"
            checks.append(Check(name, "fail", "diverged", remedy))
    return checks


async def _waits_for(one: sql.control.InstanceRow) -> str:
    """Return why an instance's backlog does not drain, as it reports it; empty if it drains or cannot be asked."""
    if not one.backlog or one.admin_url is None:
        return ""
    try:
        said = await ask_instance(one.admin_url, "/check", {}, timeout=_ASK)
    except UpstreamError:
        return ""
    return "; ".join(said.get("waits_for", ()))
