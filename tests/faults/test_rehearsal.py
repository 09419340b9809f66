"""Short runs of `make rehearsal-mutants` and `make rehearsal-soak MINUTES=10`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.rehearsal.hunt import hunt
from tests.faults.rehearsal.mutants import MUTANTS, SHORT
from tests.faults.rehearsal.soak import soak


def test_there_are_a_hundred_mutants_and_each_applies_to_the_rules() -> None:
    assert len(MUTANTS) >= 100
    assert len({mutant.name + mutant.place for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        with mutant.applied():
            pass


@pytest.mark.parametrize("number", SHORT)
async def test_the_next_write_that_touches_a_mutant_is_judged_different(number: int) -> None:
    result = await hunt(MUTANTS[number])
    assert result.found, (MUTANTS[number].name, result)


@pytest.mark.long
async def test_races_cause_no_false_alarm(tmp_path: Path) -> None:
    """Six clients, two proxies, few keys."""
    result = await soak(tmp_path, 2.5, seed=3)
    assert not result.alarms, result.text()
    assert not result.failed, result.text()
    assert result.equal > 20, result.text()
