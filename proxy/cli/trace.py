"""trace: the state of one document in both databases and in every registered instance."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

import sql
from proxy.base.arango_client import ask_instance
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ArangoError, CrossfadeError, PreconditionFailed, UpstreamError
from proxy.cli.naming import require_known
from proxy.cli.runtime import DONE, REFUSED, DatabaseOption, JsonOption, console, execute, note, write_json
from proxy.model.parsed_answer import revision_of
from proxy.operator import status
from proxy.operator.origin_connection import origin_store


@dataclass(frozen=True, slots=True)
class TracedVersion:
    """One database's version. state: `document`, `tombstone`, `absent`, or why it could not be read.

    revision: an integer in text; written_at: the time inside the revision. mark: a write epoch, PostgreSQL's only.
    """

    state: str
    revision: str | None = None
    written_at: datetime | None = None
    mark: int | None = None


@dataclass(frozen=True, slots=True)
class InstanceView:
    """The report of one instance; `unheard`: why it reported nothing."""

    instance: str
    unheard: str | None
    known: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything about one document. verdict: the comparison of both sides."""

    collection: str
    key: str
    stage: str
    verdict: str
    origin: TracedVersion
    target: TracedVersion
    stamp_floor: int
    era: int
    dead_letter: dict[str, Any] | None
    unverified: tuple[dict[str, Any], ...]
    mismatches: tuple[dict[str, Any], ...]
    instances: tuple[InstanceView, ...]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(trace)


def trace(
    document: Annotated[
        str, typer.Argument(metavar="COLLECTION/KEY", help="database/collection/key, or collection/key with --database")
    ],
    *,
    database: DatabaseOption = "_system",
    as_json: JsonOption = False,
) -> None:
    """Show the state of one document: both sides, open intents, and what each proxy applied when.

    Also shown: a tombstone, a dead letter, needs-verification marks and open mismatches. Journals are local, so every
    proxy is asked through its admin listener; one that does not answer is named. A proxy remembers the newest few
    thousand versions that it applied. Exit code 1 if no database and no proxy knows the document.

    Example:
      crossfade trace shop/orders/4711
    """
    collection, key = parse(document, database)

    async def go(settings: Settings, connected: Database) -> int:
        found = await read(settings, connected, collection, key)
        if as_json:
            write_json(asdict(found))
        else:
            show(found)
        if not is_known(found):
            note(f"document {collection}/{key} is not known: neither database has it, and no proxy's journal names it")
            return REFUSED
        return DONE

    execute(go, as_json=as_json)


def is_known(found: Trace) -> bool:
    """Return False if the key must be wrong: neither database nor any instance has, had or expects the document."""
    return (
        (found.origin.state, found.target.state) != ("absent", "absent")
        or found.dead_letter is not None
        or bool(found.mismatches)
        or any(view.known.get(name) for view in found.instances for name in ("intents", "queued", "applied"))
    )


def parse(document: str, database: str) -> tuple[str, str]:
    """Return `database/name` and the key. Raise typer.BadParameter."""
    parts = document.split("/")
    if len(parts) == 2:
        parts = [database, *parts]
    if len(parts) != 3 or not all(parts):
        raise typer.BadParameter(f"{document!r} is not a document: write collection/key or database/collection/key")
    return "/".join(parts[:2]), parts[2]


async def read(settings: Settings, connected: Database, collection: str, key: str) -> Trace:
    """Ask both databases and every instance. Raise PreconditionFailed if the collection is not known, DatabaseError."""
    await require_known(connected, [collection], "")
    about = await connected.fetchrow(sql.trace.COLLECTION, collection)
    if about is None:
        raise PreconditionFailed(f"PostgreSQL does not know {collection}")
    registered = [one for one in await status.instances(connected) if one.stopped_at is None]
    heard = asyncio.gather(*(_asked(one, collection, key) for one in registered))
    views = tuple(await heard)
    # after the instances: a write that was open there may have arrived
    origin = await _origin(settings, collection, key)
    stored = await connected.fetchrow(sql.trace.ROW.on(about.relation), key)
    target = TracedVersion("absent")
    if stored is not None:
        target = TracedVersion("tombstone" if stored.tombstone else "document", *_revision(stored.rev), stored.mark)
    letter = await connected.fetchrow(sql.trace.DEAD_LETTER, collection, key)
    whole = collection.partition("/")[0] + "/*"
    marks = await connected.fetch(sql.trace.MARKS, collection, whole)
    mismatches = await connected.fetch(sql.trace.MISMATCHES, collection, key)
    return Trace(
        collection,
        key,
        about.stage,
        verdict(origin, target, views, dead=letter is not None),
        origin,
        target,
        about.stamp_floor,
        about.era,
        None if letter is None else letter._asdict(),
        tuple(mark._asdict() for mark in marks),
        tuple(_mismatch(one) for one in mismatches),
        views,
    )


def _mismatch(row: sql.trace.MismatchRow) -> dict[str, object]:
    return {("class" if name == "kind" else name): value for name, value in row._asdict().items()}


def verdict(origin: TracedVersion, target: TracedVersion, views: Sequence[InstanceView], *, dead: bool) -> str:
    """Return the comparison of both sides: `equal`, `different: …` with the reason, or `unknown: …`."""
    if origin.state not in ("document", "absent"):
        return "unknown: ArangoDB could not be read"
    alive = target.revision if target.state == "document" else None
    if alive == (origin.revision if origin.state == "document" else None):
        return "equal"
    if dead:
        return "different: PostgreSQL cannot hold this document"
    if any(view.known.get("open") or view.known.get("unkeyed") for view in views):
        return "different: a write to PostgreSQL is in progress"
    if any(view.unheard for view in views):
        return "different: possibly in progress, not every instance answered"
    return "different: nothing is in progress, run `crossfade verify`"


async def _origin(settings: Settings, collection: str, key: str) -> TracedVersion:
    database, _, name = collection.partition("/")
    try:
        async with origin_store(settings) as reader:
            raw = (await reader.read(database, name, [key]))[key]
    except (UpstreamError, ArangoError) as error:
        return TracedVersion(f"not read: {error}")
    return TracedVersion("absent") if raw is None else TracedVersion("document", *_revision(revision_of(raw)))


async def _asked(one: sql.control.InstanceRow, collection: str, key: str) -> InstanceView:
    if one.admin_url is None:
        return InstanceView(one.instance, "it has no admin address", {})
    try:
        answer = await ask_instance(one.admin_url, "/trace", {"collection": collection, "key": key})
    except CrossfadeError as error:
        return InstanceView(one.instance, f"{one.admin_url} does not answer: {error}", {})
    if answer.get("instance") != one.instance:
        return InstanceView(one.instance, f"{one.admin_url} belongs to another instance: ask from its machine", {})
    return InstanceView(one.instance, None, answer)


def _revision(rev: int) -> tuple[str, datetime | None]:
    milliseconds = rev >> 20
    return str(rev), datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


# ---- output


def show(found: Trace) -> None:
    """Print a few lines for each subject."""
    out = console()
    out.print(f"[bold]{escape(found.collection)}/{escape(found.key)}[/bold]  stage {found.stage}: {found.verdict}")
    out.print(f"  ArangoDB    {_side(found.origin)}")
    mark = f", mark {found.target.mark}" if found.target.mark else ""
    out.print(f"  PostgreSQL  {_side(found.target)}{mark}; stamp floor {found.stamp_floor}, era {found.era}")
    if found.dead_letter is not None:
        letter = found.dead_letter
        out.print(
            f"  dead letter since {_time(letter['noted_at'])}, revision {letter['rev']}: {escape(letter['reason'])}"
        )
    for one in found.mismatches:
        out.print(
            f"  open mismatch {one['id']}: {one['class']}, seen {one['seen']} times, last {_time(one['last_seen'])}"
        )
    for one in found.unverified:
        out.print(f"  unverified since {_time(one['marked_at'])}: {escape(one['reason'])} ({escape(one['instance'])})")
    for view in found.instances:
        out.print(
            f"  instance {escape(view.instance)}" + (f": no answer, {escape(view.unheard)}" if view.unheard else "")
        )
        for line in _lines(view.known):
            out.print(f"    {escape(line)}")
    if not found.instances:
        out.print("  no instance is registered: the journal of a stopped one is shown when it is back")


def _lines(known: dict[str, Any]) -> list[str]:
    if not known:
        return []
    lines = [f"open intents: {known['open']} of this key, {known['unkeyed']} of the collection with keys on disk only"]
    if known["unnoted"]:
        lines.append(f"{known['unnoted']} more that the journal could not record")
    for item in known["intents"]:
        key = "" if item["key_known"] else ", key not known yet"
        lines.append(f"intent {item['number']} accepted {_at(item['taken'])}, stamp {item['stamp']}{key}")
    for item in known["queued"]:
        what = "removal of" if item["removed"] else "revision"
        lines.append(f"{what} {item['revision']} accepted {_at(item['taken'])}, waits for PostgreSQL{_trace(item)}")
    for item in known["applied"]:
        if item["how"] == "captured":
            what = f"{'removal of' if item['removed'] else 'revision'} {item['revision']}"
        else:
            what = "read from ArangoDB again"
        lines.append(f"{what}: accepted {_at(item['taken'])}, applied {_at(item['applied'])}{_trace(item)}")
    return lines


def _side(side: TracedVersion) -> str:
    if side.revision is None:
        return escape(side.state)
    return f"{side.state}, revision {side.revision}" + (f" of {_time(side.written_at)}" if side.written_at else "")


def _trace(item: dict[str, Any]) -> str:
    return f", traceparent {item['trace']}" if item["trace"] else ""


def _at(seconds: float) -> str:
    return _time(datetime.fromtimestamp(seconds, UTC))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
