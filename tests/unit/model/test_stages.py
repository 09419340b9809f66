"""Stages: the policy of an instance at each of them, and the allowed transitions."""

from __future__ import annotations

import pytest

from proxy.base.errors import PreconditionFailed
from proxy.control.transitions_plan import DesiredState, phases_of, plan, to_target
from proxy.model.stages import CollectionState, Phase, Snapshot, Stage, Transition, Writer, allowed, phases

OFF, MIRROR, SHADOW = CollectionState(), CollectionState(Stage.MIRROR), CollectionState(Stage.SHADOW)
TEN, ALL = CollectionState(Stage.FLIPPED, 10), CollectionState(Stage.FLIPPED, 100)
PROMOTED = CollectionState(Stage.PROMOTED, 100)
FLIP = (Phase.BEGIN, Phase.HOLD, Phase.DRAIN)


@pytest.mark.parametrize(
    ("before", "after", "steps"),
    [
        (OFF, MIRROR, (Phase.BEGIN,)),
        (MIRROR, SHADOW, (Phase.BEGIN,)),
        (SHADOW, TEN, FLIP),
        (TEN, ALL, FLIP),
        (ALL, TEN, ()),
        (ALL, SHADOW, ()),
        (SHADOW, OFF, ()),
    ],
)
def test_moves_forward_are_acknowledged_and_rollbacks_are_immediate(
    before: CollectionState, after: CollectionState, steps: tuple[Phase]
) -> None:
    assert allowed(before, after) is None
    assert phases(before, after) == steps


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (OFF, SHADOW, "goes to mirror first"),
        (MIRROR, ALL, "goes to shadow first"),
        (SHADOW, CollectionState(Stage.FLIPPED, 0), "1 to 100 percent"),
        (ALL, CollectionState(Stage.PROMOTED), "`crossfade promote` is the way"),
    ],
)
def test_what_is_not_allowed(before: CollectionState, after: CollectionState, why: str) -> None:
    assert why in (allowed(before, after) or "")


@pytest.mark.parametrize(
    ("phase", "capture", "synchronous", "hold"),
    [(Phase.BEGIN, True, True, False), (Phase.HOLD, True, True, True), (Phase.DRAIN, True, True, True)],
)
def test_an_instance_prepares_a_flip_from_its_begin_on(
    phase: Phase, capture: bool, synchronous: bool, hold: bool
) -> None:
    transitions = {"a/b": Transition("a/b", SHADOW, ALL)}
    policy = Snapshot(1, 1, phase, {"a/b": SHADOW}, {}, transitions).policy("a/b")
    assert (policy.capture, policy.synchronous, policy.hold_queries) == (capture, synchronous, hold)
    assert policy.weight == 0  # but no read is served before the commit


@pytest.mark.parametrize(
    ("before", "after", "phase", "writer"),
    [(ALL, PROMOTED, Phase.HOLD, Writer.NONE), (PROMOTED, ALL, Phase.DRAIN, Writer.NONE)],
)
def test_writes_wait_while_their_writer_changes_and_arangodb_is_asked_for_no_read(
    before: CollectionState, after: CollectionState, phase: Phase, writer: Writer
) -> None:
    assert phases(before, after) == (phase,)
    policy = Snapshot(1, 1, phase, {"a/b": before}, {}, {"a/b": Transition("a/b", before, after)}).policy("a/b")
    assert (policy.writer, policy.asks_origin, policy.weight, policy.hold_queries) == (writer, False, 100, False)


def test_postgresql_takes_the_writes_of_a_promoted_collection_and_nothing_is_mirrored() -> None:
    policy = Snapshot(collections={"a/b": PROMOTED, "a/c": ALL}).policy("a/b")
    assert (policy.writer, policy.asks_origin, policy.capture, policy.synchronous) == (
        Writer.TARGET,
        False,
        False,
        False,
    )
    assert Snapshot(collections={"a/c": ALL}).policy("a/c").writer is Writer.ORIGIN


def test_a_default_that_changes_counts_for_collections_that_appear_meanwhile() -> None:
    transitions = {"a/*": Transition("a/*", OFF, MIRROR)}
    snapshot = Snapshot(1, 1, Phase.BEGIN, {"a/late": OFF}, {}, transitions)
    assert snapshot.policy("a/new").capture
    assert snapshot.policy("a/late").capture
    assert not snapshot.policy("b/new").capture
    assert snapshot.database_has("a", Stage.MIRROR)
    every = Snapshot(1, 1, Phase.BEGIN, {}, {"b": Stage.OFF}, {"*/*": Transition("*/*", OFF, MIRROR)})
    assert every.policy("a/new").capture
    assert not every.policy("b/new").capture  # b has its own default
    assert every.database_has("c", Stage.MIRROR)


def test_collections_that_are_not_registered_have_the_default() -> None:
    snapshot = Snapshot(collections={"a/b": SHADOW}, defaults={"a": Stage.MIRROR, "*": Stage.OFF})
    assert snapshot.state("a/c").stage is Stage.MIRROR
    assert snapshot.state("z/c").stage is Stage.OFF
    assert snapshot.database_has("a", Stage.SHADOW)
    assert not snapshot.database_has("z", Stage.MIRROR)
    assert ALL.serves_target
    assert not CollectionState(Stage.FLIPPED, 0).serves_target


def test_plan() -> None:
    known = {"a/b": SHADOW, "a/c": MIRROR}
    transitions = plan([DesiredState("a/b", Stage.FLIPPED, 10), DesiredState("a/c", Stage.MIRROR)], known, {})
    assert transitions == (Transition("a/b", SHADOW, TEN),)
    assert phases_of(transitions) == FLIP
    assert to_target(transitions) == transitions
    assert phases_of(()) == ()
    assert to_target(plan([DesiredState("a/b", Stage.OFF)], known, {})) == ()
    with pytest.raises(PreconditionFailed, match=r"a/c: a collection at stage mirror goes to shadow first; x/\*: new"):
        plan([DesiredState("a/c", Stage.FLIPPED, 1), DesiredState("x/*", Stage.FLIPPED, 1)], known, {})
    assert plan([DesiredState("x/*", Stage.SHADOW)], known, {}) == (Transition("x/*", OFF, SHADOW),)


COMPLETE = CollectionState(Stage.COMPLETE, 100)


def test_a_completion_holds_writes_until_arangodb_has_all_and_leaves_no_way_back() -> None:
    transition = Transition("a/b", PROMOTED, COMPLETE)
    assert (transition.completes, transition.withholds, transition.demotes, transition.promotes) == (
        True,
        True,
        False,
        False,
    )
    assert phases(PROMOTED, COMPLETE) == (Phase.DRAIN,)
    held = Snapshot(1, 1, Phase.DRAIN, {"a/b": PROMOTED}, {}, {"a/b": transition})
    assert held.policy("a/b").writer is Writer.NONE
    assert not held.policy("a/b").asks_origin
    policy = Snapshot(2, 1, collections={"a/b": COMPLETE}).policy("a/b")
    assert (policy.writer, policy.asks_origin, policy.capture, policy.compare) == (Writer.TARGET, False, False, False)
    for after in (OFF, MIRROR, SHADOW, ALL, PROMOTED):
        assert "only an archive brings it back" in (allowed(COMPLETE, after) or "")


@pytest.mark.parametrize(
    ("collections", "transitions", "absent", "complete"),
    [
        ({}, {}, (), False),
        ({"a/b": COMPLETE}, {}, (), True),
        ({"a/b": COMPLETE, "a/c": PROMOTED}, {}, (), False),
        ({"a/b": COMPLETE, "a/c": OFF}, {}, (), False),
        ({"a/b": COMPLETE, "a/c": OFF}, {}, ("a/c",), True),
        ({"a/c": OFF}, {}, ("a/c",), False),
        ({"a/b": COMPLETE}, {"a/c": Transition("a/c", OFF, MIRROR)}, (), False),
    ],
)
def test_when_nothing_is_arangodbs_any_more(
    collections: dict[str, CollectionState],
    transitions: dict[str, Transition],
    absent: tuple[str, ...],
    *,
    complete: bool,
) -> None:
    snapshot = Snapshot(1, 1, Phase.IDLE, collections, {}, transitions, frozenset(absent))
    assert snapshot.is_complete is complete
    assert snapshot.is_complete is complete
