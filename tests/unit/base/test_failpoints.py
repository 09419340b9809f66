"""Points at which a test may kill the process."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from proxy.base import failpoints


def test_without_a_fault_nothing_happens() -> None:
    failpoints.armed("")("after-intend")
    failpoints.reach("after-intend")


def test_the_nth_time_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    reach = failpoints.armed("mid-batch:2")
    reach("mid-batch")
    reach("after-apply")
    assert killed == []
    reach("mid-batch")
    assert killed == [(os.getpid(), signal.SIGKILL)]
    failpoints.armed("after-apply")("after-apply")
    assert len(killed) == 2


def test_an_unknown_point_is_named() -> None:
    with pytest.raises(ValueError, match="'nowhere': the points are after-intend"):
        failpoints.armed("nowhere")


def test_a_point_notifies_its_listener_and_waits_for_the_next_plan(tmp_path: Path) -> None:
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "points"))
        listening.listen()

        def answer() -> None:
            for plan in (b"after-apply:2\n", b"\n"):
                asked, _ = listening.accept()
                with asked:
                    heard.append(asked.recv(100).decode().strip())
                    asked.sendall(plan)

        listener = threading.Thread(target=answer)
        listener.start()
        reach = failpoints.armed(f"mid-batch@{tmp_path / 'points'}")
        for name in ("after-apply", "mid-batch", "mid-batch", "after-apply", "after-apply", "after-apply"):
            reach(name)
        listener.join()
    assert heard == ["mid-batch", "after-apply"]


def test_every_point_is_reached_by_the_code() -> None:
    root = Path(failpoints.__file__).parents[1]
    code = "".join(module.read_text("utf-8") for module in root.rglob("*.py"))
    missing = [point for point in failpoints.ALL if f'failpoints.reach("{point}")' not in code]
    assert missing == []
