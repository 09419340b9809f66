"""README is short and begins with the two commands; each file that it or docs/ links exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), ROOT / "deploy/runbook.md"]
)
LINKS = [
    (page, target)
    for page in PAGES
    for target in sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))))
]


def test_the_two_commands_come_first() -> None:
    first = re.search(r"```[a-z]*\n(.*?)```", README, re.DOTALL)
    assert first is not None
    assert "make demo" in first.group(1)
    assert "make test" in first.group(1)


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize(("page", "target"), LINKS, ids=lambda value: getattr(value, "name", value))
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    assert (page.parent / target).exists()
