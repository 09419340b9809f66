"""Seeded faults in the product's code, each against the test that must catch it: `make mutants`.

Each mutant is one replacement of text in a copy of the tree, in a temporary folder. The named test must pass on the
tree as it is, and fail on the mutant. Exit code 1 where one survives. Those of the model are rules that are not kept
(tests/model/test_mirror.py): each must break a property.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.model.explore import explore
from tests.model.test_mirror import NEEDED

ROOT = Path(__file__).parents[2]
_FOLDERS = ("proxy", "backfill", "sql", "deploy", "tests", "bench")


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` stands `times` in the file and becomes `new`; `test` is what must fail then."""

    name: str
    file: str
    old: str
    new: str
    test: str
    times: int = 1


_RULES = "tests/faults/test_rules.py"
_MIRROR = "tests/integration/test_mirror.py"
_DOCUMENTS = "sql/queries/documents.sql"

MUTANTS = (
    Mutant(
        "revision guard removed",
        _DOCUMENTS,
        "WHERE excluded.rev > d.rev AND excluded.mark >= d.mark",
        "WHERE excluded.mark >= d.mark",
        f"{_RULES}::test_an_older_version_never_goes_over_a_newer",
    ),
    Mutant(
        "settled before applied",
        "proxy/mirror/pipeline.py",
        "        elif self._queue.count >= self._settings.batch:",
        "        else:\n            self.settled_nothing(intent)\n"
        "        if self._queue.count >= self._settings.batch:",
        "tests/faults/test_rules.py::test_an_intent_is_open_until_postgresql_has_the_write",
    ),
    Mutant(
        "tombstone dropped",
        _DOCUMENTS,
        "SET rev = excluded.rev, raw = NULL, doc = NULL, mark = greatest(d.mark, excluded.mark)\nWHERE d.rev <=",
        "SET rev = 0, raw = NULL, doc = NULL, mark = 0\nWHERE d.rev <=",
        f"{_RULES}::test_a_tombstone_refuses_what_it_overtook",
    ),
    Mutant(
        "tombstone purged, horizon not raised",
        "proxy/mirror/purge.py",
        '            await session.execute(statements["raise_horizon"].text, collection, era)\n',
        "",
        f"{_RULES}::test_behind_a_purge_older_statements_are_refused_and_read_again",
    ),
    Mutant(
        "horizon untested",
        _DOCUMENTS,
        "WHERE i.stamp >= h.mark",
        "WHERE i.stamp >= h.mark - 1000000",
        f"{_RULES}::test_behind_a_purge_older_statements_are_refused_and_read_again",
        times=3,
    ),
    Mutant(
        "FOR SHARE missing",
        _DOCUMENTS,
        "WHERE collection = $1 FOR SHARE)",
        "WHERE collection = $1)",
        "tests/faults/test_rules.py::test_a_purge_waits_for_the_statements_that_began_before_it",
        times=4,
    ),
    Mutant(
        "stamp taken too late",
        "proxy/mirror/pipeline.py",
        "        intent.remaining = len(changes)\n",
        "        intent.remaining = len(changes)\n        intent.stamp = self._era()\n",
        "tests/faults/test_rules.py::test_the_stamp_is_the_era_from_before_the_write_was_sent",
    ),
    Mutant(
        "intent after forward",
        "proxy/writing/documents.py",
        '    faults.reach("after-intend")\n',
        '    faults.reach("after-intend")\n    mirror.settled_nothing(intent)\n',
        "tests/faults/test_rules.py::test_the_journal_has_the_intent_before_the_origin_has_the_request",
    ),
    Mutant(
        "repair that finds nothing writes nothing",
        "proxy/mirror/repair.py",
        "        if gone:\n",
        "        if gone and before:\n",
        f"{_MIRROR}::test_a_lost_delete_while_an_older_upsert_is_queued_leaves_no_ghost",
    ),
    Mutant(
        "refused taken for settled",
        "proxy/mirror/target.py",
        "if not overtaken(row, stored.get(row.key)))",
        "if False)",
        f"{_MIRROR}::test_what_the_horizon_refuses_is_read_again",
    ),
    Mutant(
        "lost answer read at once",
        "proxy/mirror/pipeline.py",
        "due = time.monotonic() + self._settings.late_request",
        "due = time.monotonic() - 1.0",
        f"{_MIRROR}::test_a_lost_answer_is_read_again_after_the_bound",
    ),
    Mutant(
        "what a scan finds is not read again",
        "proxy/mirror/repair.py",
        "if not await self.until_done(collection, keys):",
        "if True:",
        "tests/faults/test_journal.py::test_writes_whose_keys_arangodb_made_are_found_by_one_scan_after_a_kill",
    ),
    Mutant(
        "a stop of the machine goes unnoticed",
        "proxy/mirror/journal.py",
        "            marks += [(name, _MACHINE) for name in self._written.read()]\n",
        "",
        "tests/unit/mirror/test_journal.py::test_a_stop_of_the_machine_names_what_was_written_since_the_last_sync_point",
    ),
    Mutant(
        "epoch check skipped",
        "sql/queries/store.sql",
        "EXISTS (SELECT 1 FROM crossfade.control WHERE generation = $2)",
        "EXISTS (SELECT 1 FROM crossfade.control)",
        "tests/integration/test_postgres_store.py::test_the_fence_stands_in_the_statement",
        times=0,
    ),
    Mutant(
        "lease ignored",
        "sql/queries/store.sql",
        "(diverged OR lease_until < clock_timestamp())",
        "diverged",
        "tests/integration/test_postgres_store.py::test_the_fence_stands_in_the_statement",
        times=0,
    ),
    Mutant(
        "alarm of a full disk not rung",
        "proxy/mirror/pipeline.py",
        "            self._journal.alarm.set(True)\n",
        "",
        "tests/faults/test_journal.py::test_on_a_full_disk_writes_are_forwarded_and_a_kill_then_is_not_silent",
    ),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """caught: the test failed on the mutant. why: what is wrong with the mutant itself, else empty."""

    name: str
    test: str
    caught: bool
    seconds: float
    why: str = ""


class Tree:
    """A copy of the project in a temporary folder; `run` says whether tests pass there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _FOLDERS:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)

    def run(self, tests: Sequence[str], seconds: float = 300.0) -> bool:
        """Raises RuntimeError where there is no such test."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        env = {
            **os.environ,
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COVERAGE_PROCESS_START": "",
        }
        env |= {"HYPOTHESIS_STORAGE_DIRECTORY": str(self.folder / ".hypothesis")}
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{' '.join(tests)} could not be run: {done.stdout[-1500:]}{done.stderr[-500:]}")
        return done.returncode == 0

    def mutated(self, mutant: Mutant) -> Verdict:
        """Runs the test on the mutant, and puts the file right again."""
        file = self.folder / mutant.file
        text = file.read_text("utf-8")
        found = text.count(mutant.old)
        if not found or (mutant.times and found != mutant.times):
            return Verdict(
                mutant.name, mutant.test, caught=False, seconds=0.0, why=f"found {found} times in {mutant.file}"
            )
        begun = time.perf_counter()
        file.write_text(text.replace(mutant.old, mutant.new), "utf-8")
        try:
            passed = self.run([mutant.test])
        finally:
            file.write_text(text, "utf-8")
        return Verdict(mutant.name, mutant.test, not passed, time.perf_counter() - begun)


def of_the_model() -> list[Verdict]:
    """Rules of the model that are not kept, each against its property."""
    verdicts = []
    for name, (rules, bounds, said) in NEEDED.items():
        found = explore(name, bounds, rules)
        verdicts.append(Verdict(f"model: {name}", f"property {said}", found.wrong.startswith(said), found.seconds))
    return verdicts


def line(verdict: Verdict) -> str:
    """One mutant as text."""
    said = "caught" if verdict.caught else f"SURVIVED {verdict.why}"
    return f"{verdict.name:52}{said:10}{verdict.seconds:6.1f} s  {verdict.test.rpartition('::')[2]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants")
    parser.add_argument("--only", action="append", help="mutants whose name holds this")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if not options.only or any(part in m.name for part in options.only)]
    verdicts = of_the_model()
    for verdict in verdicts:
        print(line(verdict), flush=True)
    with tempfile.TemporaryDirectory(prefix="crossfade-mutants-") as name:
        tree = Tree(Path(name))
        if not tree.run(list(dict.fromkeys(mutant.test for mutant in chosen))):
            print("the tests do not pass on the tree as it is: nothing can be said of mutants")
            return 1
        for mutant in chosen:
            verdicts.append(tree.mutated(mutant))
            print(line(verdicts[-1]), flush=True)
    alive = [verdict for verdict in verdicts if not verdict.caught]
    print(f"{len(verdicts)} mutants, {len(verdicts) - len(alive)} caught, {len(alive)} alive")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
