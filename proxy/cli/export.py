"""mismatches export, mismatches reproduce: a difference as a file, and the same difference on another machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed
from proxy.base.private_files import write_private
from proxy.cli.runtime import DONE, REFUSED, JsonOption, console, execute, note, plural, write_json
from proxy.devserver.repro_run import reproduce as reproduced
from proxy.operator import mismatches as ledger
from proxy.operator import repro_bundle as bundles
from proxy.operator.mismatches import MismatchFingerprint
from proxy.operator.origin_connection import origin_store
from proxy.shadow.diff.documents import NotComparable


def export(
    which: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help="fingerprint or ID, as `crossfade mismatches list` shows them")
    ],
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="the file to write; by default standard output")
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="include all documents of its collections, at most 1,000 of each")
    ] = False,
) -> None:
    """Write a mismatch as a bundle that reproduces it: request, both answers, its documents on both sides.

    The file holds values of documents: only its owner may read it.

    Example:
      crossfade mismatches export 7 -o mismatch.json
    """

    async def go(settings: Settings, connected: Database) -> int:
        found = await _find(connected, which)
        async with origin_store(settings) as origin:
            made = await bundles.build(connected, origin, found, whole=whole)
        text = orjson.dumps(made, option=orjson.OPT_INDENT_2) + b"\n"
        if output is None:
            sys.stdout.write(text.decode())
            return DONE
        try:
            write_private(output, text)
        except OSError as error:
            raise PreconditionFailed(f"{output} cannot be written: {error.strerror}") from error
        documents = sum(len(one["documents"]) for one in made["collections"].values())
        note(f"{output}: {plural(documents, 'document')}; `crossfade mismatches reproduce {output}` reproduces it")
        if not made["reproducible"]:
            note("its values were redacted when it was found: the bundle can be read, but not reproduced")
        return DONE

    execute(go)


def reproduce(
    file: Annotated[Path, typer.Argument(metavar="BUNDLE", help="a file that `crossfade mismatches export` wrote")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Load a bundle into a development ArangoDB and into PostgreSQL, and send its request to both.

    PostgreSQL is the one of CROSSFADE_DSN (`crossfade dev` has one); the bundle gets a dedicated schema there, which is
    dropped at the end. Exit code 0 if both differ as the bundle states, 1 otherwise.

    Example:
      crossfade mismatches reproduce mismatch.json
    """

    async def go(_: Settings, connected: Database) -> int:
        try:
            text = file.read_bytes()
        except OSError as error:
            raise PreconditionFailed(f"{file} cannot be read: {error.strerror}") from error
        bundle = bundles.read(text)
        try:
            found = await reproduced(connected, bundle)
        except NotComparable as reason:
            raise PreconditionFailed(f"the answers cannot be compared here: {reason}") from reason
        parts = found.each() if found is not None else ()
        same = any(part.kind.value == bundle["class"] and list(part.paths) == bundle["paths"] for part in parts)
        if as_json:
            shown = [{"class": p.kind.value, "paths": list(p.paths), "keys": list(p.keys)} for p in parts]
            write_json({"reproduced": same, "differences": shown})
        else:
            for part in parts:
                console().print(f"{part.kind.value} at {', '.join(part.paths) or '-'} of {', '.join(part.keys) or '-'}")
            wanted = f"{bundle['class']} at {', '.join(bundle['paths']) or '-'}"
            console().print("reproduced" if same else f"not reproduced: the bundle has {wanted}")
        return DONE if same else REFUSED

    execute(go, as_json=as_json)


async def _find(connected: Database, which: str) -> MismatchFingerprint:
    identifier = int(which) if which.isdecimal() and len(which) < 12 else await ledger.find_mismatch(connected, which)
    found = await ledger.show_mismatch(connected, identifier) if identifier is not None else None
    if found is None:
        raise PreconditionFailed(
            f"there is no mismatch {which}, or several begin with it: run `crossfade mismatches list --all`"
        )
    return found
