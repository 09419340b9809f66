"""Output of the archive commands, human-readable and as JSON. Each function returns the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from backfill.archive import manifest as manifests
from backfill.archive.import_ import Imported
from backfill.archive.manifest import ArchiveManifest, CollectionEntry
from backfill.archive.verify import VerifiedCollection
from proxy.cli.runtime import DONE, REFUSED, note, write_json


def exported(manifest: ArchiveManifest, names: Sequence[str], to: Path, *, as_json: bool) -> int:
    """Print the result of an export of these collections."""
    entries = [entry for name in names if (entry := manifest.entry(name)) is not None]
    complete = len(entries) == len(names) and all(entry.state == "done" for entry in entries)
    if as_json:
        about = manifests.as_json(manifest)
        about["collections"] = [one for one in about["collections"] if one["collection"] in names]
        write_json({"folder": str(to), "complete": complete, **about})
    else:
        for entry in entries:
            state = "complete" if entry.state == "done" else "incomplete"
            typer.echo(
                f"{entry.collection}: {state}, {entry.documents:,} documents, {volume(entry.bytes)} in "
                f"{parts(len(entry.parts))} of {volume(entry.compressed)}; checksum {entry.digest[:16]}…"
            )
    if not complete:
        note(f"stopped; repeat the command into {to} to continue after the last part")
    return DONE if complete else REFUSED


def imported(
    found: Sequence[Imported],
    entries: Sequence[CollectionEntry],
    folder: Path,
    into: str,
    *,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Print the result of an import of these entries."""
    if as_json:
        write_json({"into": into, "dry_run": dry_run, "collections": [one.as_json() for one in found]})
    for one in found if not as_json else ():
        would = "would be written" if dry_run else "written"
        text = f"{one.collection}: {one.documents:,} documents: {one.written:,} {would}, {one.same:,} there already"
        for count, what in ((one.newer, "newer, kept"), (one.overwritten, "newer, overwritten")):
            text += f", {count:,} {what}" if count else ""
        if one.revisions_kept is False:
            text += "; revisions are new: this server does not keep those of the archive"
        typer.echo(text)
        for key, reason in one.refusals:
            typer.echo(f"  refused {key}: {reason}")
        for damage in one.damages:
            typer.echo(f"  damaged, its part was skipped: {damage}")
        for sentence in one.notes:
            typer.echo(f"  {sentence}")
    if len(found) < len(entries) or any(not one.done for one in found):
        note(f"stopped; continue with: crossfade archive import {folder} --into {into}")
    for entry in entries:
        if entry.state == "open":
            note(f"{entry.collection} is incomplete in the archive: its export was interrupted")
    complete = len(found) == len(entries) and all(one.complete for one in found)
    return DONE if complete and all(entry.state == "done" for entry in entries) else REFUSED


def verified(found: Sequence[VerifiedCollection], *, as_json: bool) -> int:
    """Print the result of a verification."""
    right = all(one.right for one in found)
    if as_json:
        write_json({"right": right, "collections": [one.as_json() for one in found]})
    for one in found if not as_json else ():
        state = "right" if one.right else "incomplete: the export was interrupted" if not one.complete else "WRONG"
        text = f"{one.collection}: {one.documents:,} documents in {parts(one.parts)}, {volume(one.bytes)}: {state}"
        if one.missing is not None:
            text += f"; missing in the database {one.missing:,}, extra {one.extra:,}, different {one.different:,}"
        typer.echo(text)
        for damage in one.damages:
            typer.echo(f"  {damage}")
        for key, kind in one.keys:
            typer.echo(f"  {kind}: {key}")
    return DONE if right else REFUSED


def parts(count: int) -> str:
    """Return `1 part`, `7 parts`."""
    return f"{count:,} part" + ("" if count == 1 else "s")


def volume(size: float) -> str:
    """Return `12 B`, `3.4 KiB`, `5.0 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
