"""Mutants of the fence in the statement that reads from PostgreSQL (I7)."""

from tests.faults.mutations import Mutant

MUTANTS = (
    Mutant(
        "epoch check skipped",
        "sql/queries/store.sql",
        "EXISTS (SELECT 1 FROM _crossfade.control WHERE generation = {generation})",
        "EXISTS (SELECT 1 FROM _crossfade.control)",
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
