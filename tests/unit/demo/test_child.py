"""A child runs under a supervisor: it stops when asked, dies when killed, and never outlives the starting process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.demo import supervisor
from deploy.demo.child import Child
from proxy.base.errors import ConfigurationError

READY = "import signal, sys, time\n{before}\nprint('ready', flush=True)\ntime.sleep(600)"


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def sleeper(folder: Path, before: str = "", **rest: object) -> Child:
    command = [sys.executable, "-c", READY.format(before=before)]
    return Child("sleeper", command, folder / "log", **rest)  # type: ignore[arg-type]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Child]:
    child = sleeper(tmp_path).start()
    child.wait_for(lambda: "ready" in child.tail())
    yield child
    child.kill()


def test_it_runs_until_it_is_asked_to_stop(started: Child) -> None:
    assert started.running
    assert alive(started.pid)
    assert started.start() is started
    started.stop()
    assert not started.running
    assert not alive(started.pid)
    started.stop()
    started.kill()


def test_a_kill_leaves_no_say(tmp_path: Path) -> None:
    child = sleeper(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)", grace=0.2).start()
    child.wait_for(lambda: "ready" in child.tail())
    child.kill()
    assert not alive(child.pid)


def test_one_that_does_not_listen_is_killed_after_the_grace(tmp_path: Path) -> None:
    child = sleeper(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)", grace=0.2).start()
    child.wait_for(lambda: "ready" in child.tail())
    child.stop()
    assert not alive(child.pid)


def test_it_can_be_started_again(started: Child) -> None:
    first = started.pid
    started.kill()
    started.start()
    assert started.pid != first
    assert started.running


def test_the_stop_signal_is_the_one_that_was_chosen(tmp_path: Path) -> None:
    before = "signal.signal(signal.SIGINT, lambda *_: (print('interrupted', flush=True), sys.exit(0)))"
    child = sleeper(tmp_path, before, stop_signal=signal.SIGINT).start()
    child.wait_for(lambda: "ready" in child.tail())
    child.stop()
    assert "interrupted" in child.tail()


def test_one_that_ends_at_its_start_shows_its_words(tmp_path: Path) -> None:
    child = Child("liar", [sys.executable, "-c", "raise SystemExit('no such luck')"], tmp_path / "log").start()
    with pytest.raises(ConfigurationError, match="liar ended at its start: no such luck"):
        child.wait_for(lambda: False)
    child.stop()


def test_one_that_never_gets_ready_runs_out_of_time(started: Child) -> None:
    with pytest.raises(ConfigurationError, match=r"sleeper was not ready after 0 s: ready"):
        started.wait_for(lambda: False, seconds=0.1)


def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ghost could not be started: /no/such/program"):
        Child("ghost", ["/no/such/program"], tmp_path / "log").start()
    assert Child("ghost", ["/no/such/program"], tmp_path / "none").tail() == "(no output)"


HOLDER = """
import sys
from pathlib import Path
from deploy.demo.child import Child
folder = Path(sys.argv[1])
child = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], folder / "log", remove=folder).start()
print(child.pid, child._supervisor.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_holder_goes_the_child_goes_and_its_folder(tmp_path: Path, how: signal.Signals) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as holder:
        assert holder.stdout is not None
        pid, warden_pid = map(int, holder.stdout.readline().split())
        assert alive(pid)
        holder.send_signal(how)
        holder.wait()
    until(lambda: not alive(pid))
    until(lambda: not alive(warden_pid))
    assert not folder.exists()


def test_whoever_ends_the_warden_ends_the_command(tmp_path: Path) -> None:
    child = sleeper(tmp_path).start()
    child.wait_for(lambda: "ready" in child.tail())
    assert child._supervisor is not None
    os.kill(child._supervisor.pid, signal.SIGTERM)
    until(lambda: not child.running)
    assert not alive(child.pid)
    child.stop()


@pytest.mark.parametrize(("command", "code"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_wardens_exit_code_is_the_commands(tmp_path: Path, command: str, code: int) -> None:
    options = {"log": str(tmp_path / "log"), "stop": "SIGTERM", "grace": 5, "user": None, "group": None, "remove": None}
    with subprocess.Popen(
        [sys.executable, supervisor.__file__, json.dumps(options), sys.executable, "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        assert process.wait() == code
