"""`crossfade complete`. Exit codes as of every change; 1 also if the certificate does not hold."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

import sql
from backfill.archive.progress import shown
from backfill.archive.storage import write_atomically
from backfill.completion import certificate_page, sides
from backfill.completion.certificate import Certificate
from backfill.completion.gate_evidence import Judged, judge
from backfill.completion.sides import Compared
from backfill.migration_report.settings import versions
from backfill.source import ArangoSource
from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings
from proxy.base.database import Database, Session
from proxy.base.errors import ArangoError, ConfigurationError, CrossfadeError, PreconditionFailed, UpstreamError
from proxy.cli.naming import expand
from proxy.cli.registration import bundled
from proxy.cli.runtime import DONE, REFUSED, DatabaseOption, StageOptions, console, execute, note, write_json
from proxy.cli.stage_change import follow, plain, show
from proxy.control.controller import Changed
from proxy.control.gates.gate_types import GatedChange
from proxy.control.gates.gates import blocking, refusal
from proxy.control.promotion import complete as completion
from proxy.control.promotion.promote import Gates
from proxy.model.stages import Stage
from proxy.operator import status
from proxy.state import audit

_TIMEOUT: Final = 10.0  # seconds for each request to ArangoDB
_SUFFIXES: Final = (".json", ".html")
_LEFT: Final = 5  # collections in a message


@dataclass(frozen=True)
class CompletionOptions:
    """What a completion rests on."""

    archive: Annotated[
        Path | None, typer.Option("--archive", metavar="DIR", help="the final archive, which is read whole")
    ] = None
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate",
            metavar="FILE",
            help="write the certificate: FILE ends with .json or .html; repeat for both",
        ),
    ] = None
    force: Annotated[bool, typer.Option("--force", help="ignore gates that do not pass; needs --reason")] = False


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(complete)


@bundled
def complete(
    collections: Annotated[
        list[str] | None,
        typer.Argument(metavar="COLLECTION", help="database/name, or name with --database; database/* for all"),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="every collection; all of them must be promoted")] = False,
    database: DatabaseOption = "_system",
    how: StageOptions,
    options: CompletionOptions,
) -> None:
    """End the move of promoted collections: ArangoDB gets no more of their writes. There is no way back but an archive.

    The gates come first: promoted for days, nothing needed ArangoDB since, a final archive, both databases read and
    equal, and by name what PostgreSQL does not get. Writes wait for a moment while ArangoDB gets the last of them.

    Once every collection is complete, no proxy opens a connection to ArangoDB: end it, and leave CROSSFADE_ORIGIN out.
    --certificate documents it: gates, checksums of both databases at that moment, archive, audit, versions.

    Examples:
      crossfade archive export shop/orders --to /backup/final --from postgresql
      crossfade complete shop/orders --archive /backup/final --dry-run
      crossfade complete --all --archive /backup/final --certificate end.html
    """

    async def go(settings: Settings, connected: Database) -> int:
        _require_writable(options.certificate)
        names = await _names(connected, collections, database, everything=everything)
        return await _Command(settings, connected, how, options).run(names)

    execute(go, as_json=how.as_json, timeout=None)


async def _names(connected: Database, given: Sequence[str] | None, database: str, *, everything: bool) -> list[str]:
    """Return the collections that are meant. Raise PreconditionFailed if there are none, or not all are promoted."""
    if everything == bool(given):
        raise PreconditionFailed("name collections, or pass --all")
    if given:
        return await expand(
            connected, given, database, lambda s: s.stage.at_least(Stage.PROMOTED), "at stage promoted or complete"
        )
    known = await status.present(connected)
    apart = [name for name, state in known.items() if not state.stage.at_least(Stage.PROMOTED)]
    if apart or not known:
        more = f" and {len(apart) - _LEFT} more" if len(apart) > _LEFT else ""
        what = f"{', '.join(apart[:_LEFT])}{more} are not promoted" if apart else "no collection is known"
        raise PreconditionFailed(f"{what}: `crossfade promote` comes first, `crossfade status` shows the stages")
    return list(known)


def _require_writable(path: Path | None) -> None:
    if path is None:
        return
    if path.suffix not in _SUFFIXES:
        raise PreconditionFailed(f"{path}: a certificate is a file .json or .html")
    if not path.parent.is_dir():
        raise PreconditionFailed(f"{path} cannot be written: there is no folder {path.parent}")


class _Command:
    """One run of the command."""

    def __init__(self, settings: Settings, database: Database, how: StageOptions, options: CompletionOptions) -> None:
        self._settings = settings
        self._database = database
        self._how = how
        self._options = options
        self._judged = Judged()
        self._rest = contextlib.AsyncExitStack()  # the snapshot of PostgreSQL at rest
        self._session: Session | None = None

    async def run(self, names: Sequence[str]) -> int:
        how, options = self._how, self._options
        reason = how.required_reason("--force") if options.force else how.reason
        async with self._rest, self._opened() as (origin, source):

            async def judge_all(ahead: Sequence[str]) -> Gates:
                if ahead:
                    with shown("read", quiet=how.as_json) as progress:
                        self._judged = await judge(self._database, origin, source, ahead, options.archive, progress)
                return self._judged.gates

            changed = await completion.complete(
                self._database,
                names,
                settings=self._settings,
                judge=judge_all,
                refusal=lambda found: refusal(found, force=options.force, change=GatedChange.COMPLETION),
                actor=how.who,
                reason=reason,
                dry_run=how.dry_run,
                timeout=how.timeout,
                progress=follow("ArangoDB has every write") if not how.as_json else lambda _: None,
                at_rest=self._keep,
            )
            made = None
            if options.certificate is not None and changed.transitions and not how.dry_run:
                made = await self._certify(changed, source, reason)
        return await self._report(changed, made)

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[OriginClient, ArangoSource]]:
        settings = self._settings
        source = ArangoSource(settings.origin_url, *settings.origin_account, retry_seconds=_TIMEOUT)
        try:
            async with OriginClient(settings.origin_url, *settings.origin_account, timeout=_TIMEOUT) as origin:
                yield origin, source
        finally:
            await source.close()

    async def _keep(self) -> None:
        """Keep a snapshot of PostgreSQL from the moment at which both databases are equal and nobody writes."""
        if self._options.certificate is None:
            return
        session = await self._rest.enter_async_context(self._database.session())
        await self._rest.enter_async_context(session.transaction(isolation="repeatable_read", readonly=True))
        await session.fetchval(sql.server.ALIVE)  # the first statement takes the snapshot
        self._session = session

    async def _certify(self, changed: Changed, source: ArangoSource, reason: str | None) -> Certificate:
        """Read both databases as they were at rest, and write the certificate."""
        assert self._session is not None
        names = tuple(transition.collection for transition in changed.transitions)
        compared: list[Compared] = []
        trouble = ""
        try:
            for name in names:
                row = await self._session.fetchrow(sql.collections.FIND, name)
                if row is not None:
                    compared.append(await sides.compare(self._session, row.relation, source, name))
        except (ArangoError, UpstreamError, ConfigurationError) as error:
            trouble = f"ArangoDB could not be read: {error}"
        arangodb = None
        with contextlib.suppress(CrossfadeError):
            account = (self._settings.origin_url, *self._settings.origin_account)
            async with OriginClient(*account, timeout=_TIMEOUT) as origin:
                arangodb = (await origin.version()).version
        made = Certificate(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            actor=self._how.who,
            reason=reason,
            forced=self._options.force,
            epoch=changed.epoch,
            generation=changed.generation,
            collections=names,
            gates=changed.gates,
            compared=tuple(compared),
            audit=await audit.verify(self._database),
            archive=self._judged.archive,
            lost=self._judged.lost,
            versions=versions(await self._database.fetchval(sql.server.VERSION_NAME), arangodb),
            trouble=trouble,
        )
        assert self._options.certificate is not None
        for path, text in _texts(made, self._options.certificate):
            try:
                write_atomically(path, text)
            except OSError as error:
                note(f"{path} cannot be written ({error.strerror}): the certificate is lost unless --json is given")
        return made

    async def _report(self, changed: Changed, made: Certificate | None) -> int:
        how, options = self._how, self._options
        refused = bool(changed.unready) or any(blocking(found, force=options.force) for found in changed.gates.values())
        left = [
            name for name, state in (await status.present(self._database)).items() if state.stage is not Stage.COMPLETE
        ]
        step = _next_step(changed, left, refused=refused)
        if how.as_json:
            more = {"would_be_refused": refused, "lost": list(self._judged.lost)} if how.dry_run else {}
            write_json({**plain(changed), "next": step, **more, "certificate": made and made.as_json()})
        else:
            show(changed, "Already complete: nothing to change")
            for text in self._judged.lost:
                note(f"PostgreSQL does not get: {text}")
            if made is not None:
                word = "holds" if made.holds else f"does not hold: {'; '.join(made.problems)}"
                console().print(f"certificate {options.certificate} {word}", soft_wrap=True, markup=False)
            console().print(f"next: {step}", soft_wrap=True, markup=False)
        bad = (how.dry_run and refused) or (made is not None and not made.holds)
        return REFUSED if bad else DONE


def _next_step(changed: Changed, left: Sequence[str], *, refused: bool) -> str:
    names = " ".join(transition.collection for transition in changed.transitions)
    if changed.dry_run and changed.transitions:
        if refused:
            return f"do what the gates and proxies need, then crossfade complete {names} --dry-run"
        return f"crossfade complete {names}, with --certificate FILE"
    if left:
        more = f" and {len(left) - _LEFT} more" if len(left) > _LEFT else ""
        return f"the same for {', '.join(left[:_LEFT])}{more}; until then proxies need ArangoDB"
    return (
        "end ArangoDB: no proxy asks it any more. Leave CROSSFADE_ORIGIN and its account out; proxies that start now "
        "answer from PostgreSQL alone"
    )


def _texts(made: Certificate, path: Path) -> tuple[tuple[Path, bytes], ...]:
    """Return both files of a certificate with what they hold."""
    text = msgspec.json.format(msgspec.json.encode(made.as_json()), indent=1) + b"\n"
    return (path.with_suffix(".json"), text), (path.with_suffix(".html"), certificate_page.render(made).encode())
