"""Of the ways of a write that are not one document (I3)."""

from tests.faults.mutations import Mutant

MUTANTS = (
    Mutant(
        "a lost batch of a cursor is forgotten",
        "proxy/writing/modifications.py",
        "        if batch.id is None and cursor.whole:\n",
        "        if batch.id is None:\n",
        "tests/integration/test_capture_lost.py::test_a_lost_batch_of_a_cursor_loses_no_write",
    ),
    Mutant(
        "a write in a transaction does not wait for its end",
        "proxy/writing/transactions.py",
        "            buffer.wrote(intent, captured)\n",
        "            self._kit.mirror.answered(intent, captured)\n",
        "tests/integration/test_capture_transactions.py::test_an_abort_leaves_nothing",
    ),
    Mutant(
        "a transaction is applied key by key",
        "proxy/mirror/transactions.py",
        "        self.whole.append(intent)\n",
        "        self.again.append(intent)\n        return\n",
        "tests/integration/test_capture_transactions.py::test_a_transaction_becomes_visible_as_a_whole",
    ),
)
