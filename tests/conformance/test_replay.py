"""The development server against examples that a real ArangoDB answered, where they lie beside the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.development import development_server

_TOOL = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "replay.mjs"
# Two kinds of examples no server can pass: names of indexes that a server makes of its clock, which the tool compares
# by text, and a script that fails within the tool before it sends the request that is looked at.
_IMPOSSIBLE = re.compile(r'\.name: recorded "idx_\d+", got "idx_\d+"|Cannot read properties of undefined')


@pytest.mark.skipif(not _TOOL.is_file(), reason=f"recorded examples are not at {_TOOL}")
@pytest.mark.skipif(shutil.which("node") is None or shutil.which("curl") is None, reason="the tool needs node and curl")
def test_recorded_examples() -> None:
    with development_server() as url:
        done = subprocess.run(
            ["node", str(_TOOL), "--url", url], capture_output=True, text=True, timeout=110, check=False
        )
    lines = done.stdout.splitlines()
    failed = [line for line in lines if line.startswith("FAIL") and not _IMPOSSIBLE.search(line)]
    assert failed == []
    assert re.fullmatch(r"\d+ passed, \d+ failed", lines[-1])
