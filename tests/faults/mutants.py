"""Seeded faults in the product's code, each with the test that must catch it: `make mutants`.

Each mutant (tests/faults/mutations, one module per subject) is one text replacement in a temporary copy of the tree.
The named test must pass on the unchanged tree and fail on the mutant. Exit code 1 if a mutant survives. A mutant of the
model (tests/model) disables one rule of the mirror, of promotion or of the reverse mirror, which must violate a
property.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.faults.mutations import ROOT, Mutant, subjects
from tests.model.explore import explore, explore_promotion, explore_reverse
from tests.model.promotion.runs import NEEDED as NEEDED_BY_PROMOTION
from tests.model.reverse.runs import NEEDED as NEEDED_BY_REVERSE_MIRROR
from tests.model.search import Found
from tests.model.test_mirror import NEEDED

_FOLDERS = ("proxy", "backfill", "sql", "deploy", "tests", "bench")
_MODEL = "model"  # the subject without a module of mutants: rules of the model
_MUTANTS_PER_TREE = 8  # mutants of one copy of the tree


@dataclass(frozen=True, slots=True)
class Verdict:
    """caught: the test failed on the mutant. why: what is wrong with the mutant itself, or empty."""

    name: str
    test: str
    caught: bool
    seconds: float
    why: str = ""


class Tree:
    """A copy of the project in a temporary folder. `run` returns whether tests pass there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _FOLDERS:
            # including compiled files: a mutated file has a new date, so it is compiled again
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy(ROOT / "pyproject.toml", folder)

    def run(self, tests: Sequence[str], seconds: float = 900.0) -> bool:
        """Run the tests. Raise RuntimeError if there is no such test, and TimeoutExpired, which proves nothing."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=400", *tests]
        env = {
            **os.environ,
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COVERAGE_PROCESS_START": "",
        }
        env |= {"HYPOTHESIS_STORAGE_DIRECTORY": str(self.folder / ".hypothesis")}
        done = subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{' '.join(tests)} could not be run: {done.stdout[-1500:]}{done.stderr[-500:]}")
        return done.returncode == 0

    def mutated(self, mutant: Mutant) -> Verdict:
        """Run the test on the mutant, then restore the file."""
        file = self.folder / mutant.file
        text = file.read_text("utf-8")
        found = text.count(mutant.old)
        if not found or (mutant.times and found != mutant.times):
            return Verdict(
                mutant.name, mutant.test, caught=False, seconds=0.0, why=f"found {found} times in {mutant.file}"
            )
        started = time.perf_counter()
        file.write_text(text.replace(mutant.old, mutant.new), "utf-8")
        try:
            passed = self.run([mutant.test])
        except subprocess.TimeoutExpired as error:
            return Verdict(mutant.name, mutant.test, caught=False, seconds=error.timeout, why="no verdict in time")
        finally:
            file.write_text(text, "utf-8")
        return Verdict(mutant.name, mutant.test, not passed, time.perf_counter() - started)


def of_the_models() -> dict[str, tuple[Callable[[], Found], str]]:
    """Return for each rule of a model how to explore without it, and the property that is then violated."""
    found: dict[str, tuple[Callable[[], Found], str]] = {}
    for name, (rules, bounds, expected) in NEEDED.items():
        found[f"model: {name}"] = partial(explore, name, bounds, rules), expected
    for name, (without, within, expected) in NEEDED_BY_PROMOTION.items():
        found[f"model of promotion: {name}"] = partial(explore_promotion, name, within, without), expected
    for name, (lacking, limits, expected) in NEEDED_BY_REVERSE_MIRROR.items():
        found[f"model of the reverse mirror: {name}"] = partial(explore_reverse, name, limits, lacking), expected
    return found


def of_a_model(name: str) -> Verdict:
    """Disable one rule of a model, and check that its property is violated."""
    run, expected = of_the_models()[name]
    found = run()
    return Verdict(name, f"property {expected}", found.wrong.startswith(expected), found.seconds)


def of_the_code(mutants: Sequence[Mutant]) -> list[Verdict]:
    """Try mutants one after the other in their own copy of the tree."""
    with tempfile.TemporaryDirectory(prefix="crossfade-mutants-") as name:
        tree = Tree(Path(name))
        tests = list(dict.fromkeys(mutant.test for mutant in mutants))
        broken = set() if tree.run(tests) else {test for test in tests if not tree.run([test])}
        problem = "its test does not pass on the tree as it is"
        return [
            Verdict(mutant.name, mutant.test, caught=False, seconds=0.0, why=problem)
            if mutant.test in broken
            else tree.mutated(mutant)
            for mutant in mutants
        ]


def verdicts(chosen: Sequence[Mutant], rules: Sequence[str], jobs: int) -> Iterator[Verdict]:
    """Yield verdicts as they arrive, at most `jobs` concurrently, one PostgreSQL start per test file."""
    ordered = sorted(chosen, key=lambda mutant: mutant.test)
    parts = [ordered[start : start + _MUTANTS_PER_TREE] for start in range(0, len(ordered), _MUTANTS_PER_TREE)]
    yield from map(of_a_model, rules)
    with ThreadPoolExecutor(jobs) as threads:
        running: list[Future[list[Verdict]]] = [threads.submit(of_the_code, part) for part in parts]
        for done in as_completed(running):
            yield from done.result()


def line(verdict: Verdict) -> str:
    """Format one mutant as text."""
    outcome = "caught" if verdict.caught else f"SURVIVED {verdict.why}"
    return f"{verdict.name:58} {outcome:10}{verdict.seconds:6.1f} s  {verdict.test.rpartition('::')[2]}"


def main() -> int:
    known = subjects()
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants")
    parser.add_argument("--only", action="append", help="mutants whose name holds this")
    parser.add_argument(
        "--subject", action="append", choices=(*known, _MODEL), help="of this module (again: these); default: all"
    )
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    options = parser.parse_args()
    selected = options.subject or (*known, _MODEL)
    mutants = [mutant for name in known if name in selected for mutant in known[name]]
    chosen = [m for m in mutants if not options.only or any(part in m.name for part in options.only)]
    rules = [
        name
        for name in of_the_models()
        if _MODEL in selected and (not options.only or any(part in name for part in options.only))
    ]
    found = []
    started = time.monotonic()
    for verdict in verdicts(chosen, rules, options.jobs):
        found.append(verdict)
        print(line(verdict), flush=True)
    alive = [verdict for verdict in found if not verdict.caught]
    seconds = time.monotonic() - started
    print(f"{len(found)} mutants in {seconds:.0f} s, {len(found) - len(alive)} caught, {len(alive)} alive")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
