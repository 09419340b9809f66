"""Who gives a write up: every place that ends in a mark or a dead letter, and the test that holds it to the rule.

The rule (proxy/state/missing_writes.py): what PostgreSQL lacks, or may lack, is said together with the end of the flips
that it concerns. A new place fails here until it is named with a test of its own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_REFUSED = "tests/integration/test_refused_rows.py"
_FLIP_ENDS = "tests/integration/test_flip_ends.py"
_FULL = f"{_FLIP_ENDS}::test_a_full_journal_rolls_the_flip_back_before_the_answer"
_UNREAD = f"{_FLIP_ENDS}::test_documents_that_arangodb_refuses_to_return_cause_a_rollback"
_REFUSED = f"{_REFUSED}::test_a_document_that_postgresql_refuses_causes_a_rollback_before_the_answer"

# who marks a collection, or notes a dead letter -> the test that sees the flip taken back
PLACES = {
    "proxy/replication/mirror.py:Mirror._intend": _FULL,
    "proxy/replication/intent_closer.py:IntentCloser._mark": _FULL,
    "proxy/replication/mirror.py:Mirror.mark": f"{_FLIP_ENDS}::test_an_opaque_write_causes_a_rollback",
    "proxy/replication/target_catch_up.py:TargetCatchUp.ensure": (
        f"{_FLIP_ENDS}::test_an_answer_that_cannot_be_replicated_causes_a_rollback"
    ),
    "proxy/replication/journal_drainer.py:JournalDrainer._marked": (
        f"{_FLIP_ENDS}::test_an_opaque_write_of_an_earlier_process_causes_a_rollback"
    ),
    "proxy/replication/journal_drainer.py:JournalDrainer._search": (
        f"{_FLIP_ENDS}::test_a_revision_scan_over_its_limit_causes_a_rollback"
    ),
    "proxy/replication/journal_drainer.py:JournalDrainer._repair": _UNREAD,
    "proxy/replication/resync.py:Resyncer._carry_out": f"{_FLIP_ENDS}::test_a_failed_resync_causes_a_rollback",
    "proxy/replication/verification_marks.py:VerificationMarks.add_and_wait": (
        f"{_FLIP_ENDS}::test_an_answer_that_cannot_be_replicated_causes_a_rollback"
    ),
    "proxy/replication/verification_marks.py:VerificationMarks.post": _FULL,
    "proxy/replication/failover_detector.py:FailoverDetector.step": (
        f"{_FLIP_ENDS}::test_a_postgresql_failover_rolls_every_flip_back"
    ),
    "proxy/replication/session_writer.py:SessionWriter._bury": _REFUSED,
    "proxy/control/instance/registry.py:InstanceRegistry.register": "tests/integration/test_state_directory.py"
    "::test_an_older_copy_of_the_state_directory_causes_a_rollback",
    "backfill/archive/cli.py:_mark": f"{_FLIP_ENDS}::test_a_mark_aborts_an_epoch_that_would_flip_its_collection",
}
# statements that write to the two tables: only these, each with the end of the flips in its transaction
STATEMENTS = {
    "missing_writes.sql:mark",
    "missing_writes.sql:add_dead_letter",
    "mirror.sql:probe",  # which is rolled back
    "control.sql:mark_served",  # of an eviction, which rolls all flips back
}
_CALLS = {
    ("marks", "add"),
    ("marks", "add_and_wait"),
    ("missing_writes", "mark"),
    ("missing_writes", "mark_in"),
    ("missing_writes", "add_dead_letter"),
    ("missing_writes", "end_flips"),
}


def _callers() -> Iterator[str]:
    for folder in ("proxy", "backfill"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            name = str(file.relative_to(ROOT))
            if name == "proxy/state/missing_writes.py":
                continue
            yield from _in(ast.parse(file.read_text("utf-8")), name, "")


def _in(node: ast.AST, file: str, scope: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _in(child, file, f"{scope}.{child.name}" if scope else child.name)
            continue
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute):
            owner = child.func.value
            called = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            if (called.lstrip("_"), child.func.attr) in _CALLS or (
                file.endswith("marks.py") and (called, child.func.attr) == ("self", "add")
            ):
                yield f"{file}:{scope}"
        yield from _in(child, file, scope)


def test_whoever_gives_a_write_up_is_named_with_its_test() -> None:
    assert set(_callers()) == set(PLACES)


def test_the_tests_that_are_named_are_there() -> None:
    for place, test in PLACES.items():
        file, _, name = test.partition("::")
        assert re.search(rf"^async def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE), place


def test_no_other_statement_writes_marks_or_dead_letters() -> None:
    found = set()
    for file in sorted((ROOT / "sql" / "queries").glob("*.sql")):
        for part in file.read_text("utf-8").split("-- name: ")[1:]:
            if re.search(r"(INTO|UPDATE) _crossfade\.(unverified|dead_letter)\b(?! l SET tried_at)", part):
                found.add(f"{file.name}:{part.split()[0]}")
    assert found == STATEMENTS
    for folder in ("proxy", "backfill"):
        for code in (ROOT / folder).rglob("*.py"):
            assert not re.search(r"INTO _crossfade\.(unverified|dead_letter)", code.read_text("utf-8")), code
