"""Statements of queries/collections.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement


class CollectionRow(NamedTuple):
    collection: str
    database: str
    name: str
    edge: bool
    relation: str
    stage: str


class RelationRow(NamedTuple):
    collection: str
    relation: str


FIND = Statement("collections", "find", CollectionRow)
ENSURE = Single("collections", "ensure", CollectionRow)
ALL = Statement("collections", "all", RelationRow)
