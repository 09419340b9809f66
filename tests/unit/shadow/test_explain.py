"""Explanations come from another process, within limits."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

from proxy.shadow.explain import Explainer, describe

A, B = b'{"x":1,"y":{"z":"old"},"n":1}', b'{"x":2,"y":{"z":"new"},"n":1.0}'


def test_what_differs_in_words() -> None:
    text = describe(A, B, True)

    assert text is not None
    assert "root['x'] changed from 1 to 2" in text
    assert "root['n']" not in text


def test_without_values_only_places_are_named() -> None:
    text = describe(A, B, False)

    assert text is not None
    assert "root['y']['z']" in text
    assert "old" not in text
    assert "new" not in text


async def test_over_the_time_limit_there_is_none() -> None:
    many = [orjson.dumps([{"k": n * m} for n in range(3000)]) for m in (1, 2)]
    explainer = Explainer(seconds=0.01)
    try:
        assert await explainer.explain(many[0], many[1]) is None
        assert (explainer.omitted, explainer.pid) == (1, None)
    finally:
        await explainer.close()


async def test_few_wait_for_the_worker() -> None:
    explainer = Explainer()
    try:
        found = await asyncio.gather(*(explainer.explain(A, B) for _ in range(6)))
        assert [text is None for text in found] == [False] * 4 + [True] * 2
    finally:
        await explainer.close()


def test_what_is_no_json_is_not_explained() -> None:
    assert describe(b"<html>", B, True) is None


async def test_the_worker_explains_and_comes_back_after_it_was_killed() -> None:
    explainer = Explainer(seconds=5.0)
    try:
        assert explainer.pid is None
        assert "changed from 1 to 2" in (await explainer.explain(A, B) or "")
        assert explainer.pid is not None
        os.kill(explainer.pid, signal.SIGKILL)
        assert await explainer.explain(A, B) is None
        assert "changed from 1 to 2" in (await explainer.explain(A, B) or "")
        assert await explainer.explain(b"x" * (300 << 10), B) is None
        assert explainer.omitted >= 1
    finally:
        await explainer.close()


def test_the_worker_ends_with_its_parent_however_that_ends() -> None:
    program = """
import asyncio, sys
from proxy.shadow.explain import Explainer

async def main():
    explainer = Explainer()
    await explainer.explain(b"[1]", b"[2]")
    print(explainer.pid, flush=True)
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "parent.py"
        file.write_text(program)
        parent = subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, text=True, env={**os.environ})
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        parent.stdout.close()

    until = time.monotonic() + 30
    while _running(worker) and time.monotonic() < until:
        time.sleep(0.01)
    assert not _running(worker)


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


async def test_closing_does_not_wait_for_an_explanation() -> None:
    explainer = Explainer(seconds=60.0)
    slow = orjson.dumps([{"k": n, "t": [n] * 3} for n in range(2500)])
    other = orjson.dumps([{"k": -n, "t": [n, n]} for n in range(2500)])
    task = asyncio.create_task(explainer.explain(slow, other))
    while explainer.pid is None:
        await asyncio.sleep(0.01)

    await explainer.close()

    assert await task is None
    await explainer.close()
