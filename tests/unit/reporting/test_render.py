"""The renderers: deterministic, everything escaped, no external resources."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from backfill.migration_report import format as words
from backfill.migration_report import html, markdown
from backfill.migration_report.facts import AuditFacts, CopyFacts, Facts, as_json, total, verdict
from tests.unit.reporting.sample import backfill, collection, facts, verification


class Balanced(HTMLParser):
    """Asserts that tags match."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def empty() -> Facts:
    audit = AuditFacts(0, "00", None, "", ())
    return Facts("2026-01-15T12:00:00Z", 0.1, False, (), (), audit, (), (), ())


@pytest.mark.parametrize("found", [facts(), empty()], ids=["full", "empty"])
def test_the_page_is_well_formed_and_self_contained(found: Facts) -> None:
    page = html.render(found)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert not re.search(r"<script|<link|<img|https?://(?!arangodb:8529)|@import|url\(", page.replace("&lt;", ""))
    assert page == html.render(found)


def test_values_are_text_in_every_format() -> None:
    page, text = html.render(facts()), markdown.render(facts())
    assert "<code>&lt;script&gt;</code>" in page
    assert "/salary/&lt;min&gt;|max" in page
    assert "/salary/\\<min\\>\\|max" in text
    assert "only <code>crossfade verify --full</code> can decide" in page
    assert all(len(row.split(" | ")) == 7 for row in text.splitlines() if row.startswith("| 9 | type"))


def test_both_pages_name_what_was_left_out_and_why() -> None:
    for text in (html.render(facts()), markdown.render(facts())):
        for expected in ("job-00417", "22P05", "an import passed through", "88,002 documents name a user",
                         "ticket 4711", "4 older runs are not shown", "connection refused", "12.3 s"):  # fmt: skip
            assert expected in text


def test_a_broken_chain_is_stated_first() -> None:
    broken = replace(facts(), audit=AuditFacts(1, "ab", 2, "its content is not what was written", ()))
    assert "chain is broken at row 2" in markdown.render(broken).split("## Collections")[0]
    assert '<div class="tile bad"><b>broken</b>' in html.render(broken)


def test_the_verdict_uses_the_strongest_evidence_and_needs_some() -> None:
    nothing = CopyFacts(3)
    assert verdict(collection()).word == "equal"
    assert verdict(collection(target=CopyFacts(3, 3, "00"))).tone == "bad"
    bare = collection(origin=nothing, target=nothing)
    assert (verdict(bare).tone, verdict(bare).word) == ("good", "verified")
    assert verdict(replace(bare, runs=())).word == "not verified"
    assert verdict(replace(bare, runs=(backfill(1, 3, 3, 0.0),))).tone == "open"
    assert verdict(replace(bare, runs=(verification(1, 3, 1, left=2),))).word == "different"
    assert verdict(replace(bare, left_out=facts().collections[1].left_out)).word == "unverified"
    assert verdict(replace(bare, origin=CopyFacts(error="away"))).word == "unknown"


def test_totals_and_json() -> None:
    figures = total(facts())
    assert (figures.collections, figures.good, figures.repaired, figures.orphans) == (3, 1, 3, 41)
    written = as_json(facts())
    assert written["collections"][0]["runs"][2]["documents_per_second"] == 2912.2
    assert written["collections"][1]["verdict"]["word"] == "different"


@pytest.mark.parametrize(
    ("value", "text"), [(0.42, "0.42 s"), (42.4, "42 s"), (125, "2 min 05 s"), (4210, "1 h 10 min")]
)
def test_durations(value: float, text: str) -> None:
    assert words.seconds(value) == text


def test_sizes_and_outcomes() -> None:
    assert (words.size(None), words.size(12), words.size(3.5 * 2**40)) == ("–", "12 B", "3.5 TiB")
    run = backfill(1, 3, 3, 0.0)
    assert (run.rate, run.byte_rate) == (0.0, 0.0)
    assert words.outcome(replace(run, error="gone")) == "gone"
    assert words.outcome(replace(verification(1, 3, 1), checked=None, left=None)) == "–"
    assert words.outcome(replace(verification(1, 3, 1), left=None)) == "3 keys"
