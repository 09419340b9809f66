"""Requests that ArangoDB's own test suites state, on the development server, in the shadow and flipped.

They are outside the repository; without them the tests are skipped. `http_suite_differences.json` lists, with the
reason, those that newer recorded answers or the notes on the protocol contradict: each of them must fail, and no other.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.servers import ServerUnderTest

SUITES = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "suites"
DIFFERENCES: dict[str, str] = json.loads(
    Path(__file__).with_name("http_suite_differences.json").read_text(encoding="utf-8")
)


@pytest.mark.long
@pytest.mark.timeout(320)
@pytest.mark.skipif(not SUITES.is_dir(), reason="no cases of ArangoDB's suites beside the repository")
def test_requests_of_arangodbs_own_suites_get_the_stated_answers(server: ServerUnderTest, tmp_path: Path) -> None:
    failing = tmp_path / "failing.jsonl"
    port = ["--port", str(urlsplit(server.url).port)]
    files = sorted(str(file) for file in SUITES.glob("http_*.jsonl"))
    done = subprocess.run(
        [sys.executable, str(SUITES / "replay_http.py"), *port, "--failing", str(failing), *files],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert re.search(r"^\d+ of \d+ pass", done.stdout, re.MULTILINE), done.stderr
    found = [json.loads(line) for line in failing.read_text("utf-8").splitlines()]
    wrong = {case["id"]: case["wrong"] for case in found}
    assert {name: wrong[name] for name in wrong.keys() - DIFFERENCES.keys()} == {}
    assert DIFFERENCES.keys() - wrong.keys() == set(), "listed, and it passes: take it off the list"
    assert server.findings().get("mismatched", 0) == 0
    assert (server.served() > 0) == server.kind.reads_postgresql


def test_every_difference_has_a_reason() -> None:
    assert all(len(reason) > 20 for reason in DIFFERENCES.values())
