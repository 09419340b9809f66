"""No module imports itself through others, imports for type checking included: a planted circle is found.

`.importlinter` orders rooms; within a room a circle could still hold modules together that cannot be read apart. An
import inside `if TYPE_CHECKING:` counts too: a reader follows it like any other.
"""

from __future__ import annotations

from pathlib import Path

import grimp
import pytest

from tests.architecture.counts import circles


@pytest.mark.parametrize("guard", ["", "if TYPE_CHECKING:\n    "])
def test_a_planted_circle_is_found(guard: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "planted"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "above.py").write_text("from planted.middle import x\n")
    (package / "middle.py").write_text("from planted.below import x\n")
    (package / "below.py").write_text(f"from typing import TYPE_CHECKING\n{guard}from planted.middle import x\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert circles(grimp.build_graph("planted", cache_dir=None)) == [["planted.below", "planted.middle"]]
