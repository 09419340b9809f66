"""README and docs keep up with the code: every setting is listed with its default; every file that is linked exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.base.config import Settings

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")
SETTINGS = (ROOT / "docs/settings.md").read_text("utf-8")
TABLE = dict(re.findall(r"^\| `CROSSFADE_([A-Z_]+)` \| ([^|]*)\|", SETTINGS, re.MULTILINE))
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), ROOT / "deploy/runbook.md"]
)
LINKS = [
    (page, target)
    for page in PAGES
    for target in sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))))
]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_documented_with_its_default(name: str) -> None:
    default = Settings.model_fields[name].get_default(call_default_factory=True)
    told = TABLE[name.upper()].strip().strip("`")
    assert told == ("" if default in ("", {}) else str(default).lower() if isinstance(default, bool) else str(default))


def test_no_setting_is_documented_that_does_not_exist() -> None:
    assert {name.lower() for name in TABLE} - Settings.model_fields.keys() == {"config"} & {n.lower() for n in TABLE}


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
