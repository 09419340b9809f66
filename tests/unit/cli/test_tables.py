"""What commands print: one line a row where nobody's terminal is too narrow for it, and ids in one piece everywhere."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

import sql
from proxy.cli import tables
from proxy.cli.runtime import console
from proxy.model.stages import CollectionState, Stage
from proxy.operator.out_of_band import OutOfBandCount
from proxy.operator.status import CollectionStatus, ControlStatus

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ID = "resume-service-with-a-long-name-0-a9ead740"


def instance(state: str) -> sql.control.InstanceRow:
    left = -1.0 if state == "silent" else 1.0
    return sql.control.InstanceRow(
        ID, "host", 7, "0.1.0", None, NOW, NOW, None, 3, 3, state == "diverged", 0, 0.0, 0.2, left
    )  # fmt: skip


def status(stage: Stage, state: str) -> ControlStatus:
    one = CollectionState(stage, 100 if stage is Stage.FLIPPED else 0)
    collection = CollectionStatus("shop/orders", one, NOW, 0, 0, 0, 0, 0, 0, None, None)
    return ControlStatus(3, 1, None, {}, (collection,), (instance(state),), ())


def test_what_is_piped_is_not_broken_over_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = console()
    tables.status(out, status(Stage.SHADOW, "live"))
    out.print("x" * 500)
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if ID in line]
    assert "live" in row
    assert "host, process 7" in row
    assert "x" * 500 in lines


@pytest.mark.parametrize("width", [60, 80])
def test_ids_stay_in_one_piece_on_a_narrow_terminal(width: int) -> None:
    stream = io.StringIO()
    tables.status(Console(file=stream, width=width, force_terminal=True, no_color=True), status(Stage.SHADOW, "live"))
    assert ID in stream.getvalue()
    assert "shop/orders" in stream.getvalue()


@pytest.mark.parametrize(
    ("stage", "state", "said"),
    [
        (Stage.FLIPPED, "silent", f"reads of flipped collections come from ArangoDB: {ID} is silent"),
        (Stage.FLIPPED, "diverged", f"reads of flipped collections come from ArangoDB: {ID} is diverged"),
        (Stage.FLIPPED, "live", ""),
        (Stage.SHADOW, "silent", ""),
    ],
)
def test_status_says_when_flipped_is_a_wish(stage: Stage, state: str, said: str) -> None:
    """`flipped 100 %` beside a dead proxy: every read comes from ArangoDB then."""
    told = tables.reads_lost(status(stage, state))
    assert told.startswith(said) if said else told == ""


def test_status_names_what_blocks_a_flip() -> None:
    """A dash never stands for what was not checked, and a silent proxy is not a mark that a verification removes."""
    shadow = status(Stage.SHADOW, "live")
    assert tables.blocking(shadow.collections[0], shadow) == "run `crossfade gates`"
    flipped = status(Stage.FLIPPED, "live")
    assert tables.blocking(flipped.collections[0], flipped) == "-"

    silent = status(Stage.SHADOW, "silent")
    counted = replace(silent.collections[0], unverified=1)
    assert tables.blocking(counted, silent) == "1 silent proxy"
    marked = replace(silent.collections[0], unverified=3, unverified_reason="import", dead_letters=1)
    assert tables.blocking(marked, silent) == "2 unverified (import), 1 silent proxy, 1 dead letters"

    written = replace(shadow, out_of_band_writes=(OutOfBandCount("shop/orders", 3, 2, NOW, ("1", "2", "3")),))
    assert tables.blocking(shadow.collections[0], written) == "2 out-of-band writes"


def test_the_audit_shows_what_each_entry_changed() -> None:
    before, after = {"stage": "flipped", "weight": 10}, {"stage": "shadow", "weight": 0}
    moves = [{"collection": "shop/orders", "before": before, "after": after}]
    assert tables.changed({"epoch": 3, "moves": moves}) == "shop/orders flipped 10 % -> shadow"
    evicted = {"moves": [], "instance": "two", "unverified": ["shop/orders", "shop/users"]}
    assert tables.changed(evicted) == "instance: two; unverified: shop/orders, shop/users"
    assert tables.changed({"limit": "slowdown", "value": 2.0}) == "limit: slowdown; value: 2.0"
    assert tables.changed({}) == ""
