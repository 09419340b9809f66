"""Every class of AQL has its own name: a reader who looks one up finds one."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

AQL = Path(__file__).parents[2] / "proxy" / "aql"


def test_every_class_has_its_own_name() -> None:
    trees = [ast.parse(path.read_text("utf-8")) for path in sorted(AQL.rglob("*.py"))]
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, number in names.items() if number > 1] == []
