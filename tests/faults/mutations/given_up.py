"""Mutants of writes that fail in part, are refused permanently, or become dead letters (I3, I7, I10)."""

from tests.faults.mutations import Mutant

_GIVEN_UP = "tests/integration/test_refused_rows.py"
_GRAPHS = "tests/integration/test_capture_graphs.py"
_INSIDE = (
    "tests/integration/test_capture_transactions.py"
    "::test_every_kind_of_write_in_a_transaction_is_captured_without_a_mark"
)

MUTANTS = (
    Mutant(
        "a query without a loop is assumed to fail as a whole",
        "proxy/capture/aql_plan.py",
        "        known.once and not asked.commits,\n",
        "        known.once,\n",
        "tests/unit/capture/test_refusals.py"
        "::test_a_query_without_a_loop_fails_whole_unless_its_request_says_otherwise[intermediateCommitCount]",
    ),
    Mutant(
        "an answer does not wait for removals of a failed query",
        "proxy/capture/aql.py",
        "if parts or name not in planned.removed]",
        "if name not in planned.removed]",
        "tests/faults/test_ends.py::test_a_write_is_in_both_databases_whatever_its_ending[answered-flipped]",
    ),
    Mutant(
        "a change of a graph writes the collection that its path names",
        "proxy/routing/scope.py",
        "endpoint.write_route is WriteRoute.GRAPH_DOCUMENT and endpoint.verb is not Verb.REMOVE",
        "endpoint.verb is not Verb.REMOVE",
        f"{_GRAPHS}::test_a_changed_graph_definition_is_in_postgresql_before_the_answer[_graphs alone]",
    ),
    Mutant(
        "a persistent transient error is retried forever",
        "proxy/replication/bisection.py",
        "        return worst >= ENOUGH\n",
        "        return False\n",
        f"{_GIVEN_UP}::test_a_transient_error_that_persists_for_one_document_makes_a_dead_letter[40001]",
    ),
    Mutant(
        "a table that refuses every row creates dead letters",
        "proxy/replication/target_writer.py",
        "        others = False\n        relation = await self.tables.relation(collection)\n",
        "        return True\n        relation = await self.tables.relation(collection)\n",
        f"{_GIVEN_UP}::test_a_table_that_refuses_every_row_keeps_its_backlog_and_delays_no_other",
    ),
    Mutant(
        "a dead letter of a removal waits for a tombstone",
        "sql/queries/missing_writes.sql",
        "  AND i.origin IS NOT DISTINCT FROM (",
        "  AND i.origin = (",
        f"{_GIVEN_UP}::test_the_dead_letter_of_a_removal_ends_when_its_row_is_gone",
    ),
    Mutant(
        "a write inside of a transaction is forgotten at its end",
        "proxy/capture/attempt.py",
        "                running.keep((intent,))\n",
        "                mirror.close_intent(intent)\n",
        f"{_INSIDE}[vertex-commit]",
    ),
    Mutant(
        "an immediate write waits for the transaction's end",
        "proxy/capture/transaction_writes.py",
        "    apart = operation.endpoint.in_transaction is not InTransaction.PART\n",
        "    apart = False\n",
        "tests/integration/test_capture_transactions.py"
        "::test_immediate_effects_are_captured_whatever_the_transactions_outcome[import-abort]",
    ),
    Mutant(
        "a change that the journal could not take is only marked",
        "proxy/replication/intent_closer.py",
        "        if isinstance(orphan.write, Resync):\n",
        "        if orphan.write is None:\n",
        "tests/integration/test_dropped_collections.py"
        "::test_a_change_that_the_journal_could_not_take_is_compared_from_memory[drop]",
    ),
)
