"""`make corpus` on a few queries: its counts, and that the generated documents make queries return rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.corpus.__main__ import example_summary, examples, lines, summary, verdicts
from bench.corpus.fuzz import failing_mutants
from bench.corpus.postgres import Target
from tests.ad_hoc import Database

CORPUS = Path(__file__).with_name("corpus.jsonl")


async def test_generated_documents_match_the_filters_of_each_query() -> None:
    found = {verdict.identifier: verdict for verdict in await verdicts(lines(CORPUS), None)}

    for name in ("list", "join", "group", "arrays", "graph", "document"):
        assert found[name].rows, name
    assert found["upsert"].rows == 1
    assert found["update"].rows
    assert found["unknown"].refused
    assert not found["search"].evaluated
    assert not found["broken"].parsed
    assert summary(list(found.values()))[0] == "tier 1: parsed 2/3, evaluated 2/3, compiled 0/3"


async def test_compiled_queries_agree_with_the_evaluator(database: Database) -> None:
    found = await verdicts(lines(CORPUS), await Target.open(database))

    wrong = {v.identifier: v.notes["compiled"] for v in found if v.notes.get("compiled", "").startswith("WRONG")}
    assert wrong == {}


async def test_recorded_answers_hold_with_stored_literals(database: Database) -> None:
    records: list[dict[str, Any]] = [
        {"name": "sum", "query": "RETURN SUM([1, 2, 3])", "result": [6]},
        {
            "name": "rows",
            "query": "FOR i IN [3, 1] SORT i LIMIT 1 RETURN {i, s: CONCAT(i, 'x')}",
            "result": [{"i": 1, "s": "1x"}],
        },
        {"name": "any order", "query": "RETURN UNIQUE([1, 2, 1])", "result": [[2, 1]]},
        {"name": "wrong", "query": "RETURN 1 + 1", "result": [3]},
    ]

    found = await examples(records, await Target.open(database))

    assert [one.name for one in found if one.plain and one.stored] == ["sum", "rows", "any order"]
    assert found[3].notes["plain"] == "got [2]"
    assert example_summary(found)[0].startswith("recorded answers: evaluated 3/4; with stored literals: evaluated 3/4")


def test_the_command_prints_the_file_of_failures_and_reports_a_missing_corpus(tmp_path: Path) -> None:
    report = tmp_path / "failed" / "report.jsonl"
    command = [sys.executable, "-m", "bench.corpus", "--no-compile"]

    done = subprocess.run([*command, str(CORPUS), "--report", str(report)], capture_output=True, text=True, check=True)
    missing = subprocess.run([*command, str(tmp_path / "none")], capture_output=True, text=True, check=False)

    assert "tier 4: parsed 2/2, evaluated 2/2, compiled 0/2" in done.stdout.splitlines()
    assert str(report) in done.stdout
    assert {json.loads(line)["id"] for line in report.read_text().splitlines()} >= {"search", "unknown", "broken"}
    assert missing.returncode == 1
    assert "no corpus at" in missing.stderr


def test_mutants_of_the_queries_end_in_a_result_or_an_error() -> None:
    """The short form of `make aql-long`."""
    counts: dict[str, int] = {}
    assert list(failing_mutants([record["query"] for record in lines(CORPUS)], 400, 5, counts)) == []
    assert counts["evaluated"] > 20
    assert counts["refused"] > 100
