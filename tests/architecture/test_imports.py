"""Imports run downward by layer, and each third-party client has its module: the contracts of .importlinter hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_layers_and_clients() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_a_planted_violation_is_found(tmp_path: Path) -> None:
    """The checker is checked: a contract that is broken on purpose makes it fail."""
    contract = tmp_path / ".importlinter"
    contract.write_text(
        "[importlinter]\nroot_packages =\n    proxy\n    sql\n"
        "[importlinter:contract:upside-down]\nname = upside down\ntype = layers\n"
        "layers =\n    proxy.errors\n    proxy.database\n"
    )
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache", "--config", contract], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
