"""Unmodified arangojs on the three servers: its calls for documents and cursors, as one program run by node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.servers import ServerUnderTest

_FOLDER = Path(__file__).parent / "arangojs"
_CHECKS = 5


@pytest.fixture(scope="module")
def program() -> Path:
    """Return the program with its driver, which `npm ci` installs if it is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("arangojs needs node and npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"arangojs needs node 20, here is {version.strip()}")
    if not (_FOLDER / "node_modules" / "arangojs").is_dir():
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            done = subprocess.run(command, cwd=_FOLDER, capture_output=True, text=True, timeout=90, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("the registry of npm does not answer")
        if done.returncode != 0:
            pytest.skip(f"the npm registry is not reachable: {done.stderr.strip().splitlines()[-1:]}")
    return _FOLDER / "program.mjs"


@pytest.mark.timeout(180)
def test_documents_and_cursors_work_with_arangojs(server: ServerUnderTest, program: Path) -> None:
    done = subprocess.run(
        ["node", str(program), server.url], cwd=_FOLDER, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == _CHECKS, done.stdout
    assert all(line.startswith("ok ") for line in done.stdout.splitlines())
