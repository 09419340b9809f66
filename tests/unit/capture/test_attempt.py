"""However the scope of a write ends, each of its intents ends as the mirror protocol asks (I3, I7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from proxy.base.errors import ArangoError, FenceRefused, UpstreamOutcomeUnknown, UpstreamUnavailable
from proxy.capture import outcomes
from proxy.capture.attempt import Attempt, AttemptContext, Undo
from proxy.capture.outcomes import ReadAgain, WriteOutcome, Written
from proxy.capture.transaction_plan import Buffer
from proxy.journal.intent import Intent
from proxy.journal.records import DocumentWrite, OpaqueWrite, Write
from proxy.model.in_flight import InFlight
from proxy.model.message import Request, Response
from proxy.model.operations import Change
from proxy.model.parsed_answer import ParsedAnswer

BOOKS = "db/books"
HELD = "db/held"  # who takes its writes is changing
WHY = Undo((BOOKS,), "not known by its keys")
CHANGE = Change(BOOKS, "k", 1, b"{}")


@dataclass
class World:
    """The mirror, ArangoDB and the flips, as an attempt sees them. ends: (intent, how), in order; `room`: intents."""

    behave: Callable[[], bytes] = lambda: b"{}"
    ends: list[tuple[int, str]] = field(default_factory=list)
    learnt: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    rolled_back: list[str] = field(default_factory=list)
    waited: list[int] = field(default_factory=list)
    room: int = 100
    number: int = 0
    generation: int = 7
    flight: InFlight = field(default_factory=InFlight)

    @property
    def mirror(self) -> World:
        return self

    @property
    def origin(self) -> World:
        return self

    async def request(self, request: Request) -> Response:
        assert self.number, "the journal has the intent before ArangoDB has the request"
        return Response(200, [], self.behave())

    def intend(self, collection: str, keys: tuple[str, ...] = (), **_: object) -> Intent:
        return self._intent(collection, DocumentWrite(keys))

    def intend_change(self, write: OpaqueWrite) -> Intent:
        return self._intent(write.collections[0], write)

    def _intent(self, collection: str, write: Write) -> Intent:
        if self.number >= self.room:
            raise ArangoError(503, "the journal is full", status=503)
        self.number += 1
        return Intent(self.number, collection, write, 0)

    def is_open(self, intent: Intent) -> bool:
        return intent.seq not in [seq for seq, _ in self.ends]

    def learn(self, intent: Intent, keys: Sequence[str]) -> None:
        if keys:
            self.learnt.append((intent.seq, tuple(keys)))

    def captured(self, intent: Intent, changes: Sequence[Change]) -> None:
        self.ends.append((intent.seq, "captured"))

    async def captured_in_turns(self, intent: Intent, changes: Sequence[Change]) -> None:
        self.ends.append((intent.seq, "captured in turns"))

    def __getattr__(self, how: str) -> Callable[[Intent], None]:
        if how not in ("close_intent", "lost", "reread", "mark"):
            raise AttributeError(how)
        return lambda intent: self.ends.append((intent.seq, how))

    def refuse_held(self, collections: Sequence[str]) -> None:
        if HELD in collections:
            raise FenceRefused("held")

    async def roll_back(self, collections: Sequence[str], reason: str) -> None:
        if collections:
            self.rolled_back.append(reason)

    async def applied(self, intents: Sequence[Intent]) -> None:
        self.waited += [intent.seq for intent in intents]

    def attempt(self, *, undo: Undo = WHY, buffer: Buffer | None = None, apart: bool = False) -> Attempt:
        context = cast("AttemptContext", self)
        return Attempt(context, undo=undo, buffer=buffer, apart=apart, counted=True)


REQUEST = Request("POST", b"/", [], b"")
OUTCOMES: list[tuple[WriteOutcome, str, bool]] = [
    (outcomes.NOTHING_WRITTEN, "close_intent", False),
    (ReadAgain(("made",)), "reread", True),
    (outcomes.UNKNOWN, "lost", True),
    (outcomes.UNCAPTURED, "mark", True),
]


@pytest.mark.parametrize(("outcome", "how", "carried_out"), OUTCOMES, ids=lambda value: str(value)[:20])
async def test_each_outcome_ends_every_intent_and_flips_go_before_anything_that_may_have_been_written(
    outcome: WriteOutcome, how: str, carried_out: bool
) -> None:
    world = World()
    async with world.attempt() as attempt:
        attempt.intend(BOOKS)
        attempt.intend_change(OpaqueWrite("code", (BOOKS,)))
        assert world.flight.waiting(None) == 2, "they are in flight, and not a backlog"
        await attempt.forward(REQUEST)
        await attempt.conclude(outcome)
        await attempt.applied()
    assert world.ends == [(1, how), (2, how)]
    assert world.rolled_back == ([WHY.reason] if carried_out else [])
    assert world.learnt == ([(1, ("made",)), (2, ("made",))] if how == "reread" else [])
    assert world.waited == [1, 2]
    assert not world.flight.captured


@pytest.mark.parametrize(("number", "how"), [(1, "captured"), (2, "captured in turns")])
async def test_versions_go_to_postgresql_from_the_answer(number: int, how: str) -> None:
    world = World()
    async with world.attempt(undo=Undo()) as attempt:
        attempt.intend(BOOKS, ("k",))
        await attempt.forward(REQUEST)
        await attempt.conclude(Written((CHANGE,) * number))
    assert world.ends == [(1, how)]


async def test_a_write_whose_writer_changes_is_refused_before_it_is_sent() -> None:
    world = World()

    async def held() -> None:
        async with world.attempt() as attempt:
            attempt.intend(BOOKS)
            attempt.intend_change(OpaqueWrite("code", (HELD,)))

    with pytest.raises(FenceRefused):
        await held()
    assert world.ends == [(1, "close_intent")]
    async with world.attempt(buffer=Buffer()) as attempt:  # a part of a transaction goes on
        attempt.intend(HELD)
    async with world.attempt() as attempt:  # it was sent: refused, it would be sent twice
        attempt.intend(BOOKS)
        await attempt.forward(REQUEST)
        attempt.intend(HELD)


def fails(error: BaseException) -> Callable[[], bytes]:
    def behave() -> bytes:
        raise error

    return behave


@pytest.mark.parametrize(
    ("error", "how", "rolled_back"),
    [
        (UpstreamUnavailable("refused"), "close_intent", 0),
        (UpstreamOutcomeUnknown("cut off"), "lost", 1),
        (asyncio.CancelledError(), "lost", 0),
        (RuntimeError("not foreseen"), "lost", 1),
    ],
    ids=["never sent", "lost", "cancelled", "an error of the proxy"],
)
async def test_a_request_that_fails_leaves_no_intent_behind(error: BaseException, how: str, rolled_back: int) -> None:
    world = World(fails(error))

    async def write() -> None:
        async with world.attempt() as attempt:
            attempt.intend(BOOKS)
            await attempt.forward(REQUEST)

    with pytest.raises(type(error)):
        await write()
    assert world.ends == [(1, how)]
    assert len(world.rolled_back) == rolled_back
    assert not world.flight.captured


@pytest.mark.parametrize("error", [ValueError("not an answer"), asyncio.CancelledError(), None])
async def test_an_answer_without_a_conclusion_is_of_unknown_outcome(error: BaseException | None) -> None:
    world = World()
    try:
        async with world.attempt() as attempt:
            attempt.intend(BOOKS)
            await attempt.forward(REQUEST)
            if error is not None:
                raise error
    except (ValueError, asyncio.CancelledError):
        pass
    assert world.ends == [(1, "lost")]
    assert len(world.rolled_back) == (0 if isinstance(error, asyncio.CancelledError) else 1)


async def test_a_journal_that_fills_up_in_the_middle_leaves_nothing_open() -> None:
    world = World(room=2)
    with pytest.raises(ArangoError):
        async with world.attempt() as attempt:
            await attempt.intend_keys(BOOKS, [str(number) for number in range(1500)])
    assert world.ends == [(1, "close_intent"), (2, "close_intent")]


async def test_some_intents_may_be_concluded_before_the_others() -> None:
    world = World()
    async with world.attempt() as attempt:
        attempt.intend(BOOKS)
        await attempt.forward(REQUEST)
        found = attempt.intend(BOOKS, ("k",))
        await attempt.conclude(outcomes.READ_AGAIN, (found,), keep_flips=True)
        assert (world.ends, world.rolled_back) == ([(2, "reread")], [])
        await attempt.conclude(outcomes.NOTHING_WRITTEN)
    assert world.ends == [(2, "reread"), (1, "close_intent")]


async def test_what_is_handed_over_is_the_callers() -> None:
    world = World()
    async with world.attempt() as attempt:
        attempt.intend(BOOKS)
        await attempt.forward(REQUEST)
        [intent] = attempt.hand_over()
    assert (intent.seq, world.ends) == (1, [])


# ---- inside of a stream transaction


@pytest.mark.parametrize(
    ("outcome", "whole", "again", "undone"),
    [
        (outcomes.NOTHING_WRITTEN, [], [], {}),
        (Written((CHANGE,)), [1], [], {BOOKS: WHY.reason}),
        (ReadAgain(("made",)), [], [1], {BOOKS: WHY.reason}),
        (outcomes.UNKNOWN, [], [1], {BOOKS: WHY.reason}),
        (outcomes.UNCAPTURED, [], [1], {BOOKS: WHY.reason}),
        (None, [], [1], {BOOKS: WHY.reason}),  # its answer is lost
    ],
    ids=str,
)
async def test_what_is_written_in_a_transaction_is_kept_for_its_end(
    outcome: WriteOutcome | None, whole: list[int], again: list[int], undone: dict[str, str]
) -> None:
    world, buffer = World(), Buffer()
    if outcome is None:
        world.behave = fails(UpstreamOutcomeUnknown("cut off"))
    try:
        async with world.attempt(buffer=buffer) as attempt:
            attempt.intend(BOOKS)
            await attempt.forward(REQUEST)
            assert outcome is not None
            await attempt.conclude(outcome)
            await attempt.applied()
    except UpstreamOutcomeUnknown:
        assert outcome is None
    assert ([one.seq for one in buffer.whole], [one.seq for one in buffer.again]) == (whole, again)
    assert buffer.undoes == undone
    assert (world.rolled_back, world.waited) == ([], []), "the commit does that"
    assert world.ends == ([] if whole or again else [(1, "close_intent")])


@pytest.mark.parametrize("outcome", [Written((CHANGE,)), ReadAgain(("k",))], ids=["versions", "keys"])
async def test_what_is_answered_after_its_transaction_has_ended_is_read_again(outcome: WriteOutcome) -> None:
    world, buffer = World(), Buffer()
    async with world.attempt(buffer=buffer) as attempt:
        attempt.intend(BOOKS)
        await attempt.forward(REQUEST)
        buffer.ended = True
        await attempt.conclude(outcome)
    assert (world.ends, world.learnt) == ([(1, "reread")], [(1, ("k",))])
    assert buffer.empty
    assert world.rolled_back == [WHY.reason]


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "lost"])
async def test_what_may_run_outside_of_the_transaction_ends_twice(lost: bool) -> None:
    world, buffer = World(), Buffer()
    if lost:
        world.behave = fails(UpstreamOutcomeUnknown("cut off"))
    try:
        async with world.attempt(buffer=buffer, apart=True) as attempt:
            attempt.intend(BOOKS)
            await attempt.forward(REQUEST)
            await attempt.conclude(outcomes.READ_AGAIN)
            await attempt.applied()
    except UpstreamOutcomeUnknown:
        assert lost
    assert world.ends == [(1, "lost" if lost else "reread")]
    assert [one.seq for one in buffer.again] == [2]
    assert (world.rolled_back, buffer.undoes) == ([WHY.reason], {BOOKS: WHY.reason})
    assert world.waited == ([] if lost else [1])


# ---- the outcome of an answer


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (ParsedAnswer(b"", [], (CHANGE,), ("k",)), Written((CHANGE,))),
        (ParsedAnswer(b"", []), outcomes.NOTHING_WRITTEN),
        (ParsedAnswer(b"", [], (CHANGE,), ("k", "l"), complete=False), ReadAgain(("k", "l"))),
        (ParsedAnswer(b"", [], complete=False, late=True), outcomes.UNKNOWN),
    ],
    ids=["versions", "nothing", "incomplete", "late"],
)
def test_an_answer_with_versions(answer: Any, outcome: WriteOutcome) -> None:
    assert outcomes.of_documents(answer) == outcome
