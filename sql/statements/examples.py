"""Statements of queries/examples.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Statement


class ExampleRow(NamedTuple):
    shape: str
    request: str


ADD = Statement("examples", "add")
TRIM = Statement("examples", "trim")
OF_SHAPES = Statement("examples", "of_shapes", ExampleRow)
