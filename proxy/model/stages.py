"""Stages of a collection and the snapshot that an instance runs at. Pure values and transitions.

A *generation* numbers every change of the control row: a new epoch, and each phase of it. An instance reports the
generation that it runs at, and the fence of a target read compares it (mirror-protocol, "Flip", 5).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Stage(enum.StrEnum):
    """The stage of one collection's migration (DESIGN section 9)."""

    OFF = "off"
    MIRROR = "mirror"
    SHADOW = "shadow"
    FLIPPED = "flipped"
    PROMOTED = "promoted"
    COMPLETE = "complete"

    @property
    def rank(self) -> int:
        return _RANKS[self]

    def at_least(self, other: Stage) -> bool:
        return _RANKS[self] >= _RANKS[other]


_RANKS: Mapping[Stage, int] = {
    stage: rank for rank, stage in enumerate(Stage)
}  # a look-up, since each request needs several


class Phase(enum.StrEnum):
    """The phase of the open epoch; `settled` if none is open."""

    IDLE = "settled"  # the word that PostgreSQL and /status have for it
    BEGIN = "begin"
    HOLD = "hold"
    DRAIN = "drain"


class Writer(enum.StrEnum):
    """Who takes the writes of a collection; `none` while that changes, so that writes wait for the outcome."""

    ORIGIN = "origin"
    NONE = "none"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class CollectionState:
    """One collection's stage, and the share of its reads (percent) that PostgreSQL serves: from `flipped` on."""

    stage: Stage = Stage.OFF
    weight: int = 0

    @property
    def serves_target(self) -> bool:
        return self.stage.at_least(Stage.FLIPPED) and self.weight > 0


@dataclass(frozen=True, slots=True)
class Policy:
    """The treatment of one collection by an instance now: by its state and the phase of an open epoch."""

    state: CollectionState
    capture: bool  # journal and mirror writes
    compare: bool  # shadow reads
    synchronous: (
        bool  # acknowledge a write only after both stores have it; ArangoDB's answers are applied before they are sent
    )
    hold_queries: bool  # new origin queries wait (phases hold and drain of a flip)
    weight: int  # percent of reads from the target
    writer: Writer = Writer.ORIGIN
    # reads may be ArangoDB's to answer; else they are PostgreSQL's, or wait (promotion-protocol, "Promote", 1)
    asks_origin: bool = True


@dataclass(frozen=True, slots=True)
class Transition:
    """One collection's change of state within an epoch."""

    collection: str
    before: CollectionState
    after: CollectionState

    @property
    def promotes(self) -> bool:
        """True if PostgreSQL takes the collection's writes afterwards, and did not before."""
        return self.after.stage.at_least(Stage.PROMOTED) and not self.before.stage.at_least(Stage.PROMOTED)

    @property
    def demotes(self) -> bool:
        """True if ArangoDB takes the collection's writes afterwards, and did not before."""
        return self.before.stage.at_least(Stage.PROMOTED) and not self.after.stage.at_least(Stage.PROMOTED)

    @property
    def completes(self) -> bool:
        """True if ArangoDB no longer gets the collection's writes afterwards, and did before."""
        return self.before.stage is Stage.PROMOTED and self.after.stage is Stage.COMPLETE

    @property
    def withholds(self) -> bool:
        """True if PostgreSQL takes no writes while the epoch is open, so that ArangoDB can get all of them."""
        return self.demotes or self.completes


_CACHED = 4096


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that an instance knows of the control plane at one generation.

    collections: by `database/name`. defaults: stage of new collections, by database (`*` for any other).
    transitions: those of the open epoch, by collection; empty if the phase is `settled`. A transition of `db/*` (or
    `*/*`) changes a default: it applies to every collection without its own transition, also to those registered during
    the epoch.
    absent: the collections that no longer exist in ArangoDB; this set changes within a generation.
    """

    generation: int = 0
    epoch: int = 0
    phase: Phase = Phase.IDLE
    collections: Mapping[str, CollectionState] = field(default_factory=dict)
    defaults: Mapping[str, Stage] = field(default_factory=dict)
    transitions: Mapping[str, Transition] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    # a cache: each request needs several policies, and those of a snapshot never change
    _cache: dict[str, Policy] = field(default_factory=dict, init=False, repr=False, compare=False)
    _others: list[bool] = field(default_factory=list, init=False, repr=False, compare=False)
    _complete: list[bool] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def has_other_writers(self) -> bool:
        """True unless ArangoDB takes every write: a collection is promoted, or is being promoted or demoted."""
        if not self._others:
            states = (*self.collections.values(), *(each.after for each in self.transitions.values()))
            stages = (*(state.stage for state in states), *self.defaults.values())
            self._others.append(any(stage.at_least(Stage.PROMOTED) for stage in stages))
        return self._others[0]

    @property
    def is_complete(self) -> bool:
        """True if every collection is complete, so that nothing is ArangoDB's any more: no request is sent to it."""
        if not self._complete:
            there = [state.stage for name, state in self.collections.items() if name not in self.absent]
            self._complete.append(
                bool(there) and not self.transitions and all(stage is Stage.COMPLETE for stage in there)
            )
        return self._complete[0]

    @property
    def has_reverse_mirror(self) -> bool:
        """True if ArangoDB gets, or may soon get, writes that PostgreSQL takes."""
        return self.has_other_writers and not self.is_complete

    def state(self, collection: str) -> CollectionState:
        """Return the committed state; a collection that is not registered has its database's default stage."""
        known = self.collections.get(collection)
        if known is not None:
            return known
        return CollectionState(self.default_stage(collection.partition("/")[0]))

    def default_stage(self, database: str) -> Stage:
        return self.defaults.get(database, self.defaults.get("*", Stage.OFF))

    def policy(self, collection: str) -> Policy:
        """Return how an instance at this generation treats the collection (DESIGN section 9)."""
        known = self._cache.get(collection)
        if known is None:
            known = self._derive(collection)
            if len(self._cache) < _CACHED:  # bounded, since clients may name any number of collections
                self._cache[collection] = known
        return known

    def _derive(self, collection: str) -> Policy:
        state = self.state(collection)
        transition = self._transition(collection)
        after = transition.after if transition is not None else state
        flipped = state.stage.at_least(Stage.FLIPPED)
        promoted = state.stage.at_least(Stage.PROMOTED)
        writer = _writer(state, after)
        if promoted or writer is Writer.NONE:
            return Policy(
                state=state,
                capture=not promoted,
                compare=not promoted,
                synchronous=not promoted,
                hold_queries=False,
                weight=state.weight,
                writer=writer,
                asks_origin=False,
            )
        to_flip = transition is not None and after.stage.at_least(Stage.FLIPPED)
        return Policy(
            state=state,
            capture=state.stage.at_least(Stage.MIRROR)
            or (transition is not None and after.stage.at_least(Stage.MIRROR)),
            compare=state.stage.at_least(Stage.SHADOW),
            synchronous=flipped or to_flip,
            hold_queries=to_flip and self.phase in (Phase.HOLD, Phase.DRAIN),
            weight=state.weight if flipped else 0,
        )

    def _transition(self, collection: str) -> Transition | None:
        """Return the transition of the collection or of its default, which covers collections registered meanwhile."""
        transition = self.transitions.get(collection)
        if transition is not None or not self.transitions:
            return transition
        database = collection.partition("/")[0]
        if database in self.defaults:
            return self.transitions.get(f"{database}/*")
        return self.transitions.get(f"{database}/*") or self.transitions.get("*/*")

    def database_has(self, database: str, stage: Stage) -> bool:
        """Return True if a collection of the database, or its default, is or moves at least to that stage."""
        if self.default_stage(database).at_least(stage):
            return True
        prefix = database + "/"
        return any(
            name.startswith(prefix) and self.policy(name).state.stage.at_least(stage) for name in self.collections
        ) or any(
            name.startswith((prefix, "*/")) and transition.after.stage.at_least(stage)
            for name, transition in self.transitions.items()
        )


def _writer(before: CollectionState, after: CollectionState) -> Writer:
    """Return who takes the writes of a collection while an open epoch would bring it from `before` to `after`."""
    promoted = before.stage.at_least(Stage.PROMOTED)
    if promoted != after.stage.at_least(Stage.PROMOTED):
        return Writer.NONE
    if before.stage is Stage.PROMOTED and after.stage is Stage.COMPLETE:
        return Writer.NONE  # until ArangoDB has all that it will ever get
    return Writer.TARGET if promoted else Writer.ORIGIN


# The phases of an epoch before its commit; without one: a single compare-and-set. Every instance acknowledges each of
# them, except that of a demotion or completion: there the fence refuses whoever did not notice (promotion-protocol,
# "Demote", 1).
_FORWARD: Mapping[Stage, tuple[Phase, ...]] = {
    Stage.MIRROR: (Phase.BEGIN,),
    Stage.SHADOW: (Phase.BEGIN,),
    Stage.FLIPPED: (Phase.BEGIN, Phase.HOLD, Phase.DRAIN),
    Stage.PROMOTED: (Phase.HOLD,),
}


def phases(before: CollectionState, after: CollectionState) -> tuple[Phase, ...]:
    """Return the phases of a transition; none for an immediate compare-and-set, as every rollback is (by the fence)."""
    if before.stage is Stage.PROMOTED and after.stage in (Stage.FLIPPED, Stage.COMPLETE):
        return (Phase.DRAIN,)
    if after.stage.rank < before.stage.rank:
        return ()
    if after.stage == before.stage and after.weight <= before.weight:
        return ()
    return _FORWARD.get(after.stage, ())


def allowed(before: CollectionState, after: CollectionState) -> str | None:
    """Return None if the transition is allowed, else a sentence that states what must be done first."""
    if before.stage is Stage.COMPLETE and after != before:
        return "it is complete: ArangoDB has not got its writes since, and only an archive brings it back"
    if before.stage.at_least(Stage.PROMOTED) and after != before:
        return "PostgreSQL takes its writes: `crossfade demote` comes first"
    if after.stage in (Stage.PROMOTED, Stage.COMPLETE) and after != before:
        return f"`crossfade promote` is the way to stage {after.stage}"
    if after.stage.rank > before.stage.rank + 1:
        step = list(Stage)[before.stage.rank + 1]
        return f"a collection at stage {before.stage} goes to {step} first"
    if after.stage is Stage.FLIPPED and not 1 <= after.weight <= 100:
        return "the weight of a flipped collection is 1 to 100 percent"
    return None
