"""Each mutant applies to the code, and its test exists."""

from __future__ import annotations

from tests.faults.mutations import ROOT, subjects


def test_every_mutant_applies_to_the_code() -> None:
    """A change of the text that a mutant replaces must update the mutant."""
    names: list[str] = []
    for subject, mutants in subjects().items():
        assert mutants, subject
        for mutant in mutants:
            found = (ROOT / mutant.file).read_text("utf-8").count(mutant.old)
            assert found, f"{subject}, {mutant.name}: {mutant.file}"
            assert not mutant.times or found == mutant.times, mutant.name
            assert mutant.old != mutant.new, mutant.name
            file, _, name = mutant.test.partition("::")
            assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text("utf-8"), mutant.test
            names.append(mutant.name)
    assert len(set(names)) == len(names)
