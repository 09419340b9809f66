"""No module imports itself through others, imports for type checking included.

`.importlinter` orders rooms; within a room a circle could still hold modules together that cannot be read apart. An
import inside `if TYPE_CHECKING:` counts too: a reader follows it like any other.
"""

from __future__ import annotations

from pathlib import Path

import grimp
import pytest
from grimp import ImportGraph

PACKAGES = ("proxy", "backfill", "sql", "deploy")


def circles(graph: ImportGraph) -> list[list[str]]:
    """Return each set of modules that import each other in a circle (strongly connected components of two or more)."""
    imports = {module: sorted(graph.find_modules_directly_imported_by(module)) for module in sorted(graph.modules)}
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:  # Tarjan's algorithm
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for other in imports[module]:
            if other not in imports:
                continue
            if other not in order:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], order[other])
        if lowest[module] == order[module]:
            start = stack.index(module)
            component = sorted(stack[start:])
            del stack[start:]
            if len(component) > 1:
                found.append(component)

    for module in imports:
        if module not in order:
            visit(module)
    return found


def test_no_circle_of_imports() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None, exclude_type_checking_imports=False)
    assert circles(graph) == []


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
