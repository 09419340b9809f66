"""Facts as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backfill.migration_report import format as words
from backfill.migration_report.facts import CollectionFacts, Facts, total, verdict


def render(facts: Facts) -> str:
    """Return the complete report."""
    figures = total(facts)
    lines = [
        "# Migration report",
        "",
        f"Read {words.moment(facts.at)}, in {words.seconds(facts.seconds)}. "
        f"{figures.good} of {figures.collections} collections are equal on both sides; "
        f"{figures.open_mismatches:,} open mismatches, {figures.repaired:,} differences repaired, "
        f"{figures.dead_letters:,} dead letters. {_chain(facts)}",
        "",
        "## Collections",
        "",
        *_table(
            ("collection", "stage", "ArangoDB", "PostgreSQL", "verdict"),
            (
                (
                    one.collection,
                    words.stage(one.stage, one.weight),
                    words.count(one.origin.documents),
                    words.count(one.target.documents),
                    verdict(one).word,
                )
                for one in facts.collections
            ),
            right=(2, 3),
        ),
    ]
    for one in facts.collections:
        lines += _collection(one)
    lines += [
        "",
        "## Changes of stages",
        "",
        *_table(
            ("epoch", "opened", "closed", "outcome", "who", "why", "moves"),
            (
                (
                    str(epoch.epoch),
                    words.moment(epoch.opened_at),
                    words.moment(epoch.closed_at),
                    epoch.outcome,
                    epoch.actor,
                    epoch.reason or "–",
                    "; ".join(epoch.moves),
                )
                for epoch in facts.epochs
            ),
        ),
        "",
        "## Audit",
        "",
        _chain(facts),
        "",
        *_table(
            ("row", "when", "who", "what", "why"),
            (
                (str(row.id), words.moment(row.at), row.actor, row.action, row.reason or "–")
                for row in facts.audit.newest
            ),
        ),
        "",
        "## Proxies",
        "",
        *_table(
            ("instance", "state", "host", "version", "backlog", "lag"),
            (
                (one.instance, one.state, one.host, one.version, words.count(one.backlog), f"{one.lag_seconds:.1f} s")
                for one in facts.instances
            ),
            right=(4, 5),
        ),
        "",
        "## Configuration",
        "",
        *_table(
            ("setting", "value", "default"),
            ((one.name, one.value or "–", "no" if one.changed else "yes") for one in facts.settings),
        ),
        "",
        "## Versions",
        "",
        *_table(("what", "version"), facts.versions),
        "",
    ]
    return "\n".join(lines)


def _chain(facts: Facts) -> str:
    audit = facts.audit
    if audit.broken is not None:
        return f"**The audit's chain is broken at row {audit.broken}**: {audit.why}."
    return f"The audit's chain is intact (rows: {audit.rows:,}); its last hash is `{audit.head}`."


def _collection(one: CollectionFacts) -> list[str]:
    judged = verdict(one)
    sides = (("ArangoDB", one.origin), ("PostgreSQL", one.target))
    lines = ["", f"### {_text(one.collection)}", "", f"**{judged.word}.** {_text(judged.sentence)}", ""]
    lines += _table(
        ("side", "documents", "bytes", "checksum"),
        (
            (name, words.count(side.documents), words.count(side.bytes), side.checksum or side.error or "not computed")
            for name, side in sides
        ),
        right=(1, 2),
    )
    lines += [
        "",
        f"Stage {words.stage(one.stage, one.weight)} since {words.moment(one.stage_since)}; table `{one.relation}`, "
        f"{words.size(one.disk)} on disk, {words.count(one.tombstones)} deletions recorded. "
        f"{one.compared:,} reads compared, {one.mismatched:,} mismatched; "
        f"{one.shapes_compared} of {one.shapes} shapes compared.",
    ]
    if one.runs:
        lines += ["", "Runs:", ""]
        lines += _table(
            ("run", "kind", "state", "started", "time", "documents", "rate", "outcome"),
            (
                (
                    str(run.id),
                    f"{run.kind} {run.mode}" if run.kind != "backfill" else run.kind,
                    run.state,
                    words.moment(run.started_at),
                    words.seconds(run.seconds),
                    words.count(run.documents),
                    f"{run.rate:,.0f}/s" + (f", {words.size(run.byte_rate)}/s" if run.bytes else ""),
                    words.outcome(run),
                )
                for run in one.runs
            ),
            right=(0, 4, 5, 6),
        )
        if one.more_runs:
            lines.append(f"\n{one.more_runs} older runs are not shown.")
    if one.mismatches:
        lines += ["", "Mismatches:", ""]
        lines += _table(
            ("id", "class", "paths", "state", "seen", "keys", "last"),
            (
                (
                    str(found.id),
                    found.kind,
                    ", ".join(found.paths) or "–",
                    found.state,
                    words.count(found.seen),
                    words.count(found.keys),
                    words.moment(found.last_seen),
                )
                for found in one.mismatches
            ),
            right=(0, 4, 5),
        )
    if one.left_out:
        lines += ["", "Left out:", ""]
        lines += _table(
            ("kind", "what", "count", "why"),
            ((item.kind, item.what, words.count(item.count), item.why) for item in one.left_out),
            right=(2,),
        )
    if one.orphans is not None:
        found = one.orphans
        text = f"{found.with_user:,} documents name a user; {found.documents:,} name one that is not in {found.table}"
        ids = ", ".join(f"`{_text(one)}`" for one in found.ids)
        lines += ["", text + (f" ({found.users:,} ids: {ids})." if ids else ".")]
    return lines


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    body = [f"| {' | '.join(_text(cell) for cell in row)} |" for row in rows]
    if not body:
        return ["None."]
    rule = " | ".join("---:" if number in right else "---" for number in range(len(head)))
    return [f"| {' | '.join(head)} |", f"| {rule} |", *body]


def _text(value: str) -> str:
    """Escape text so that a table cell shows it literally."""
    for char in "\\`*_<>[]|":
        value = value.replace(char, "\\" + char)
    return value.replace("\r", " ").replace("\n", " ")
