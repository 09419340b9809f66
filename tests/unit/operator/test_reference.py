"""The generated pages of docs/ are what the code generates."""

from __future__ import annotations

from pathlib import Path

import pytest

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
