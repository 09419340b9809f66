"""Renders facts as one self-contained, printable HTML page, light and dark. Pure.

Every value is escaped by `_esc`: keys, paths, reasons and names come from documents and users.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from backfill.migration_report import format as words
from backfill.migration_report.facts import CollectionFacts, CopyFacts, Facts, RunFacts, Tone, total, verdict
from backfill.migration_report.style import CSS


def render(facts: Facts) -> str:
    """Return the complete page."""
    body = "".join(
        (
            _head(facts),
            _overview(facts),
            "".join(_collection(number, one) for number, one in enumerate(facts.collections)),
            _stages(facts),
            _audit(facts),
            _rest(facts),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Migration report, {_esc(words.moment(facts.at))}</title>\n<style>{CSS}</style>\n</head>\n"
        f"<body><main>\n{body}</main></body>\n</html>\n"
    )


def _head(facts: Facts) -> str:
    figures = total(facts)
    all_good = figures.good == figures.collections and figures.collections > 0
    tiles = (
        _tile(f"{figures.good} of {figures.collections}", "collections equal", "good" if all_good else "open"),
        _tile(words.count(figures.origin), "documents in ArangoDB"),
        _tile(words.count(figures.target), "documents in PostgreSQL"),
        _tile(words.count(figures.open_mismatches), "open mismatches", _zero(figures.open_mismatches)),
        _tile(words.count(figures.repaired), "differences repaired"),
        _tile(words.count(figures.dead_letters), "dead letters", _zero(figures.dead_letters)),
        _tile(words.count(figures.orphans), "documents without their user"),
        _tile(
            "intact" if facts.audit.broken is None else "broken",
            f"audit chain, rows: {facts.audit.rows:,}",
            "good" if facts.audit.broken is None else "bad",
        ),
    )
    read = "with checksums of both sides" if facts.checksums else "without checksums"
    return (
        f'<h1>Migration report</h1>\n<p class="soft">ArangoDB to PostgreSQL. Read {_esc(words.moment(facts.at))} in '
        f'{words.seconds(facts.seconds)}, {read}.</p>\n<div class="tiles">{"".join(tiles)}</div>\n'
    )


def _overview(facts: Facts) -> str:
    rows = []
    for number, one in enumerate(facts.collections):
        judged = verdict(one)
        rows.append(
            [
                f'<a href="#c{number}">{_esc(one.collection)}</a>',
                _esc(words.stage(one.stage, one.weight)),
                words.count(one.origin.documents),
                words.count(one.target.documents),
                words.size(one.target.bytes if one.target.bytes is not None else one.disk),
                words.count(one.mismatch_states.get("open", 0)),
                _pill(judged.tone, judged.word),
            ]
        )
    head = ("Collection", "Stage", "ArangoDB", "PostgreSQL", "Size", "Mismatches", "Verdict")
    return "<h2>Collections</h2>\n" + _table(head, rows, right=(2, 3, 4, 5), none="No collection is known.")


def _collection(number: int, one: CollectionFacts) -> str:
    judged = verdict(one)
    parts = [
        f'<section class="card" id="c{number}"><header><h3>{_esc(one.collection)}</h3>{_pill(judged.tone, judged.word)}'
        f'<span class="soft">{_esc(words.stage(one.stage, one.weight))} since {_esc(words.moment(one.stage_since))}'
        f"</span></header><p>{_prose(judged.sentence)}</p>",
        f'<div class="side">{_side("ArangoDB", one.origin)}{_side("PostgreSQL", one.target)}</div>',
        f'<p class="soft">Table <code>{_esc(one.relation)}</code>{", edges" if one.edge else ""}, '
        f"{words.size(one.disk)} on disk with indexes; {words.count(one.tombstones)} deletions recorded. "
        f"{one.compared:,} reads compared, {one.mismatched:,} of them mismatched; "
        f"{one.shapes_compared} of {one.shapes} shapes compared.</p>",
    ]
    if one.runs:
        fastest = max(run.rate for run in one.runs) or 1.0
        parts.append("<h4>Backfills and verifications</h4>")
        columns = ("Run", "Kind", "State", "Started", "Time", "Documents", "Rate", "Outcome")
        parts.append(_table(columns, [_run(run, fastest) for run in one.runs], right=(0, 4, 5, 6), whole=(1, 2, 3)))
        if one.more_runs:
            parts.append(f'<p class="soft">{one.more_runs} older runs are not shown.</p>')
    if one.mismatches:
        parts.append("<h4>Mismatches that the shadow found</h4>")
        head = ("Id", "Class", "Paths", "State", "Seen", "Keys", "Last")
        rows = [
            [
                str(found.id),
                _esc(found.kind),
                f'<span class="mono">{_esc(", ".join(found.paths)) or "–"}</span>',
                _pill({"open": "bad", "repaired": "good"}.get(found.state, "open"), found.state),
                words.count(found.seen),
                words.count(found.keys),
                _esc(words.moment(found.last_seen)),
            ]
            for found in one.mismatches
        ]
        parts.append(_table(head, rows, right=(0, 4, 5), whole=(6,)))
    if one.left_out:
        parts.append("<h4>Left out, and why</h4>")
        rows = [
            [_esc(item.kind), f'<span class="mono">{_esc(item.what)}</span>', words.count(item.count), _esc(item.why)]
            for item in one.left_out
        ]
        parts.append(_table(("Kind", "What", "Count", "Why"), rows, right=(2,), whole=(0,)))
    if one.orphans is not None:
        found = one.orphans
        ids = ", ".join(f"<code>{_esc(text)}</code>" for text in found.ids)
        more = ", …" if found.users > len(found.ids) else ""
        parts.append(
            f"<h4>User ids without a user</h4><p>{found.with_user:,} documents name a user; <b>{found.documents:,}</b> "
            f"name one that <code>{_esc(found.table)}</code> does not have"
            + (f" ({found.users:,} ids: {ids}{more}).</p>" if ids else ".</p>")
        )
    return "".join(parts) + "</section>\n"


def _side(name: str, side: CopyFacts) -> str:
    failure = f'<span class="pill bad">{_esc(side.error)}</span>' if side.error else ""
    known = f"<b>{words.count(side.documents)}</b> documents" if side.error is None else ""
    volume = f', {words.size(side.bytes)} <span class="soft">({words.count(side.bytes)} bytes)</span>'
    checksum = side.checksum or "checksum not computed"
    return (
        f'<div><span class="soft">{name}</span><br>{known}{volume if side.bytes is not None else ""}{failure}'
        f'<br><span class="mono">{checksum}</span></div>'
    )


def _run(run: RunFacts, fastest: float) -> list[str]:
    tone: Tone = "good" if run.state == "done" and not run.left else "open" if run.state == "open" else "bad"
    volume = f"{words.size(run.byte_rate)}/s" if run.bytes else ""
    width = round(100 * run.rate / fastest)
    return [
        str(run.id),
        _esc(run.kind if run.kind == "backfill" else f"{run.kind} {run.mode}"),
        _pill(tone, run.state),
        _esc(words.moment(run.started_at)),
        words.seconds(run.seconds),
        words.count(run.documents),
        f'<span class="rate">{run.rate:,.0f}/s<i style="width:{width}%"></i></span><span class="soft">{volume}</span>',
        _esc(words.outcome(run)),
    ]


def _stages(facts: Facts) -> str:
    tones: dict[str, Tone] = {"committed": "good", "aborted": "bad"}
    rows = [
        [
            str(epoch.epoch),
            _esc(words.moment(epoch.opened_at)),
            _pill(tones.get(epoch.outcome, "open"), epoch.outcome),
            "<br>".join(map(_esc, epoch.moves)),
            _esc(epoch.actor),
            _esc(epoch.reason or "–"),
        ]
        for epoch in facts.epochs
    ]
    head = ("Epoch", "Opened", "Outcome", "Moves", "Who", "Why")
    return "<h2>Changes of stages</h2>\n" + _table(head, rows, right=(0,), whole=(1,), none="No stage was changed.")


def _audit(facts: Facts) -> str:
    audit = facts.audit
    if audit.broken is None:
        state = f"{_pill('good', 'intact')} Each row follows from the one before it (rows: {audit.rows:,})."
    else:
        state = f"{_pill('bad', 'broken')} Row {audit.broken}: {_esc(audit.why)}."
    rows = [
        [str(row.id), _esc(words.moment(row.at)), _esc(row.actor), _esc(row.action), _esc(row.reason or "–")]
        for row in audit.newest
    ]
    return f'<h2>Audit</h2>\n<p>{state} Last hash <span class="mono">{_esc(audit.head)}</span></p>\n' + _table(
        ("Row", "When", "Who", "What", "Why"), rows, right=(0,), whole=(1,), none="Nothing was changed."
    )


def _rest(facts: Facts) -> str:
    tones: dict[str, Tone] = {"live": "good", "stopped": "open"}
    instances = [
        [
            _esc(one.instance),
            _pill(tones.get(one.state, "bad"), one.state),
            _esc(one.host),
            _esc(one.version),
            _esc(words.moment(one.joined_at)),
            words.count(one.backlog),
            f"{one.lag_seconds:.1f} s",
        ]
        for one in facts.instances
    ]
    settings = [
        [f"<code>{_esc(one.name)}</code>", f'<span class="mono">{_esc(one.value) or "–"}</span>',
         "<b>set</b>" if one.changed else '<span class="soft">default</span>']
        for one in facts.settings
    ]  # fmt: skip
    versions = [[_esc(name), f'<span class="mono">{_esc(version)}</span>'] for name, version in facts.versions]
    head = ("Instance", "State", "Host", "Version", "Joined", "Backlog", "Lag")
    return (
        "<h2>Proxies</h2>\n"
        + _table(head, instances, right=(5, 6), whole=(4,), none="No proxy is registered.")
        + "<h2>Versions</h2>\n"
        + _table(("What", "Version"), versions)
        + "<h2>Configuration</h2>\n"
        + _table(("Setting", "Value", ""), settings)
        + "<footer>Written by <code>crossfade report</code>. A checksum is the sum, modulo 2<sup>256</sup>, of the "
        "sha256 of each document as ArangoDB prints it: it does not depend on order, and is the same on both sides "
        "if they are equal byte for byte. Passwords are hidden.</footer>\n"
    )


def _prose(text: str) -> str:
    """Escape a sentence, and mark up its `commands`."""
    parts = _esc(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))


def _tile(figure: str, what: str, tone: Tone | None = None) -> str:
    return f'<div class="tile {tone or ""}"><b>{_esc(figure)}</b><span>{_esc(what)}</span></div>'


def _zero(value: int) -> Tone:
    return "good" if value == 0 else "bad"


def _pill(tone: str, word: str) -> str:
    return f'<span class="pill {tone}">{_esc(word)}</span>'


def _table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    whole: Sequence[int] = (),
    none: str = "None.",
) -> str:
    """Return a table. rows: cells of HTML; right: columns of figures; whole: columns without line breaks."""
    body = [
        "<tr>" + "".join(f"<td{_kind(number, right, whole)}>{cell}</td>" for number, cell in enumerate(row)) + "</tr>\n"
        for row in rows
    ]
    if not body:
        return f'<p class="soft">{_esc(none)}</p>\n'
    titles = "".join(f"<th{_kind(number, right, ())}>{_esc(title)}</th>" for number, title in enumerate(head))
    return (
        f'<div class="scroll"><table><thead><tr>{titles}</tr></thead>\n<tbody>{"".join(body)}</tbody></table></div>\n'
    )


def _kind(number: int, right: Sequence[int], whole: Sequence[int]) -> str:
    return ' class="n"' if number in right else ' class="w"' if number in whole else ""


def _esc(text: str) -> str:
    return html.escape(text)
