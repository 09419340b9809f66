"""Imports run downward, room by room, and each third-party client has its module: `.importlinter` holds that."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# one forbidden import of each kind: up, between siblings, into a pure core, from a room into backfill, a client's
PLANTED = {
    "proxy/base/log_throttle.py": "proxy.model.documents",
    "proxy/journal/records.py": "proxy.replication.applier",
    "proxy/replication/applier.py": "proxy.shadow.verdicts",
    "proxy/shadow/bounds.py": "proxy.control.rollback_budgets",
    "proxy/control/overdue.py": "proxy.replication.trace",
    "proxy/shadow/diff/paths.py": "proxy.shadow.bounds",
    "proxy/shadow/diff/verdict.py": "proxy.stores.base",
    "proxy/model/revision.py": "proxy.base.database",
    "proxy/control/gates/gate_types.py": "proxy.control.controller",
    "proxy/model/stages.py": "backfill.throttle",
    "proxy/model/clock.py": "asyncpg",
}


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("lint-imports")
    paths = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}
    return subprocess.run([linter, "--no-cache"], cwd=folder, env=paths, capture_output=True, text=True, check=False)


def test_rooms_and_clients() -> None:
    done = linted(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_a_planted_import_of_each_kind_is_found(tmp_path: Path) -> None:
    """The checker is checked: each forbidden import is named."""
    for package in ("proxy", "backfill", "sql", "deploy"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for file, module in PLANTED.items():
        with (tmp_path / file).open("a") as text:
            text.write(f"\nimport {module}\n")
    done = linted(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    for file, module in PLANTED.items():
        importer = file.removesuffix(".py").replace("/", ".")
        assert f"{importer} -> {module}" in done.stdout, (importer, module)
