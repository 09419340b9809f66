"""The modules of a package are imported in the order of their names, also while the package itself is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.base.module_discovery import import_modules


def test_every_module_of_a_package_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "self_importing_package"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from proxy.base.module_discovery import import_modules\nFOUND = import_modules(__name__)\n"
    )
    (package / "second.py").write_text("VALUE = 2\n")
    (package / "first.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = import_modules("self_importing_package")
    assert [(module.__name__, module.VALUE) for module in found] == [
        ("self_importing_package.first", 1),
        ("self_importing_package.second", 2),
    ]
