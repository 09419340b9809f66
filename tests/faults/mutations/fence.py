"""Mutants of the fence in the statement that reads from PostgreSQL (I7)."""

from tests.faults.mutations import Mutant

MUTANTS = (
    Mutant(
        "epoch check skipped",
        "sql/queries/store.sql",
        "WHERE generation = CASE WHEN {generation} < 0 THEN -1 - {generation} ELSE {generation} END)",
        "WHERE true)",
        "tests/integration/test_postgres_store.py::test_the_read_fence_is_part_of_the_statement",
        times=0,
    ),
    Mutant(
        "lease ignored",
        "sql/queries/store.sql",
        "(diverged OR lease_until < clock_timestamp())",
        "diverged",
        "tests/integration/test_postgres_store.py::test_the_read_fence_is_part_of_the_statement",
        times=0,
    ),
)
