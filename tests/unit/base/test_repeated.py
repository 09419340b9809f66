"""An outage fills no disk: trouble is logged when it begins or changes, then once a minute."""

from __future__ import annotations

from proxy.base.repeated import Repeated


def test_trouble_is_logged_once_then_every_minute() -> None:
    now = 0.0
    trouble = Repeated(clock=lambda: now)
    assert trouble.now("DatabaseUnavailable")
    assert not trouble.now("DatabaseUnavailable")
    assert trouble.now("DatabaseRefused 25006"), "other trouble"
    now = 59.0
    assert not trouble.now("DatabaseRefused 25006")
    now = 60.0
    assert trouble.now("DatabaseRefused 25006")
    assert trouble.over()
    assert not trouble.over(), "its end is worth one line"
    assert trouble.now("DatabaseRefused 25006"), "it begins anew"
