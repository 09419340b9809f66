"""Mutants of the server that PostgreSQL is alone: differences from the development server, and counts."""

from typing import Final

from tests.faults.mutations import Mutant

_ENDPOINTS: Final = "tests/property/test_every_endpoint.py::test_every_endpoint_is_the_same_on_both_servers"
_TRANSACTIONS: Final = "tests/integration/test_transaction_locks.py::"
_COUNTS: Final = "tests/integration/test_complete_counts.py::"

MUTANTS = (
    Mutant(
        "the edges of a vertex are not looked up",
        "proxy/complete/collection_view.py",
        "            self.missing.vertices |= vertices - self.part.vertices\n",
        "            pass\n",
        _ENDPOINTS,
    ),
    Mutant(
        "made keys begin with 1",
        "proxy/stores/postgres/writes/properties.py",
        '        int(values.get("id", 0)),\n',
        "        0,\n",
        _ENDPOINTS,
    ),
    Mutant(
        "a removed document is counted",
        "sql/migrations/0027_pre_counts.sql",
        "WHEN ((OLD.doc IS NULL) <> (NEW.doc IS NULL))",
        "WHEN (OLD.doc IS NULL AND NEW.doc IS NOT NULL)",
        f"{_COUNTS}test_a_count_is_exact_after_each_kind_of_write",
    ),
    Mutant(
        "what prevents a common transaction is every member's error",
        "proxy/stores/postgres/writes/writer.py",
        "            return [_Alone(one, rules) for one in prepared] or [_Alone()] * len(members)\n",
        "            raise\n",
        "tests/integration/test_target_writes.py::test_a_write_that_prevents_a_common_transaction_does_not_harm_others",
    ),
    Mutant(
        "a collection that is locked exclusively is not waited for",
        "proxy/complete/store.py",
        "                if not await self._released(locked.relation, until):\n",
        "                if True:\n",
        f"{_TRANSACTIONS}test_a_write_continues_when_the_exclusive_lock_is_released",
    ),
    Mutant(
        "numbers of keys are taken in the session of a stream transaction",
        "proxy/complete/view_attempt.py",
        "            numbers=self._database if inside else None,\n",
        "",
        f"{_TRANSACTIONS}test_inserts_into_a_graph_do_not_wait_for_the_keys_of_a_transaction",
    ),
    Mutant(
        "a new right does not hold before the catalog is refreshed",
        "proxy/complete/store.py",
        "            if refused is not None and self._rights_seconds:",
        "            if False:",
        "tests/integration/test_complete_proxies.py::"
        "test_rights_are_remembered_for_a_while_and_new_ones_hold_immediately",
    ),
    Mutant(
        "a killed query continues",
        "proxy/complete/query_tracking.py",
        "                query.interrupt = lambda: limit.reschedule(0)\n",
        "",
        "tests/integration/test_complete_queries.py::test_a_query_that_waits_for_a_lock_is_listed_and_can_be_killed",
    ),
)
