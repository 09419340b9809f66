"""Statements of queries/promotion.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Single, Statement


class OpenRunRow(NamedTuple):
    id: int
    kind: str
    collection: str


class NotedRightRow(NamedTuple):
    collection: str
    username: str
    granted: str | None


class TakenRightRow(NamedTuple):
    """late: a change that was requested before may still happen."""

    collection: str
    username: str
    granted: str | None
    asked_at: datetime | None
    late: bool


RIGHTS_MISSING = Single("promotion", "rights_missing", bool)
BEGIN_TAKING = Single("promotion", "begin_taking", bool)
WITHHOLD = Single("promotion", "withhold", bool)
RESUME = Single("promotion", "resume", bool)
GIVE_BACK = Single("promotion", "give_back", bool)
COMPLETE = Single("promotion", "complete", bool)
PAUSE_WRITES = Statement("promotion", "pause_writes")
END_PAUSE = Statement("promotion", "end_pause")
OTHER_WRITERS = Statement("promotion", "other_writers", str)
NOTE_RIGHTS = Statement("promotion", "note_rights")
ASKING = Statement("promotion", "asking")
ANSWERED = Statement("promotion", "answered")
FORGET_RIGHTS = Statement("promotion", "forget_rights")
TO_GIVE_BACK = Statement("promotion", "to_give_back", TakenRightRow)
UNANSWERED_RIGHTS = Statement("promotion", "unanswered_rights", str)
INCOMPLETE_RIGHTS = Statement("promotion", "incomplete_rights", str)
OPEN_RUNS = Statement("promotion", "open_runs", OpenRunRow)
END_RUNS = Statement("promotion", "end_runs")
LACKING = Single("promotion", "lacking", int)
NEWEST_GIVEN = Single("promotion", "newest_given", int)
NOT_IN_ARANGODB = Statement("promotion", "not_in_arangodb", str)
COUNT_CHANGES = Single("promotion", "count_changes", bool)
RECOUNT = Statement("promotion", "recount")
TAKEN_OVER = Statement("promotion", "taken_over", str)
NOTED_RIGHTS = Statement("promotion", "noted_rights", NotedRightRow)
