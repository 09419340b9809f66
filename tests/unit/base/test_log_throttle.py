"""An outage fills no disk: trouble is logged when it begins or changes, then once a minute."""

from __future__ import annotations

from proxy.base.log_throttle import LogThrottle


def test_trouble_is_logged_once_then_every_minute() -> None:
    now = 0.0
    trouble = LogThrottle(clock=lambda: now)
    assert trouble.should_log("DatabaseUnavailable")
    assert not trouble.should_log("DatabaseUnavailable")
    assert trouble.should_log("DatabaseRefused 25006"), "other trouble"
    now = 59.0
    assert not trouble.should_log("DatabaseRefused 25006")
    now = 60.0
    assert trouble.should_log("DatabaseRefused 25006")
    assert trouble.ended()
    assert not trouble.ended(), "its end is worth one line"
    assert trouble.should_log("DatabaseRefused 25006"), "it begins anew"
