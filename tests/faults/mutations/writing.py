"""Mutants of writes other than single documents (I3)."""

from tests.faults.mutations import Mutant

MUTANTS = (
    Mutant(
        "a lost batch of a cursor is forgotten",
        "proxy/capture/attempt.py",
        "            self._end(intent, UNKNOWN)\n",
        "            self._end(intent, NOTHING_WRITTEN)\n",
        "tests/integration/test_capture_lost.py::test_a_lost_batch_of_a_cursor_loses_no_write",
    ),
    Mutant(
        "the proxy does not read a modification's cursor to its end",
        "proxy/capture/aql.py",
        "                if batch.id is None:\n                    break\n",
        "                break\n",
        "tests/faults/test_ends.py::test_a_write_is_in_both_databases_whatever_its_ending[in-batches-flipped]",
    ),
    Mutant(
        "the keys of a modification are read again after the answer",
        "proxy/capture/aql.py",
        "  # all keys have their own intents\n            await attempt.applied()\n",
        "\n",
        "tests/faults/test_ends.py::test_a_write_is_in_both_databases_whatever_its_ending[answered-flipped]",
    ),
    Mutant(
        "an answer in velocypack is not read",
        "proxy/gateway/dispatcher.py",
        "            must_read_body(operation, snapshot)\n",
        "            False\n",
        "tests/integration/test_velocypack.py::test_writes_are_captured_in_every_form_of_request_and_answer[mirror]",
    ),
    Mutant(
        "a refused commit forgets the transaction",
        "proxy/capture/open_transactions.py",
        "                self._runs_at(known, generation if self._registry.noted(name) else 0)\n",
        "                pass\n",
        "tests/integration/test_capture_transactions.py::test_requests_of_another_user_do_not_affect_a_transaction",
    ),
    Mutant(
        "a write in a transaction does not wait for its end",
        "proxy/capture/attempt.py",
        "                running.wrote(intent, outcome.changes)\n",
        "                mirror.captured(intent, outcome.changes)\n",
        "tests/integration/test_capture_transactions.py::test_an_abort_leaves_nothing",
    ),
    Mutant(
        "a transaction is applied key by key",
        "proxy/capture/transaction_plan.py",
        "        self.whole.append(intent)\n",
        "        self.again.append(intent)\n        return\n",
        "tests/integration/test_capture_transactions.py::test_a_transaction_becomes_visible_atomically",
    ),
    Mutant(
        "a removal by example is searched by revisions",
        "proxy/wire/endpoints.py",
        'capture="removals_by_example"',
        'capture="changes_by_example"',
        "tests/integration/test_capture_modifications.py::test_a_write_by_example_is_captured[remove]",
    ),
    Mutant(
        "documents found by a scan count as mirrored",
        "proxy/replication/journal_drainer.py",
        "if not is_superseded(row, stored.get(row.key))]",
        "if row.key not in stored]",
        "tests/integration/test_capture_modifications.py::test_a_write_by_example_is_captured[update]",
    ),
    Mutant(
        "old stamps are accepted after a failover",
        "proxy/replication/failover_detector.py",
        "            await session.fetch(sql.mirror.LEAP)\n",
        "",
        "tests/faults/test_failover.py::test_a_new_timeline_raises_the_era_and_makes_every_database_unverified",
    ),
)
