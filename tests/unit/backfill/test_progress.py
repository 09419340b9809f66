"""The display of progress, in a terminal and without one."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from backfill.progress import RunBars, RunLines
from backfill.run_summary import WorkerProgress
from tests.unit.backfill.test_run_summary import STATUS


def test_bars_show_rate_time_left_and_the_end() -> None:
    text = io.StringIO()
    with RunBars(Console(file=text, force_terminal=True, width=160)) as bars:
        bars.show([STATUS])
        bars.show([replace(STATUS, documents=1_200, state="done")])
    assert "backfill shop/carts" in text.getvalue()
    assert "1200/1200" in text.getvalue()
    assert "done" in text.getvalue()


def test_lines_come_now_and_then_for_open_runs() -> None:
    text = io.StringIO()
    lines = RunLines(Console(file=text, width=200), every=0.0)
    lines.show([STATUS, replace(STATUS, run=4, state="done")])
    assert text.getvalue().count("\n") == 1
    assert "run 3 open, 500 of about 1,000 documents (50 %)" in text.getvalue()
    silent = RunLines(Console(file=text, width=200), every=3600.0)
    silent.show([STATUS])
    assert text.getvalue().count("\n") == 1


def test_each_worker_has_a_bar_with_the_reason_for_which_it_waits() -> None:
    text = io.StringIO()
    at = WorkerProgress("host:12:1:abcd", 2, 100, 250, "paused: run `crossfade backfill resume` to continue")
    with RunBars(Console(file=text, force_terminal=True, width=200)) as bars:
        bars.show([replace(STATUS, workers=(at,))])
        bars._progress.refresh()
        bars.show([replace(STATUS, workers=(replace(at, waiting=None),))])
        assert len(bars._workers) == 1
        bars.show([replace(STATUS, workers=())])
        assert bars._workers == {}
    assert "host:12:1 chunk 2" in text.getvalue()
    assert "waits: paused" in text.getvalue()
