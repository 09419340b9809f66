"""The certificate as one self-contained, printable HTML page. Pure.

Every value is escaped: keys, reasons and names come from documents and users.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from backfill.completion.certificate import Certificate
from backfill.completion.sides import SHOWN, Compared, Side
from backfill.migration_report.style import CSS
from proxy.control.gates.gate_types import Gate, GateVerdict

_TONES = {GateVerdict.PASSED: "good", GateVerdict.FAILED: "bad", GateVerdict.INCONCLUSIVE: "open"}


def render(certificate: Certificate) -> str:
    """Return the complete page."""
    body = "".join(
        (
            _head(certificate),
            "".join(map(_collection, certificate.compared)),
            "".join(_gates(name, found) for name, found in certificate.gates.items()),
            _archive(certificate),
            _listed("What PostgreSQL does not get from ArangoDB", certificate.lost, "Nothing."),
            _audit(certificate),
            "<h2>Versions</h2>\n" + _table(("What", "Version"), [list(pair) for pair in certificate.versions]),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Certificate of completion, {_esc(certificate.at)}</title>\n<style>{CSS}</style>\n</head>\n"
        f"<body><main>\n{body}</main></body>\n</html>\n"
    )


def _head(certificate: Certificate) -> str:
    tone, word = ("good", "holds") if certificate.holds else ("bad", "does not hold")
    why = certificate.reason or "no reason given"
    return (
        f"<h1>Certificate of completion</h1>\n<p>{_pill(tone, word)}</p>"
        f'<p class="soft">{_esc(", ".join(certificate.collections))}: completed {_esc(certificate.at)} by '
        f"{_esc(certificate.actor)} ({_esc(why)}), epoch {certificate.epoch}, generation {certificate.generation}"
        f"{', gates ignored by --force' if certificate.forced else ''}.</p>\n"
        + _listed("Why it does not hold", certificate.problems, "")
        + _listed("Gates that did not pass", certificate.ignored, "")
    )


def _collection(one: Compared) -> str:
    tone, word = ("good", "equal") if one.equal else ("bad", "different")
    rows = [[key, what] for key, what in one.different[:SHOWN]]
    note = f"<p>{one.reprinted:,} equal documents are printed differently.</p>" if one.reprinted else ""
    return (
        f'<section class="card"><header><h3>{_esc(one.collection)}</h3>{_pill(tone, word)}</header>'
        f'<div class="side">{_side("PostgreSQL", one.postgresql)}{_side("ArangoDB", one.arangodb)}</div>'
        f"{note}{_table(('Key', 'Difference'), rows) if rows else ''}</section>\n"
    )


def _side(name: str, side: Side) -> str:
    return (
        f"<div>{_esc(name)}<br><b>{side.documents:,}</b> documents"
        f'<br><span class="mono">{_esc(side.checksum)}</span></div>'
    )


def _gates(collection: str, found: Sequence[Gate]) -> str:
    rows = "".join(
        f"<tr><td>{_esc(gate.name)}</td><td>{_pill(_TONES[gate.verdict], str(gate.verdict))}</td>"
        f"<td>{_esc(gate.figures)}</td><td>{_esc(gate.threshold)}</td></tr>"
        for gate in found
    )
    head = "<tr><th>Gate</th><th>Verdict</th><th>Found</th><th>It takes</th></tr>"
    return f'<h2>Gates of {_esc(collection)}</h2>\n<div class="scroll"><table>{head}{rows}</table></div>\n'


def _archive(certificate: Certificate) -> str:
    manifest = certificate.archive
    if manifest is None:
        return "<h2>Final archive</h2>\n<p>None was named.</p>\n"
    about = (
        f"<p>{_esc(manifest['folder'])}, id {_esc(manifest['id'])}, created {_esc(manifest['created_at'])}; "
        f'checksum of the manifest <span class="mono">{_esc(manifest["checksum"])}</span></p>'
    )
    rows = [
        [str(one["collection"]), f"{one['documents']:,}", str(one["finished_at"]), str(one["digest"])]
        for one in manifest["collections"]
    ]
    return "<h2>Final archive</h2>\n" + about + _table(("Collection", "Documents", "Finished", "Checksum"), rows)


def _audit(certificate: Certificate) -> str:
    audit = certificate.audit
    state = _pill("good", "intact") if audit.broken is None else _pill("bad", f"broken at row {audit.broken}")
    return (
        f"<h2>Audit chain</h2>\n<p>{state} {audit.rows:,} rows, ending with "
        f'<span class="mono">{_esc(audit.head.hex())}</span></p>\n'
    )


def _listed(title: str, texts: Sequence[str], none: str) -> str:
    if not texts:
        return f"<h2>{_esc(title)}</h2>\n<p>{_esc(none)}</p>\n" if none else ""
    return f"<h2>{_esc(title)}</h2>\n<ul>{''.join(f'<li>{_esc(text)}</li>' for text in texts)}</ul>\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first = "".join(f"<th>{_esc(cell)}</th>" for cell in head)
    rest = "".join(f"<tr>{''.join(f'<td>{_esc(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{first}</tr>{rest}</table></div>\n'


def _pill(tone: str, word: str) -> str:
    return f'<span class="pill {tone}">{_esc(word)}</span>'


def _esc(text: object) -> str:
    return html.escape(str(text))
