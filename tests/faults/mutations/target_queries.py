"""Mutants of AQL that writes on PostgreSQL, and of stream transactions there."""

from tests.faults.mutations import Mutant

_TEST = "tests/integration/test_target_modifications.py::"
_BOTH = "tests/property/test_two_stores_aql.py::test_random_modifications_are_the_same_in_both_stores"
_TRX = "tests/integration/test_complete_transactions.py::"
_LOCKS = "tests/integration/test_transaction_locks.py::"
_QUERIES = "proxy/stores/postgres/modifications/modification_queries.py"
_ATTEMPT = "proxy/stores/postgres/modifications/attempt.py"
_COMPILED = "proxy/stores/postgres/modifications/compiled_attempt.py"
_WRITES = "tests/integration/test_compiled_writes.py::"
_UNIT = "tests/unit/aql/compile/test_writes.py::"
_COMPILED_BOTH = "tests/property/test_compiled_writes.py::test_compiled_modifications_are_the_same_in_both_stores"
_INSERTS = "tests/integration/test_compiled_inserts.py::"
_INSERTING = "proxy/aql/compile/writes/inserting_text.py"
_GIVEN = "proxy/stores/postgres/modifications/given_rows.py"
_RUN = "proxy/stores/postgres/modifications/query_run.py"

MUTANTS = (
    Mutant(
        "a compiled INSERT does not notice that a key has a document",
        _INSERTING,
        "_crossfade.unless(count(*) <> (SELECT count(*)",
        "_crossfade.unless(count(*) > (SELECT count(*)",
        _COMPILED_BOTH,
    ),
    Mutant(
        "a compiled INSERT writes an older version over a tombstone",
        _INSERTING,
        "DO UPDATE SET rev = excluded.rev, raw",
        "DO UPDATE SET rev = d.rev, raw",
        f"{_INSERTS}test_a_removed_document_is_inserted_again_with_a_later_revision",
    ),
    Mutant(
        "a compiled UPSERT takes any of the documents with the attributes",
        _INSERTING,
        'ORDER BY x.key COLLATE "C" LIMIT 1',
        'ORDER BY x.key COLLATE "C" DESC LIMIT 1',
        f"{_INSERTS}test_of_several_documents_the_one_with_the_first_key_is_found",
    ),
    Mutant(
        "rows of a compiled UPSERT do not see what those before have written",
        _GIVEN,
        "    if len(set(searched)) < len(searched):\n",
        "    if False:\n",
        "tests/integration/test_cli_explain.py::test_a_modification_is_explained_and_never_run",
    ),
    Mutant(
        "a compiled UPSERT exchanges unique values",
        _GIVEN,
        '        if released and given.change.kind != "IGNORE":\n',
        "        if False:\n",
        f"{_INSERTS}test_an_upsert_by_unique_values_is_one_statement_unless_they_change",
    ),
    Mutant(
        "a compiled INSERT follows the rules that a collection had",
        _COMPILED,
        "given.properties != row.properties",
        "False",
        f"{_INSERTS}test_rules_that_a_collection_gets_are_followed",
    ),
    Mutant(
        "a compiled UPSERT keeps the numbers of keys that it does not need",
        _GIVEN,
        " if inserted else (0, self.numbers.first)",
        "",
        f"{_INSERTS}test_the_numbers_that_a_query_made_are_taken_ahead_the_next_time",
    ),
    Mutant(
        "a query that writes reads each fetch by another snapshot",
        _QUERIES,
        'session.transaction(isolation="repeatable_read"):\n            attempt = QueryAttempt',
        "session.transaction():\n            attempt = QueryAttempt",
        f"{_TEST}test_increments_of_two_proxies_are_all_there",
    ),
    Mutant(
        "a compiled query overwrites what was committed after its snapshot",
        _QUERIES,
        'session.transaction(isolation="repeatable_read"):\n                attempt = CompiledAttempt',
        "session.transaction():\n                attempt = CompiledAttempt",
        f"{_TEST}test_increments_of_two_proxies_are_all_there",
    ),
    Mutant(
        "a compiled query does not test who takes the writes",
        _COMPILED,
        "        if row is None:\n            raise WriteFenceError\n",
        "        assert row is not None\n",
        f"{_TEST}test_no_modification_unless_postgresql_takes_the_writes",
    ),
    Mutant(
        "a compiled query does not follow the schema of its collection",
        _COMPILED,
        "properties.schema or ",
        "",
        f"{_WRITES}test_a_collection_with_rules_is_left_to_the_evaluator",
    ),
    Mutant(
        "a compiled query leaves no row in the outbox",
        "proxy/aql/compile/writes/text.py",
        "(SELECT in_arangodb {FLOOR})",
        "(SELECT NOT in_arangodb {FLOOR})",
        f"{_WRITES}test_the_outbox_has_the_keys_that_arangodb_lacks",
    ),
    Mutant(
        "a compiled query writes a document once for several rows",
        "proxy/aql/compile/writes/target.py",
        "    return WrittenTarget(replace(var), repeats=",
        "    return WrittenTarget(replace(var), repeats=False and ",
        f"{_UNIT}test_a_statement_refuses_rows_that_name_the_same_document",
    ),
    Mutant(
        "a compiled query takes the target of a loop's rows to be another one for each",
        "proxy/aql/compile/writes/target.py",
        "    return c.resolved(ast.Variable(node.variable)) is var",
        "    return True",
        f"{_UNIT}test_a_statement_refuses_rows_that_name_the_same_document",
    ),
    Mutant(
        "a compiled query reads for one row what it has not yet written for another",
        "proxy/aql/compile/writes/whole.py",
        "    if loops(before) and not",
        "    if False and not",
        f"{_UNIT}test_what_is_left_to_the_evaluator",
    ),
    Mutant(
        "a LIMIT after a SORT chooses among equal keys at random",
        "proxy/aql/compile/sorting.py",
        "    if c.stable_sorts:\n",
        "    if False:\n",
        f"{_UNIT}test_rows_of_equal_sort_keys_keep_their_order",
    ),
    Mutant(
        "a compiled UPDATE does not merge objects",
        "proxy/aql/compile/writes/change.py",
        "if options.keep_null and all(value.flat for value in values.values()):",
        "if True:",
        _COMPILED_BOTH,
    ),
    Mutant(
        "a number with many zeros is printed as an integer",
        "sql/migrations/0030_pre_printed_values.sql",
        "(abs(number) >= 100000000 AND number % 100000000 = 0)",
        "false",
        f"{_WRITES}test_values_are_printed_as_arangodb_prints_them_or_refused",
    ),
    Mutant(
        "a number within an object is taken for that of the document",
        "sql/migrations/0034_pre_changed_texts.sql",
        " AND NOT _crossfade.has_other_forms(in_former)",
        "",
        f"{_WRITES}test_a_number_within_an_object_is_not_taken_for_the_documents",
    ),
    Mutant(
        "a batch draws its revisions piece by piece",
        _QUERIES,
        "min(plan.rows, _DRAWN)",
        "0",
        f"{_TEST}test_documents_of_a_bind_variable_take_the_same_statements_however_many",
    ),
    Mutant(
        "a query that needs NEW and not OLD gets neither",
        "proxy/aql/execution/modifications.py",
        "not {old, new}.issubset(",
        "{old, new}.isdisjoint(",
        f"{_TEST}test_a_removed_document_is_inserted_again_with_a_later_revision",
    ),
    Mutant(
        "a query that writes does not test who takes the writes",
        _ATTEMPT,
        "        if row is None:\n            raise WriteFenceError\n",
        "        assert row is not None\n",
        f"{_TEST}test_no_modification_unless_postgresql_takes_the_writes",
    ),
    Mutant(
        "a query does not notice that a key which it took to be free is not",
        _ATTEMPT,
        "            if len(written) < len(changes):\n",
        "            if not written:\n",
        f"{_TEST}test_an_insert_that_waited_for_another_of_its_key_is_refused",
    ),
    Mutant(
        "a query of a stream transaction ignores a changed document that it leaves as it is",
        _ATTEMPT,
        "        elif await prepared.blocked.find(self._session, unchanged):\n",
        "        elif not unchanged:\n",
        "tests/integration/test_complete_transactions.py::test_each_answer_is_that_of_the_development_server",
    ),
    Mutant(
        "an error counts although the query took a key to be free",
        _ATTEMPT,
        "        if ended.error is not None:  # it may",
        "        if False:  # it may",
        _BOTH,
    ),
    Mutant(
        "a run that missed something counts",
        _ATTEMPT,
        "        if ended.missing:\n",
        "        if False:\n",
        f"{_TEST}test_a_modification_takes_few_statements_however_many_documents",
    ),
    Mutant(
        "an UPSERT does not see what its query has written",
        _RUN,
        "        if collection is None or not collection.written:\n",
        "        if True:\n",
        _BOTH,
    ),
    Mutant(
        "a query that fails keeps all of its writes",
        "proxy/stores/postgres/modifications/flushes.py",
        "reversed(self._pending[max(0, kept) :])",
        "()",
        f"{_TEST}test_a_query_that_fails_leaves_what_it_wrote_before_its_last_intermediate_commit",
    ),
    Mutant(
        "each run of a query has other random numbers",
        _QUERIES,
        "            seed=random.getrandbits(64),\n",
        "            seed=None,\n",
        f"{_TEST}test_random_values_are_the_same_in_every_run_of_a_query",
    ),
    Mutant(
        "a query makes keys of numbers that nobody gave it",
        "proxy/stores/postgres/modifications/reserved_numbers.py",
        "        self._short = self._short or self.last > self._numbers.end\n",
        "",
        f"{_TEST}test_keys_continue_after_the_largest_number_that_was_seen",
    ),
    Mutant(
        "a query that writes leaves no row in the outbox",
        "sql/queries/modifications.sql",
        "SELECT $1, key FROM given\n    WHERE (",
        "SELECT $1, key FROM given\n    WHERE NOT stored AND (",
        f"{_TEST}test_a_removed_document_is_inserted_again_with_a_later_revision",
    ),
    Mutant(
        "a key with a tombstone is not inserted again",
        "sql/queries/modifications.sql",
        "doc = excluded.doc WHERE d.doc IS NULL",
        "doc = excluded.doc WHERE false",
        f"{_TEST}test_a_removed_document_is_inserted_again_with_a_later_revision",
    ),
    Mutant(
        "what is written counts for nothing",
        _RUN,
        "            self._budget.spend(size, rows=0)\n",
        "",
        f"{_TEST}test_a_query_over_the_limits_is_refused_and_writes_nothing",
    ),
    Mutant(
        "a filter keeps rows from a modification before it",
        "proxy/aql/scan_narrowing.py",
        "                break  # it writes for every row",
        "                pass  # it writes for every row",
        "tests/unit/aql/execution/test_modifications.py::test_a_filter_after_a_modification_does_not_keep_rows_from_it",
    ),
    Mutant(
        "the snapshot of a stream transaction is taken before its locks",
        "proxy/complete/pinned_transaction.py",
        "            for name in sorted(declared.write | declared.exclusive):\n",
        "            await session.fetch(sql.stream_transactions.LOCK_WRITERS, [])\n"
        "            for name in sorted(declared.write | declared.exclusive):\n",
        f"{_LOCKS}test_an_exclusive_lock_keeps_writers_out_until_it_ends",
    ),
    Mutant(
        "an exclusive lock keeps nobody out",
        "sql/queries/stream_transactions.sql",
        "LOCK TABLE {relation} IN EXCLUSIVE MODE",
        "LOCK TABLE {relation} IN ROW EXCLUSIVE MODE",
        f"{_LOCKS}test_an_exclusive_lock_keeps_writers_out_until_it_ends",
    ),
    Mutant(
        "a stream transaction reads what was committed after its beginning",
        "proxy/complete/pinned_transaction.py",
        'session.transaction(isolation="repeatable_read")',
        "session.transaction()",
        f"{_TRX}test_a_transaction_sees_the_documents_of_its_beginning",
    ),
    Mutant(
        "a stream transaction that nobody uses lives on",
        "proxy/complete/stream_transactions.py",
        "now - transaction.used > limits.idle or ",
        "",
        f"{_TRX}test_one_that_is_idle_or_too_old_is_aborted",
    ),
    Mutant(
        "requests of one stream transaction do not take turns",
        "proxy/complete/stream_transactions.py",
        "        async with transaction.turn:\n            if transaction.lost:\n",
        "        if True:\n            if transaction.lost:\n",
        f"{_TRX}test_requests_of_one_transaction_take_turns",
    ),
    Mutant(
        "the number of stream transactions is not limited",
        "proxy/complete/stream_transactions.py",
        "        if open_now >= self._limits.most:\n",
        "        if False:\n",
        f"{_TRX}test_their_number_is_limited",
    ),
)
