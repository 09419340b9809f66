"""Mutants of writes that PostgreSQL itself decides."""

from tests.faults.mutations import Mutant

_CLOCK = "tests/integration/test_revision_clock.py::"
_TEST = "tests/integration/test_target_writes.py::"
_UNIQUE = "tests/integration/test_unique_indexes.py::"
_EXPIRY = "tests/integration/test_complete_expiry.py::"
_COMPUTED = "tests/unit/semantics/test_computed_values.py::"
_LOCK = (
    "    EXECUTE format(\n"
    "        'SELECT array_agg(l.key), array_agg(l.raw) '\n"
    "        'FROM (SELECT key, raw::text AS raw FROM %s WHERE key = ANY ($1) ORDER BY key FOR UPDATE) l', relation)\n"
    "    INTO keys, raws USING in_keys;\n"
)
_DRAW = (
    "    PERFORM _crossfade.follow_clock(sequence);\n"
    "    SELECT array_agg(nextval(sequence)) INTO revisions FROM generate_series(1, in_revisions);\n"
)

MUTANTS = (
    Mutant(
        "revisions do not follow the clock",
        "sql/migrations/0033_pre_revision_clock.sql",
        "    PERFORM _crossfade.follow_clock(sequence);\n",
        "",
        "tests/faults/test_failover.py::test_a_standby_that_lacks_commits_gives_none_of_their_revisions",
    ),
    Mutant(
        "several transactions move the revisions at a time",
        "sql/migrations/0033_pre_revision_clock.sql",
        "        AND pg_try_advisory_xact_lock(x'0C055FAD'::integer, in_sequence::oid::integer)\n",
        "",
        f"{_CLOCK}test_one_transaction_moves_the_revisions_and_no_other_waits",
    ),
    Mutant(
        "revisions go back to the clock",
        "sql/migrations/0033_pre_revision_clock.sql",
        "$$ SELECT 100 $$",
        "$$ SELECT -1000000000 $$",
        f"{_CLOCK}test_revisions_that_are_ahead_of_the_clock_continue",
    ),
    Mutant(
        "after a failover revisions continue where they were",
        "sql/migrations/0033_pre_revision_clock.sql",
        "        PERFORM setval(sequence, greatest(pg_sequence_last_value(sequence), least_new));\n",
        "        PERFORM pg_sequence_last_value(sequence);\n",
        f"{_CLOCK}test_after_a_failover_revisions_are_above_all_former_ones",
    ),
    Mutant(
        "a revision is drawn before the rows are locked",
        "sql/migrations/0033_pre_revision_clock.sql",
        _LOCK + _DRAW,
        _DRAW + _LOCK,
        f"{_TEST}test_a_write_that_waited_has_what_came_before_and_a_later_revision",
    ),
    Mutant(
        "the fence of a write is read and not locked",
        "sql/migrations/0033_pre_revision_clock.sql",
        "    FOR SHARE OF f;\n",
        "    ;\n",
        f"{_TEST}test_the_writer_does_not_change_while_a_write_is_under_way",
    ),
    Mutant(
        "the fence of a write does not test who takes the writes",
        "sql/migrations/0033_pre_revision_clock.sql",
        "f.collection = in_collection AND f.writer = 'target' AND",
        "f.collection = in_collection AND",
        f"{_TEST}test_no_write_unless_postgresql_takes_them",
    ),
    Mutant(
        "the rows of a write are read and not locked",
        "sql/migrations/0033_pre_revision_clock.sql",
        "WHERE key = ANY ($1) ORDER BY key FOR UPDATE)",
        "WHERE key = ANY ($1) ORDER BY key)",
        f"{_TEST}test_writes_of_two_writers_that_meet_are_all_there_and_in_order",
    ),
    Mutant(
        "an insert does not notice that another one of its key came first",
        "proxy/stores/postgres/writes/row_changes.py",
        "    if written < changes.number:\n",
        "    if written < 0:\n",
        f"{_TEST}test_an_insert_that_waited_for_another_of_its_key_is_refused",
    ),
    Mutant(
        "copied documents are not marked with the present era",
        "proxy/stores/postgres/writes/row_changes.py",
        "_COPY_MARK(8, era)\n",
        "_COPY_MARK(8, 0)\n",
        "tests/integration/test_copied_documents.py::test_copied_documents_have_the_rows_of_inserted_ones",
    ),
    Mutant(
        "a write follows the properties that it remembers",
        "proxy/stores/postgres/writes/transaction.py",
        "        if (row.relation, row.edge, row.properties) != known:\n",
        "        if (row.relation, row.edge) != known[:2]:\n",
        f"{_TEST}test_a_change_of_properties_is_seen_by_the_next_write",
    ),
    Mutant(
        "keys are taken although another writer took some",
        "sql/queries/writes.sql",
        "WHERE k.collection = $1 AND k.last = $2::text::numeric\n",
        "WHERE k.collection = $1 AND $2::text::numeric IS NOT NULL\n",
        f"{_TEST}test_two_writers_never_generate_one_key_twice",
    ),
    Mutant(
        "sequences of revisions begin again",
        "sql/migrations/0027_pre_counts.sql",
        "greatest(newest, in_revision, 1)",
        "in_revision",
        f"{_TEST}test_revisions_do_not_go_back_if_postgresql_takes_the_writes_again",
    ),
    Mutant(
        "a refused import keeps what it wrote",
        "proxy/semantics/imports.py",
        "                        collection.put_back(key, old)\n",
        "                        pass\n",
        "tests/unit/devserver/store/handlers/test_imports.py::"
        "test_a_complete_import_that_fails_keeps_the_duplicates_that_it_ignored",
    ),
    Mutant(
        "a write leaves no row in the outbox",
        "proxy/stores/postgres/writes/row_changes.py",
        "    if noted and changes.keys:\n",
        "    if noted and not changes.stored:\n",
        "tests/property/test_two_stores.py::test_random_writes_are_the_same_in_both_stores",
    ),
    Mutant(
        "a document keeps the values of a unique index that it had before",
        "sql/migrations/0026_pre_indexes.sql",
        "        IF gone_keys IS NOT NULL THEN\n",
        "        IF gone_keys IS NULL THEN\n",
        f"{_UNIQUE}test_documents_may_exchange_their_values_and_take_those_that_are_released",
    ),
    Mutant(
        "1 and 1.0 are two values of a unique index",
        "sql/migrations/0026_pre_indexes.sql",
        "                RETURN trunc(number)::text;\n",
        "                RETURN number::text;\n",
        f"{_UNIQUE}test_entries_are_equal_where_the_rules_have_equal_values",
    ),
    Mutant(
        "a sparse index has entries with a null",
        "sql/migrations/0031_pre_plain_entries.sql",
        "        IF in_sparse AND form = 'null' THEN\n",
        "        IF in_sparse AND form IS NULL THEN\n",
        f"{_UNIQUE}test_entries_are_equal_where_the_rules_have_equal_values",
    ),
    Mutant(
        "an inlined sparse index has entries with a missing value",
        "sql/migrations/0036_pre_inlined_entries.sql",
        "OR coalesce(%s, ''null''::jsonb) = ''null''::jsonb'",
        "OR %s = ''null''::jsonb'",
        f"{_UNIQUE}test_entries_are_equal_where_the_rules_have_equal_values",
    ),
    Mutant(
        "the build of a unique index does not lock what it reads",
        "sql/migrations/0026_pre_indexes.sql",
        "ORDER BY key LIMIT $2 FOR SHARE)",
        "ORDER BY key LIMIT $2)",
        f"{_UNIQUE}test_a_build_reads_a_document_that_is_being_written_when_that_is_decided",
    ),
    Mutant(
        "what a document claims for a moment is not looked up",
        "proxy/stores/postgres/writes/index_claims.py",
        "if not written or value not in self._entries[index])",
        "if not written)",
        f"{_UNIQUE}test_a_request_that_is_refused_as_a_whole_is_refused_for_its_first_violation",
    ),
    Mutant(
        "a unique index that could not be built stays",
        "proxy/stores/postgres/unique_indexes.py",
        "            await asyncio.shield(session.execute(sql.unique_indexes.DROP, made.index.id))\n",
        "            pass\n",
        f"{_UNIQUE}test_an_index_of_documents_that_violate_it_is_refused_and_nothing_is_left",
    ),
    Mutant(
        "a document that is locked keeps all that have expired",
        "sql/migrations/0026_pre_indexes.sql",
        "LIMIT $3 FOR UPDATE SKIP LOCKED), ",
        "LIMIT $3 FOR UPDATE), ",
        f"{_EXPIRY}test_documents_are_removed_after_their_time_and_no_others",
    ),
    Mutant(
        "documents expire although PostgreSQL does not take the writes",
        "sql/migrations/0026_pre_indexes.sql",
        "WHERE f.collection = in_collection AND f.writer = 'target' AND (SELECT",
        "WHERE f.collection = in_collection AND (SELECT",
        f"{_EXPIRY}test_nothing_is_removed_if_postgresql_does_not_take_the_writes",
    ),
    Mutant(
        "a computed value sees those before it",
        "proxy/semantics/computed_values.py",
        "            computed = _evaluated(value, collection, document)\n",
        "            computed = _evaluated(value, collection, {**document, **result})\n",
        f"{_COMPUTED}test_all_see_the_document_as_it_was_given",
    ),
    Mutant(
        "a computed value is computed on every write",
        "proxy/semantics/computed_values.py",
        'due = [value for value in values or () if event in value["computeOn"]]',
        "due = list(values or ())",
        f"{_COMPUTED}test_a_value_is_computed_on_its_events_only",
    ),
)
