"""The runs of the model of promotion: short and long ones that keep the rules, and those that break one."""

from __future__ import annotations

from tests.model.promotion.state import HOLD, PROMOTED, Bounds, Left, Rules

# what the test suite explores
SMALL: dict[str, Bounds] = {
    "two writes, an abort": Bounds(Left(aborts=1), slots=1, appliers=1),
    "a read": Bounds(Left(writes=1, reads=1), slots=1, proxies=1, appliers=1),
    "rights of two users": Bounds(Left(writes=1, aborts=1), slots=1, users=(True, False)),
    "conditional writes": Bounds(Left(promotes=0), proxies=1, conditional=True, removals=False, start=PROMOTED),
    "an eviction": Bounds(Left(writes=1, crashes=1, evictions=1, demotes=0), slots=1, appliers=1, removals=False),
    "pushes": Bounds(Left(promotes=0, takeovers=1, lost_pushes=1), slots=1, proxies=1, removals=False, start=PROMOTED),
    "break-glass": Bounds(Left(writes=1, glass=1), slots=1, appliers=1),
}

# what `make model` explores. Two run at a time
LARGE: dict[str, Bounds] = {
    "two writes at once, an abort": Bounds(Left(aborts=1)),
    "PostgreSQL lost by a proxy, a read": Bounds(Left(writes=1, reads=1, cuts=1), slots=1, appliers=1),
    "PostgreSQL lost by a proxy, two writes": Bounds(Left(cuts=1), appliers=1),
    "a crash, a late statement, a lost answer": Bounds(Left(crashes=1, lost=1, orphans=1), slots=1, appliers=1),
    "a crash, a cut, an abort": Bounds(Left(writes=1, crashes=1, cuts=1, lost=1, aborts=1), slots=1, appliers=1),
    "two keys, pushes late and lost": Bounds(
        Left(promotes=0, takeovers=1, lost_pushes=1, applier_crashes=1),
        keys=2,
        slots=1,
        proxies=1,
        removals=False,
        partial=True,
        start=PROMOTED,
    ),
    "pushes late and lost, three tokens": Bounds(
        Left(promotes=0, takeovers=2, lost_pushes=1, applier_crashes=1), slots=1, proxies=1, start=PROMOTED
    ),
    "a read beside pushes": Bounds(Left(writes=1, reads=1, takeovers=1, lost_pushes=1), slots=1, proxies=1),
    "verification, purge, late statement": Bounds(
        Left(orphans=1, purges=1, verifications=1), slots=1, proxies=1, appliers=1
    ),
    "promoted twice": Bounds(Left(promotes=2, demotes=2, takeovers=1), slots=1),
    "conditional writes": Bounds(Left(), conditional=True, appliers=1),
    "conditional writes, a lost answer, a read": Bounds(
        Left(reads=1, lost=1), slots=1, proxies=1, appliers=1, conditional=True, removals=False
    ),
    "three proxies, three appliers": Bounds(Left(takeovers=1, aborts=1), slots=1, proxies=3, appliers=3),
    "rights of two users": Bounds(Left(writes=2, aborts=2, promotes=2), slots=1, users=(True, False)),
    "break-glass, a read": Bounds(Left(writes=1, reads=1, glass=1), slots=1, appliers=1),
    "break-glass, two writes": Bounds(Left(glass=1), appliers=1),
    "an eviction, a cut": Bounds(Left(writes=1, crashes=1, cuts=1, evictions=1, lost=1), slots=1, appliers=1),
}

# rules that are not needed for safety: explored without them
FREE: dict[str, tuple[Rules, Bounds]] = {
    "leases are not tested at the commit": (
        Rules(leases_at_commit=False),
        Bounds(Left(writes=1, cuts=1), slots=1, appliers=1, removals=False),
    ),
    "promote raises no mark": (
        Rules(promotion_raises_mark=False),
        Bounds(Left(writes=1, orphans=1, verifications=1), slots=1, proxies=1, appliers=1),
    ),
    "promoted removals leave no tombstone": (
        Rules(tombstones=False),
        Bounds(Left(promotes=0, verifications=1), slots=1, proxies=1, appliers=1, start=PROMOTED),
    ),
}

# a rule that is not kept -> the bounds that show it, and the property that is violated
NEEDED: dict[str, tuple[Rules, Bounds, str]] = {
    "the fence is read without a lock": (Rules(fence_locked=False), Bounds(Left()), "LOST"),
    "promoted writes do not test the writer": (Rules(promoted_tests_writer=False), Bounds(Left()), "LOST"),
    "forward statements do not test the writer": (
        Rules(forward_tests_writer=False),
        Bounds(Left(writes=1, verifications=1), slots=1, proxies=1, history=False),
        "DIFFERENT",
    ),
    "promoted reads do not test the writer": (
        Rules(read_tests_writer=False),
        Bounds(Left(writes=1, reads=1, cuts=1, promotes=0), slots=1, removals=False, behind=PROMOTED),
        "STALE",
    ),
    "revisions are drawn before the lock": (Rules(revision_after_lock=False), Bounds(Left(demotes=0)), "REVISION"),
    "revisions from each proxy's clock": (Rules(one_sequence=False), Bounds(Left(demotes=0), keys=2), "REVISION"),
    "a conditional write decides before it locks": (
        Rules(decides_under_lock=False),
        Bounds(Left(promotes=0, demotes=0), proxies=1, conditional=True, removals=False, start=PROMOTED),
        "UPDATE LOST",
    ),
    "a purge does not wait for the fence": (
        Rules(purge_waits=False),
        Bounds(Left(promotes=0, writes=3, purges=1, demotes=0), proxies=1, history=False, start=PROMOTED),
        "REVISION",
    ),
    "pushes have no token": (
        Rules(token=False),
        Bounds(Left(promotes=0, takeovers=1), slots=1, proxies=1, start=PROMOTED),
        "DIFFERENT",
    ),
    "a push is a request with a token": (
        Rules(push_is_transaction=False),
        Bounds(Left(promotes=0, lost_pushes=1), slots=1, proxies=1, start=PROMOTED),
        "DIFFERENT",
    ),
    "documents are read before the outbox": (
        Rules(rows_before_documents=False),
        Bounds(Left(promotes=0), slots=1, proxies=1, start=PROMOTED),
        "DIFFERENT",
    ),
    "rows up to the newest are removed": (
        Rules(deletes_what_it_read=False),
        Bounds(Left(promotes=0), keys=2, proxies=1, removals=False, start=PROMOTED),
        "DIFFERENT",
    ),
    "rows are removed without the lease": (
        Rules(deletes_under_lease=False),
        Bounds(Left(promotes=0, takeovers=1), slots=1, proxies=1, start=PROMOTED),
        "DIFFERENT",
    ),
    "equal revisions are written again": (
        Rules(equal_left_alone=False),
        Bounds(Left(lost_pushes=1), slots=1),
        "REVISION",
    ),
    "the hold ends without PostgreSQL": (Rules(hold_sticks=False), Bounds(Left(cuts=1), slots=1), "DIFFERENT"),
    "reads in the hold may ask ArangoDB": (
        Rules(hold_asks_no_read=False),
        Bounds(Left(promotes=0, writes=1, reads=1), slots=1, appliers=1, start=PROMOTED, behind=HOLD),
        "STALE",
    ),
    "a read repair is stamped when it writes": (
        Rules(stamp_before_reading=False),
        Bounds(Left(writes=1, reads=1, purges=1), slots=1, proxies=1, appliers=1),
        "DIFFERENT",
    ),
    "a crash forgets the hold": (
        Rules(hold_survives_crash=False),
        Bounds(Left(writes=1, crashes=1, cuts=1), slots=1, removals=False, start=HOLD),
        "DIFFERENT",
    ),
    "promote waits for no acknowledgement": (Rules(acknowledgements=False), Bounds(Left(), slots=1), "DIFFERENT"),
    "rights are taken instead of acknowledgements": (
        Rules(acknowledgements=False, leases_at_commit=False),
        Bounds(Left(), slots=1, users=(True,)),
        "DIFFERENT",
    ),
    "acknowledged with open intents": (
        Rules(acknowledges_without_intents=False),
        Bounds(Left(lost=1), slots=1),
        "DIFFERENT",
    ),
    "no floor of revisions": (Rules(floor=False), Bounds(Left(), keys=2, slots=1), "REVISION"),
    "the floor before the acknowledgements": (
        Rules(floor_after_acknowledgements=False),
        Bounds(Left(), keys=2, slots=1),
        "REVISION",
    ),
    "demote does not drain": (
        Rules(drained=False),
        Bounds(Left(promotes=0, writes=1), slots=1, proxies=1, start=PROMOTED),
        "LOST",
    ),
    "demote does not wait for the clock": (
        Rules(clock_wait=False),
        Bounds(Left(promotes=0), slots=1, proxies=1, start=PROMOTED),
        "REVISION",
    ),
    "demote raises no mark": (
        Rules(demotion_raises_mark=False),
        Bounds(Left(promotes=0, writes=1, purges=1, verifications=1), slots=1, proxies=1, start=PROMOTED),
        "DIFFERENT",
    ),
    "reads after a demotion need no lease": (
        Rules(leases_after_demotion=False),
        Bounds(Left(writes=1, reads=1, cuts=1, promotes=0), slots=1, removals=False),
        "STALE",
    ),
    "no marks, no tombstones": (
        Rules(promotion_raises_mark=False, demotion_raises_mark=False, tombstones=False),
        Bounds(Left(writes=3, orphans=1), slots=1, proxies=1),
        "DIFFERENT",
    ),
    "rights are taken after the commit": (
        Rules(rights_before_commit=False),
        Bounds(Left(writes=1, bypasses=1), slots=1, users=(True,)),
        "DIFFERENT",
    ),
    "rights are given back before the commit": (
        Rules(rights_back_after_commit=False),
        Bounds(Left(writes=1, bypasses=1), slots=1, users=(True,)),
        "DIFFERENT",
    ),
    "a request for rights may be under way": (
        Rules(rights_request_is_gate=False),
        Bounds(Left(writes=0, bypasses=1, promotes=2, aborts=1, demotes=0), users=(True,)),
        "DIFFERENT",
    ),
    "each command notes the rights": (
        Rules(rights_noted_once=False),
        Bounds(Left(writes=0), users=(True, True)),
        "STUCK",
    ),
    "the note of rights ends before the requests": (
        Rules(note_outlives_requests=False),
        Bounds(Left(writes=0, aborts=1), users=(True, False)),
        "STUCK",
    ),
    "break-glass has no outbox rows": (
        Rules(glass_outbox=False),
        Bounds(Left(writes=1, glass=1, demotes=0), appliers=1),
        "DIFFERENT",
    ),
    "break-glass has no margin": (
        Rules(glass_margin=False),
        Bounds(Left(glass=1, demotes=0), keys=2, proxies=1, appliers=1, removals=False),
        "REVISION",
    ),
    "after break-glass pushes do not wait": (
        Rules(glass_waits_for_late=False),
        Bounds(Left(writes=1, glass=1, demotes=0), proxies=1, appliers=1),
        "DIFFERENT",
    ),
    "promote with an unverified collection": (
        Rules(unverified_is_gate=False),
        Bounds(Left(writes=1, crashes=1, evictions=1, demotes=0), slots=1),
        "DIFFERENT",
    ),
    "a verification does not wait for late requests": (
        Rules(verification_waits_for_late=False),
        Bounds(Left(writes=1, crashes=1, evictions=1, demotes=0), slots=1),
        "DIFFERENT",
    ),
}
