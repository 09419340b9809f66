"""After PostgreSQL refused a session, it is not asked again until a pause has passed."""

from __future__ import annotations

import pytest

from proxy.base.database.connect_backoff import ConnectBackoff
from proxy.base.errors import DatabaseUnavailable


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("proxy.base.database.connect_backoff.time.monotonic", lambda: now[0])
    return now


def test_the_last_refusal_is_raised_during_the_pause(clock: list[float]) -> None:
    backoff = ConnectBackoff()
    backoff.check()
    backoff.refused(DatabaseUnavailable("too many", "53300"))
    with pytest.raises(DatabaseUnavailable, match="too many") as raised:
        backoff.check()
    assert raised.value.sqlstate == "53300"
    clock[0] += 0.1
    backoff.check()


def test_the_pause_doubles_up_to_its_longest_and_ends_with_a_session(clock: list[float]) -> None:
    backoff = ConnectBackoff()
    for pause in (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0):
        backoff.refused(DatabaseUnavailable("no"))
        clock[0] += pause - 0.01
        with pytest.raises(DatabaseUnavailable):
            backoff.check()
        clock[0] += 0.02
        backoff.check()
    backoff.connected()
    backoff.refused(DatabaseUnavailable("no"))
    clock[0] += 0.11
    backoff.check()
