"""Marks that wait for PostgreSQL."""

from __future__ import annotations

from typing import Any, cast

from proxy.replication.verification_marks import VerificationMarks


def test_names_that_postgresql_cannot_hold_stay_apart_from_others() -> None:
    """U+0000 becomes U+FFFD: left out, the mark would be on another collection."""
    marks = VerificationMarks(cast("Any", None), "test", lambda *_: None)
    marks.add(["shop/or\0ders", "shop/orders", "shop/or\ufffdders"], "why")
    assert marks.waiting == 2
