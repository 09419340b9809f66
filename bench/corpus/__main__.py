"""`python -m bench.corpus [FILE]`: prints one line per tier, and writes a file with what failed and why."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from bench.corpus.measure import Example, Verdict, example, measure_query
from bench.corpus.postgres import Target
from deploy.demo.postgres import EmbeddedPostgres
from proxy.operator import migrate
from tests.ad_hoc import Database

DEFAULT = Path("../shared/conformance/aql-corpus.jsonl")
_REPORT = Path("build/corpus-failures.jsonl")


@contextlib.asynccontextmanager
async def open_postgres() -> AsyncIterator[Target]:
    """Start a migrated PostgreSQL."""
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "32MB"}) as server:
        database = await Database.open(server.dsn, size=4)  # a query that writes looks up tables beside its session
        try:
            await migrate.apply(database)
            yield await Target.open(database)
        finally:
            await database.close()


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


async def verdicts(records: Iterable[dict[str, Any]], target: Target | None) -> list[Verdict]:
    return [await measure_query(record, target) for record in records]


async def examples(records: Iterable[dict[str, Any]], target: Target | None) -> list[Example]:
    return [await example(record, target) for record in records]


def summary(found: list[Verdict]) -> list[str]:
    """Format one line per tier, then what the figures do not show."""
    text = []
    for tier in sorted({verdict.tier for verdict in found}):
        here = [verdict for verdict in found if verdict.tier == tier]
        text.append(
            f"tier {tier}: "
            + ", ".join(
                f"{what} {sum(getattr(verdict, what) for verdict in here)}/{len(here)}"
                for what in ("parsed", "evaluated", "compiled")
            )
        )
    text += _write_summary([verdict for verdict in found if verdict.kind not in ("read", "unknown")])
    reads = [verdict for verdict in found if verdict.kind == "read" and verdict.rows is not None]
    filled = sum(bool(verdict.rows) for verdict in reads)
    text.append(f"of {len(reads)} reads evaluated, {filled} gave rows ({filled / max(1, len(reads)):.0%})")
    refused = sum(verdict.refused for verdict in found)
    if refused:
        text.append(f"{refused} of the evaluated are refused by ArangoDB too, for their text alone")
    wrong = sum(any(note.startswith("WRONG") for note in verdict.notes.values()) for verdict in found)
    if wrong:
        text.append(f"WRONG: {wrong} queries have another result on PostgreSQL than by the evaluator")
    return text


def _write_summary(found: list[Verdict]) -> list[str]:
    """Format one line per tier on the queries that write."""
    text = []
    for tier in sorted({verdict.tier for verdict in found}):
        here = [verdict for verdict in found if verdict.tier == tier and not verdict.refused]
        ways = ("executed", "compiled", "batched")
        counts = [f"{what} {sum(getattr(one, what) for one in here)}/{len(here)}" for what in ways]
        text.append(f"tier {tier}, queries that write, on PostgreSQL alone: {', '.join(counts)}")
    return text


def example_summary(found: list[Example]) -> list[str]:
    """Format one line on the answers of a real server."""
    total = len(found)
    counts = Counter(what for one in found for what in ("plain", "stored", "compiled") if getattr(one, what))
    return [
        f"recorded answers: evaluated {counts['plain']}/{total}; "
        f"with stored literals: evaluated {counts['stored']}/{total}, compiled {counts['compiled']}/{total}"
    ]


async def main(path: Path, report: Path, *, compiling: bool) -> int:
    records, beside = lines(path), path.with_name("aql.jsonl")
    answers = lines(beside) if beside.is_file() else []
    async with contextlib.AsyncExitStack() as stack:
        target = await stack.enter_async_context(open_postgres()) if compiling else None
        found = await verdicts(records, target)
        recorded = await examples(answers, target)
    report.parent.mkdir(parents=True, exist_ok=True)
    with report.open("w", encoding="utf-8") as file:
        for verdict in found:
            if verdict.notes or (verdict.kind == "read" and not verdict.rows):
                entry = {"id": verdict.identifier, "tier": verdict.tier, "rows": verdict.rows, **verdict.notes}
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        for one in recorded:
            if one.notes:
                file.write(json.dumps({"name": one.name, **one.notes}, ensure_ascii=False) + "\n")
    for line in summary(found) + (example_summary(recorded) if recorded else []):
        print(line)
    print(f"what failed, and why: {report}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", nargs="?", type=Path, default=DEFAULT, help=f"default: {DEFAULT}")
    parser.add_argument("--report", type=Path, default=_REPORT, help="the file that names what failed")
    parser.add_argument("--no-compile", action="store_true", help="parse and evaluate alone: no PostgreSQL")
    given = parser.parse_args()
    if not given.corpus.is_file():
        sys.exit(f"no corpus at {given.corpus}: name one, as in `make corpus CORPUS=path/to/queries.jsonl`")
    sys.exit(asyncio.run(main(given.corpus, given.report, compiling=not given.no_compile)))
