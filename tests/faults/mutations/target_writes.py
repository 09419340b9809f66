"""Mutants of writes that PostgreSQL itself decides."""

from tests.faults.mutations import Mutant

_TEST = "tests/integration/test_target_writes.py::"

MUTANTS = (
    Mutant(
        "a revision is drawn before the rows are locked",
        "proxy/stores/postgres/writes/transaction.py",
        "            rows |= await self._load(wanted)\n"
        "            revisions = await self._draw(sequence, prepared.writes)\n",
        "            revisions = await self._draw(sequence, prepared.writes)\n"
        "            rows |= await self._load(wanted)\n",
        f"{_TEST}test_a_write_that_waited_has_what_came_before_and_a_later_revision",
    ),
    Mutant(
        "the fence of a write is read and not locked",
        "sql/queries/writes.sql",
        "WHERE collection = $1 AND writer = 'target' AND (SELECT NOT closing FROM _crossfade.control)\nFOR SHARE;",
        "WHERE collection = $1 AND writer = 'target' AND (SELECT NOT closing FROM _crossfade.control);",
        f"{_TEST}test_the_writer_does_not_change_while_a_write_is_under_way",
    ),
    Mutant(
        "the fence of a write does not test who takes the writes",
        "sql/queries/writes.sql",
        "WHERE collection = $1 AND writer = 'target' AND",
        "WHERE collection = $1 AND",
        f"{_TEST}test_no_write_unless_postgresql_takes_them",
    ),
    Mutant(
        "the rows of a write are read and not locked",
        "sql/queries/writes.sql",
        "WHERE key = ANY ($1::text[]) ORDER BY key FOR UPDATE;",
        "WHERE key = ANY ($1::text[]) ORDER BY key;",
        f"{_TEST}test_writes_of_two_writers_that_meet_are_all_there_and_in_order",
    ),
    Mutant(
        "an insert does not notice that another one of its key came first",
        "proxy/stores/postgres/writes/transaction.py",
        "        if len(written) < len(changes):\n",
        "        if not written:\n",
        f"{_TEST}test_an_insert_that_waited_for_another_of_its_key_is_refused",
    ),
    Mutant(
        "a write follows the properties that it remembers",
        "proxy/stores/postgres/writes/transaction.py",
        "        if row.properties != self._properties.text:\n",
        "        if row.revisions is None:\n",
        f"{_TEST}test_a_change_of_properties_is_seen_by_the_next_write",
    ),
    Mutant(
        "the state of a key generator is read and not locked",
        "sql/queries/writes.sql",
        "WHERE collection = $1 FOR UPDATE;\n\n-- name: set_last_key",
        "WHERE collection = $1;\n\n-- name: set_last_key",
        f"{_TEST}test_two_writers_never_generate_one_key_twice",
    ),
    Mutant(
        "sequences of revisions begin again",
        "sql/migrations/0024_pre_target_writes.sql",
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
        "sql/queries/writes.sql",
        "INSERT INTO _crossfade.outbox (collection, key) SELECT $1, key FROM given ORDER BY",
        "INSERT INTO _crossfade.outbox (collection, key) SELECT $1, key FROM given WHERE stored ORDER BY",
        "tests/property/test_two_stores.py::test_random_writes_are_the_same_in_both_stores",
    ),
)
