"""When a certificate holds, and that both of its forms say the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backfill.completion.certificate import Certificate
from backfill.completion.certificate_page import render
from backfill.completion.sides import Compared, Side
from proxy.control.gates.gate_types import Gate, GateVerdict
from proxy.state.audit import ChainVerdict

SIDE = Side(2, "ab" * 32)
GOOD = Certificate(
    at="2026-01-02T03:04:05+00:00",
    actor="<ann>",
    reason="the end",
    forced=False,
    epoch=4,
    generation=9,
    collections=("shop/orders",),
    gates={"shop/orders": (Gate("final archive", GateVerdict.PASSED, "/backup", "an archive"),)},
    compared=(Compared("shop/orders", SIDE, SIDE),),
    audit=ChainVerdict(7, b"\x01" * 32),
    archive={
        "folder": "/backup",
        "id": "7",
        "created_at": "2026-01-01",
        "checksum": "cd",
        "collections": [{"collection": "shop/orders", "documents": 2, "finished_at": "2026", "digest": "ab"}],
    },
    lost=("views of shop: <v>",),
    versions=(("Crossfade", "1"),),
)


def test_it_holds_if_both_sides_are_equal_and_the_audit_is_intact() -> None:
    text = GOOD.as_json()
    assert (text["holds"], text["problems"], text["ignored"]) == (True, [], [])
    page = render(GOOD)
    for shown in ("ab" * 32, "&lt;ann&gt;", "views of shop: &lt;v&gt;", "01" * 32, "final archive"):
        assert shown in page
    assert "does not hold" not in page
    assert "<script" not in page
    assert "src=" not in page


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"compared": ()}, "both sides were not compared"),
        ({"compared": (), "trouble": "ArangoDB could not be read"}, "could not be read"),
        ({"compared": (Compared("shop/orders", SIDE, Side(2, "cd")),)}, "checksums are different"),
        ({"compared": (Compared("shop/orders", SIDE, SIDE, 1, (("k", "other content"),)),)}, "k: other content"),
        ({"audit": ChainVerdict(3, b"", 4, "a row was removed")}, "broken at row 4"),
    ],
)
def test_it_does_not_hold(changed: dict[str, Any], why: str) -> None:
    made = replace(GOOD, **changed)
    assert not made.holds
    assert why in "; ".join(made.problems)
    assert "does not hold" in render(made)


def test_a_gate_that_was_ignored_is_named() -> None:
    gate = Gate("brown-out passed", GateVerdict.INCONCLUSIVE, "not tried", "no request failed")
    made = replace(GOOD, gates={"shop/orders": (gate,)}, forced=True, archive=None, lost=())
    assert made.holds
    assert made.ignored == ("shop/orders: brown-out passed was inconclusive (not tried)",)
    assert "gates ignored by --force" in render(made)
