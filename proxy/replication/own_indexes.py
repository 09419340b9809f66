"""Indexes that Crossfade makes for queries (`crossfade indexes`, `crossfade explain --create`), and how they give way.

A btree takes values of some 2,700 bytes; a document with a longer one in an indexed attribute is refused (54000, which
names the index for some sizes, and none for others: then the values that the document has for each are measured). No
expression over a part of a value sorts as ArangoDB sorts, so the index takes the value whole. An index makes reads
faster, and a document that PostgreSQL lacks makes them wrong: so the index goes, not the document. Whoever meets the
refusal drops the index that it names, if it is one of ours, and writes again; an index of anybody else stays, and the
document is a dead letter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import sql
from proxy.base.errors import StatementError
from sql.statement import Single, Statement

TOO_LARGE: Final = "54000"  # program_limit_exceeded
_OURS: Final = re.compile(r'"(list_[0-9a-f]{24})"')


def name_of(relation: str, columns: str) -> str:
    """The name of the index for a list: filters by equality, then the keys of the order."""
    return f"list_{hashlib.sha256(f'{relation} {columns}'.encode()).hexdigest()[:24]}"


LARGE: Final = 2_000  # bytes of a value, beyond which an index may refuse it


def named_in(error: StatementError) -> str | None:
    """The index of ours that refused a value for its size, where the refusal names one."""
    found = _OURS.search(str(error))
    return found.group(1) if found else None


def measure(columns: Sequence[str]) -> Single[sql.indexes.MeasureRow]:
    """Return the query for the length of the longest of an index's values, of the document $1 with key $2.

    columns: as `pg_get_indexdef` gives them: PostgreSQL's text about an index of ours, and nobody else's.
    """
    return sql.indexes.MEASURE.fill(lengths=", ".join(f"octet_length(({column})::text)" for column in columns))


def drop(relation: str, name: str) -> Statement[None]:
    """Return the statement that drops an index of a relation, beside running reads and writes."""
    return sql.indexes.DROP.fill(index=f"{relation.rpartition('.')[0]}.{name}")
