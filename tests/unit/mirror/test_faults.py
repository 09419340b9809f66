"""Points at which a test may kill the process."""

from __future__ import annotations

import os
import signal

import pytest

from proxy.mirror import faults


def test_without_a_fault_nothing_happens() -> None:
    faults.armed("")("after-intend")
    faults.reach("after-intend")


def test_the_nth_time_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    reach = faults.armed("mid-batch:2")
    reach("mid-batch")
    reach("after-apply")
    assert killed == []
    reach("mid-batch")
    assert killed == [(os.getpid(), signal.SIGKILL)]
    faults.armed("after-apply")("after-apply")
    assert len(killed) == 2


def test_an_unknown_point_is_named() -> None:
    with pytest.raises(ValueError, match="'nowhere': the points are after-intend"):
        faults.armed("nowhere")
