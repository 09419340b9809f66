"""What makes a code base hard to read is counted, and does not come back; the counting itself is checked."""

from __future__ import annotations

from pathlib import Path

from tests.architecture import counts


def test_no_count_exceeds_its_limit() -> None:
    for count in counts.counts():
        assert not count.exceeded, f"{count.what}: {', '.join(count.found)}"


def test_a_long_module_is_found(tmp_path: Path) -> None:
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "short.py").write_text("x = 1\n" * 400)
    (tmp_path / "proxy" / "long.py").write_text("x = 1\n" * 401)
    assert counts.long_modules(tmp_path) == ("proxy/long.py: 401 lines",)


def test_a_deep_class_is_found(tmp_path: Path) -> None:
    (tmp_path / "proxy").mkdir()
    text = "class A: ...\nclass B(A): ...\nclass C(B[int]): ...\nclass D(C): ...\nclass WrongError(D): ...\n"
    (tmp_path / "proxy" / "deep.py").write_text(text)
    assert counts.deep_classes(tmp_path) == ("D: 4 levels",)


def test_a_name_of_two_classes_is_found(tmp_path: Path) -> None:
    for package, name in (("proxy", "a"), ("backfill", "b"), ("sql", "c")):
        (tmp_path / package).mkdir()
        (tmp_path / package / f"{name}.py").write_text("class Batch: ...\nclass _Own: ...\n")
    assert counts.equal_names(tmp_path) == ("Batch: proxy/a.py, backfill/b.py",)
