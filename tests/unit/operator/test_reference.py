"""The generated pages of docs/ are what the code generates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.base.config import Settings
from proxy.base.metrics import FAMILIES
from proxy.operator.reference import PAGES

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_the_generated_one(name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == PAGES[name](), "run `make reference`"


def test_every_metric_has_a_line() -> None:
    page = PAGES["metrics.md"]()
    assert all(
        f"\n| `{name}{'_total' if family.kind == 'counter' else ''}` |" in page for name, family in FAMILIES.items()
    )


def test_every_setting_has_a_line_with_its_default_and_no_other_has() -> None:
    lines = re.findall(r"^\| `CROSSFADE_([A-Z_]+)` \|", PAGES["settings.md"](), re.MULTILINE)
    assert [line.lower() for line in lines] == sorted(Settings.model_fields, key=[x.lower() for x in lines].index)
    assert "| `CROSSFADE_LISTEN_PORT` | `8530` | port of the traffic listener |" in PAGES["settings.md"]()
    assert "| `CROSSFADE_REDACT` | `false` |" in PAGES["settings.md"]()
