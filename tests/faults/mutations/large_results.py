"""Mutants of results and modifications that memory does not hold."""

from tests.faults.mutations import Mutant

_TEST = "tests/integration/test_large_results.py::"
_EVALUATED = "tests/unit/aql/execution/test_large_queries.py::test_the_results_are_those_of_memory"
_SPOOL = "proxy/base/spool.py"
_FLUSHES = "proxy/stores/postgres/modifications/flushes.py"

MUTANTS = (
    Mutant(
        "a batch on disk ends with the comma before the next row",
        _SPOOL,
        "self._begin(last) - 1 if",
        "self._begin(last) if",
        f"{_TEST}test_batches_are_as_long_as_requested",
    ),
    Mutant(
        "the room of a spool is not given back",
        _SPOOL,
        "        self._space.give_back(self._written)\n",
        "",
        f"{_TEST}test_disk_is_bounded_and_free_again_after_the_cursor",
    ),
    Mutant(
        "a query that fails keeps what it has sent since its last intermediate commit",
        _FLUSHES,
        "        if kept < 0:\n            await self.roll_back()\n",
        "        if False:\n            await self.roll_back()\n",
        f"{_TEST}test_an_error_at_the_end_leaves_nothing",
    ),
    Mutant(
        "an error may come from a value that was taken to be free",
        _FLUSHES,
        "            await self._check()",
        "            pass",
        "tests/property/test_refused_values.py::test_the_first_index_that_refuses_a_document_is_named",
    ),
    Mutant(
        "an error hides the first index that refuses the document",
        "proxy/stores/postgres/modifications/query_run.py",
        "        return refused\n",
        "        raise\n",
        "tests/property/test_refused_values.py::test_the_first_index_that_refuses_a_document_is_named",
    ),
    Mutant(
        "what a query has sent is known as it was before",
        "proxy/stores/postgres/modifications/query_collection.py",
        "            self.known.take_written(change.key, change.raw)\n",
        "            assert change\n",
        f"{_TEST}test_a_query_that_writes_a_document_twice_sees_its_own_writes",
    ),
    Mutant(
        "rows that are sorted on disk ascend",
        "proxy/aql/execution/sorted_rows.py",
        "reverse=orders == {False}",
        "reverse=False",
        _EVALUATED,
    ),
    Mutant(
        "values that differ within a page are taken to be common",
        "proxy/aql/execution/held_rows.py",
        "if all(row[place] is value for row in page)",
        "if value is not None",
        _EVALUATED,
    ),
)
