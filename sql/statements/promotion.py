"""Statements of queries/promotion.sql."""

from __future__ import annotations

from sql.statement import Single, Statement

BEGIN_TAKING = Single("promotion", "begin_taking", bool)
WITHHOLD = Single("promotion", "withhold", bool)
RESUME = Single("promotion", "resume", bool)
GIVE_BACK = Single("promotion", "give_back", bool)
OTHER_WRITERS = Statement("promotion", "other_writers", str)
