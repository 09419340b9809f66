"""Statements of queries/migration.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement


class AppliedRow(NamedTuple):
    number: int
    name: str
    checksum: str


CREATE_SCHEMA = Statement("migration", "create_schema")
CREATE_TABLE = Statement("migration", "create_table")
EXISTS = Single("migration", "exists", bool)
EXISTS_BY_FORMER_NAME = Single("migration", "exists_by_former_name", bool)
APPLIED = Statement("migration", "applied", AppliedRow)
ADD = Statement("migration", "add")
