"""Mutants of writes over PostgreSQL alone that only faults show."""

from typing import Final

from tests.faults.mutations import Mutant

_ALONE: Final = "tests/faults/test_alone.py::"
_EXPIRY: Final = "tests/integration/test_expiry_following.py::"
_REFUSALS: Final = "tests/integration/test_complete_refusals.py::"
_TRANSACTIONS: Final = "tests/integration/test_complete_transactions.py::"

MUTANTS = (
    Mutant(
        "an answer does not wait for the log of PostgreSQL",
        "proxy/base/session_settings.py",
        "\"SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';\"",
        '"SET synchronous_commit = off;"',
        f"{_ALONE}test_what_was_acknowledged_survives_disasters",
    ),
    Mutant(
        "a document that is being inserted is not found to be blocked",
        "proxy/stores/postgres/writes/locked_documents.py",
        "relation, keys, inserts)",
        "relation, keys, False)",
        f"{_TRANSACTIONS}test_each_answer_is_that_of_the_development_server",
    ),
    Mutant(
        "a unique value that is taken since the snapshot refuses the whole array",
        "proxy/stores/postgres/writes/blocked_values.py",
        "                found = found or bool(blocked)\n",
        "",
        f"{_TRANSACTIONS}test_each_answer_is_that_of_the_development_server",
    ),
    Mutant(
        "a refused write keeps its locks",
        "proxy/stores/postgres/writes/transaction.py",
        "                if not changes and not empties:\n",
        "                if False:\n",
        f"{_TRANSACTIONS}test_each_answer_is_that_of_the_development_server",
    ),
    Mutant(
        "what ArangoDB expires is not looked for",
        "proxy/replication/mirror.py",
        "            self._expiry.run,\n",
        "",
        f"{_EXPIRY}test_what_arangodb_expires_is_removed_and_nothing_else",
    ),
    Mutant(
        "a recheck does not follow the expiry",
        "proxy/app/application.py",
        "            self.mirror.agreed,\n",
        "            self.mirror.caught_up,\n",
        f"{_EXPIRY}test_an_expired_document_is_no_mismatch",
    ),
    Mutant(
        "a document that PostgreSQL refuses makes its whole array fail",
        "proxy/stores/postgres/writes/writer.py",
        "            if apart is None:\n                raise\n",
        "            if True:\n                raise\n",
        f"{_REFUSALS}test_an_array_loses_no_other_document",
    ),
    Mutant(
        "a transaction is not named when PostgreSQL is away",
        "proxy/complete/transaction_requests.py",
        "            if known is None or (about and not self._transactions.is_local(operation)):\n",
        "            if True:\n",
        f"{_REFUSALS}test_while_postgresql_is_away_each_request_gets_503_and_then_continues",
    ),
    Mutant(
        "a lost transaction is shown as running",
        "proxy/complete/transaction_requests.py",
        "        await self._transactions.notice_lost()\n",
        "",
        "tests/integration/test_complete_transactions.py::test_a_lost_transaction_is_never_shown_as_running",
    ),
    Mutant(
        "each pass of a decision draws other revisions",
        "proxy/stores/postgres/writes/transaction.py",
        "            if wanted or not number:",
        "            if True:",
        f"{_REFUSALS}test_a_unique_value_that_contains_a_revision_is_decided",
    ),
)
