"""Examples that a real ArangoDB answered, if they are present beside the repository.

They run on the development server, on the proxy in front of it in the shadow, on the proxy that serves reads from
PostgreSQL, and on PostgreSQL alone. All four answer the same ones, but for the write-ahead log.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.servers import Kind, ServerUnderTest

_FOLDER = Path(__file__).resolve().parents[3] / "shared" / "conformance"
_HTTP, _AQL = _FOLDER / "replay.mjs", _FOLDER / "replay_aql.py"
# Examples that no server can pass: names of indexes that a server makes of its clock, which the tool compares by text;
# a script that fails within the tool before it sends the request that is checked; a regular expression that was
# recorded as its page is written, with one level of escapes more than was run.
_EXPECTED_FAILURES = re.compile(
    r'\.name: recorded "idx_\d+", got "idx_\d+"|Cannot read properties of undefined|^FAIL \w*Regex\w*: .*\[false\]$'
)


def replay_failures(command: list[str]) -> list[str]:
    """Run a tool; return the examples that failed, without those that no server can pass."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    assert re.fullmatch(r"\d+ passed, \d+ failed", lines[-1])
    assert int(lines[-1].split()[0]) > 0
    return [line for line in lines if line.startswith("FAIL") and not _EXPECTED_FAILURES.search(line)]


@pytest.mark.long
@pytest.mark.skipif(not _HTTP.is_file(), reason=f"recorded examples are not at {_HTTP}")
@pytest.mark.skipif(shutil.which("node") is None or shutil.which("curl") is None, reason="the tool needs node and curl")
def test_recorded_http_examples_get_the_recorded_answers(server: ServerUnderTest) -> None:
    found = replay_failures(["node", str(_HTTP), "--url", server.url])
    if server.kind is Kind.COMPLETE:  # which has no write-ahead log of ArangoDB's
        found = [line for line in found if not line.startswith("FAIL RestWal")]
    assert found == []
    assert server.findings().get("mismatched", 0) == 0
    assert (server.served() > 0) == server.kind.reads_postgresql


@pytest.mark.skipif(not _AQL.is_file(), reason=f"recorded examples are not at {_AQL}")
def test_recorded_queries_get_the_recorded_answers(server: ServerUnderTest) -> None:
    assert replay_failures([sys.executable, str(_AQL), "--url", server.url]) == []
    assert server.findings().get("mismatched", 0) == 0
