"""The runs of the model of the reverse mirror: short and long ones that keep the rules, and those that break one."""

from __future__ import annotations

from tests.model.reverse.state import Bounds, Left, Rules

# what the test suite explores
SMALL: dict[str, Bounds] = {
    "a truncation": Bounds(Left(truncates=1, takeovers=1), slots=2, removals=False),
    "a rename": Bounds(Left(renames=1, lost=1), names=2),
    "drop and create": Bounds(Left(writes=1, drops=1, creates=1, lost=1)),
    "an index": Bounds(Left(writes=1, indexes=2), keys=2, unique=True, removals=False, appliers=1),
    "a unique index": Bounds(Left(), keys=2, unique=True, removals=False, appliers=1),
    "two parts": Bounds(Left(writes=1, truncates=1), names=2, existing=2, parts=2, removals=False),
}

# what `make model` explores. Two run at a time
LARGE: dict[str, Bounds] = {
    "truncations, three appliers": Bounds(Left(truncates=1, takeovers=2, lost=1), slots=2, appliers=3, removals=False),
    "truncations, two keys": Bounds(Left(truncates=1, takeovers=1, lost=1), keys=2, slots=2, removals=False),
    "renames there and back": Bounds(Left(writes=1, renames=2, takeovers=1, lost=1), names=2),
    "drop, create, rename": Bounds(Left(writes=1, drops=1, creates=1, renames=1, takeovers=1, lost=1), names=2),
    "drop, create, truncate": Bounds(Left(writes=1, drops=1, creates=1, truncates=1, takeovers=1, lost=1, crashes=1)),
    "a unique index, swaps": Bounds(Left(writes=2, lost=1), keys=2, unique=True, both=True, slots=2),
    "a unique index of three keys": Bounds(Left(writes=3, lost=1), keys=3, unique=True, appliers=1),
    "a unique index, a truncation": Bounds(Left(writes=2, truncates=1), keys=2, unique=True, appliers=1),
    "a unique index that is removed and created": Bounds(Left(indexes=2, lost=1), keys=2, unique=True, removals=False),
    "transactions of two keys": Bounds(
        Left(writes=2, takeovers=1, lost=1, crashes=1), keys=2, both=True, slots=2, removals=False
    ),
    "two parts": Bounds(Left(writes=2, truncates=1, takeovers=1), names=2, existing=2, parts=2, removals=False),
}

# rules that are not needed for safety: explored without them
FREE: dict[str, tuple[Rules, Bounds]] = {
    "a change waits for earlier rows, holders are pushed along": (
        Rules(changes_first=False),
        Bounds(Left(writes=2, truncates=1), keys=2, unique=True, removals=False, appliers=1),
    ),
    "a rename waits for earlier rows": (
        Rules(changes_first=False),
        Bounds(Left(renames=1, lost=1), names=2, removals=False),
    ),
    "a change and a write commit in any order": (
        Rules(change_excludes_writes=False),
        Bounds(Left(truncates=1), slots=2, removals=False),
    ),
}

# a rule that is not kept -> the bounds that show it, and the property that is violated
NEEDED: dict[str, tuple[Rules, Bounds, str]] = {
    "documents are pushed beside a change": (
        Rules(documents_wait_for_changes=False),
        Bounds(Left(writes=1, truncates=1)),
        "DIFFERENT",
    ),
    "a change waits for earlier rows": (
        Rules(changes_first=False, holders_are_pushed_along=False),
        Bounds(Left(writes=2, truncates=1), keys=2, unique=True, removals=False, appliers=1),
        "STUCK",
    ),
    "documents wait for an index": (
        Rules(documents_pass_indexes=False),
        Bounds(Left(indexes=2), keys=2, unique=True, removals=False, appliers=1),
        "STUCK",
    ),
    "a change is not announced": (
        Rules(change_is_announced=False),
        Bounds(Left(writes=1, truncates=1, lost=1)),
        "DIFFERENT",
    ),
    "an applier does not wait for late requests": (
        Rules(waits_for_late=False),
        Bounds(Left(writes=1, truncates=1, lost=1)),
        "DIFFERENT",
    ),
    "an announced request is sent at any time": (
        Rules(sends_before_deadline=False),
        Bounds(Left(writes=1, truncates=1, takeovers=1)),
        "DIFFERENT",
    ),
    "a change is removed before its answer": (
        Rules(confirmed_before_removal=False),
        Bounds(Left(writes=1, truncates=1)),
        "DIFFERENT",
    ),
    "rows name a collection": (
        Rules(rows_follow_identity=False),
        Bounds(Left(writes=1, renames=1), names=2),
        "DIFFERENT",
    ),
    "a collection is in two parts": (
        Rules(collection_in_one_part=False),
        Bounds(Left(writes=1, truncates=1), keys=2),
        "DIFFERENT",
    ),
    "a database is in two parts": (
        Rules(database_in_one_part=False),
        Bounds(Left(writes=0, drops=1, creates=1)),
        "DIFFERENT",
    ),
    "a push writes before it removes": (
        Rules(removes_before_it_writes=False),
        Bounds(Left(writes=1), keys=2, unique=True, both=True, appliers=1),
        "STUCK",
    ),
    "a batch does not grow": (
        Rules(batch_can_grow=False),
        Bounds(Left(writes=1), keys=2, unique=True, both=True, appliers=1),
        "STUCK",
    ),
    "pushes have no token": (Rules(token=False), Bounds(Left(takeovers=1)), "DIFFERENT"),
    "rows are removed without the lease": (Rules(deletes_under_lease=False), Bounds(Left(takeovers=1)), "DIFFERENT"),
    "demote does not drain": (Rules(drained=False), Bounds(Left(writes=1)), "DIFFERENT"),
    "a refused rename counts as done": (
        Rules(refused_is_not_done=False, database_in_one_part=False),
        Bounds(Left(writes=0, drops=1, renames=1), names=2, existing=2),
        "DIFFERENT",
    ),
}
