"""The model of the mirror: its small bounds hold, each rule is needed, and its names exist in the code."""

from __future__ import annotations

import importlib

import pytest

from proxy.base import failpoints
from tests.model import journal
from tests.model.explore import FILES_SMALL, SMALL, explore
from tests.model.mirror_state import CURSOR, PUT, STEPS, TRANSACTION, TRUNCATE, UNMODELLED_POINTS, Bounds, Rules
from tests.model.search import line

# a rule that is not kept -> the bounds that show it, and what the model then says
NEEDED: dict[str, tuple[Rules, Bounds, str]] = {
    "revision guard removed": (Rules(revision_guard=False), Bounds(writes=2, crashes=0, lost=0), "OLDER"),
    "intent completed before its change is applied": (
        Rules(applied_before_settled=False),
        Bounds(writes=1, crashes=1, lost=0),
        "LOST",
    ),
    "tombstone dropped": (Rules(tombstones=False), Bounds(writes=2, crashes=0, lost=0), "GHOST"),
    "tombstone purged, stamp floor not raised": (
        Rules(purge_raises_horizon=False),
        Bounds(writes=2, crashes=0, lost=0, purges=1),
        "OLDER",
    ),
    "stamp floor untested": (Rules(horizon_tested=False), Bounds(writes=2, crashes=0, lost=0, purges=1), "OLDER"),
    "stamp taken too late": (
        Rules(stamp_before_sending=False),
        Bounds(writes=2, crashes=0, lost=0, purges=1),
        "OLDER",
    ),
    "intent journaled after forwarding": (
        Rules(intent_before_forward=False),
        Bounds(writes=1, crashes=1, lost=0),
        "LOST",
    ),
    "a repair that finds nothing writes nothing": (Rules(absent=False), Bounds(writes=2, crashes=0, lost=1), "GHOST"),
    "repair does not wait for late requests": (
        Rules(waits_for_late=False),
        Bounds(writes=1, crashes=0, lost=1),
        "LOST",
    ),
    "refused rows count as applied": (
        Rules(refused_is_read_again=False),
        Bounds(writes=2, crashes=0, lost=0, purges=1),
        "LOST",
    ),
    "origin read before the target": (
        Rules(looks_before_reading=False),
        Bounds(writes=2, crashes=0, lost=1),
        "LOST",
    ),
    "a resync does not raise the stamp floor": (
        Rules(sweep_raises_horizon=False),
        Bounds(writes=2, crashes=0, lost=0, kinds=(PUT, TRUNCATE)),
        "GHOST",
    ),
    "an aborted transaction is applied": (
        Rules(abort_applies_nothing=False),
        Bounds(writes=1, crashes=0, lost=0, keys=2, kinds=(TRANSACTION,)),
        "GHOST",
    ),
    "the proxy does not read a query's cursor to its end": (
        Rules(reads_on=False),
        Bounds(writes=1, crashes=0, lost=0, keys=2, kinds=(CURSOR,)),
        "STUCK",
    ),
    "repair restores a document removed after its read": (
        Rules(equal_spares_tombstones=False),
        Bounds(writes=2, crashes=0, lost=1),
        "OLDER",
    ),
}


@pytest.mark.parametrize("name", SMALL)
def test_the_rules_hold_in_every_state_of_small_bounds(name: str) -> None:
    """I3, I4, I5: no lost write, no ghost, no older version over a newer, and rest is reachable from every state."""
    found = explore(name, SMALL[name])
    assert not found.wrong, "\n".join((line(found), *found.trace))
    assert found.resting


def test_journal_files_recover_every_complete_record_wherever_they_are_cut() -> None:
    """I3: on the code itself, all short histories and all their prefixes."""
    found = journal.explore(*FILES_SMALL)
    assert not found.wrong, found.wrong
    assert (found.histories, found.crashes > 300, found.flips > 30) == (11, True, True)


@pytest.mark.parametrize("name", NEEDED)
def test_each_rule_is_needed(name: str) -> None:
    rules, bounds, said = NEEDED[name]
    found = explore(name, bounds, rules)
    assert found.wrong.startswith(said), found
    assert found.trace


def test_the_models_steps_name_existing_code() -> None:
    """The model is the one place that names them: renaming a function or failpoint must update it."""
    for step, (where, _) in STEPS.items():
        if where:
            module, _, name = where.partition(":")
            thing: object = importlib.import_module(module)
            for part in name.split(".") if name else ():
                thing = getattr(thing, part)
            assert thing is not None, step
    points = [point for _, some in STEPS.values() for point in some]
    assert sorted(points) == sorted(set(failpoints.POINTS) - UNMODELLED_POINTS)
