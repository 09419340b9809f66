"""The first of the cases with collections from ArangoDB's own test suites, run by the tool that is kept with them.

On the development server, in the shadow and flipped: the answers are the same, and when flipped at least nine tenths of
them come from PostgreSQL (the rest are modifications, and queries that ArangoDB refuses).
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.servers import ServerUnderTest

_SUITES = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "suites"
_CASES = 40


@pytest.mark.long
@pytest.mark.skipif(not _SUITES.is_dir(), reason="no cases of ArangoDB's suites beside the repository")
def test_cases_with_collections_match_and_are_served_by_postgresql_when_flipped(server: ServerUnderTest) -> None:
    port = str(urlsplit(server.url).port)
    done = subprocess.run(
        [sys.executable, "replay_aql.py", "--port", port, "--limit", str(_CASES), "aql_with_collections.jsonl"],
        cwd=_SUITES,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    found = re.search(r"^(\d+) of (\d+) pass; served by (.*)$", done.stdout, re.MULTILINE)
    assert found is not None, done.stderr
    passed, total, served = int(found[1]), int(found[2]), ast.literal_eval(found[3])
    assert passed == total > 0, done.stdout
    assert (served.get("postgresql", 0) >= 0.9 * total) == server.kind.reads_postgresql, served
    assert server.findings().get("mismatched", 0) == 0
