"""Mutants of the reverse mirror."""

from tests.faults.mutations import Mutant

_DOCUMENTS = "tests/integration/test_reverse_mirror.py::"
_CHANGES = "tests/integration/test_reverse_changes.py::"
_PUSH = "proxy/reverse/push.py"
_ROUNDS = "proxy/reverse/rounds.py"

MUTANTS = (
    Mutant(
        "a push does not test the token",
        _PUSH,
        "    if fence.token > test.token:\n",
        "    if False:\n",
        f"{_DOCUMENTS}test_an_older_token_is_refused_by_arangodb_alone",
    ),
    Mutant(
        "a revision is written over itself",
        "proxy/reverse/plan.py",
        "        elif there != version.rev:\n",
        "        else:\n",
        "tests/unit/reverse/test_plan.py::test_afterwards_arangodb_has_the_versions",
    ),
    Mutant(
        "replaced documents are not removed before",
        "proxy/reverse/plan.py",
        "            if removes_first and there is not None:\n",
        "            if False:\n",
        f"{_DOCUMENTS}test_a_long_chain_of_unique_values",
    ),
    Mutant(
        "holders of unique values are not pushed along, and batches do not grow",
        _ROUNDS,
        "            grown = await self._outbox.read(most, most_bytes, along)\n",
        "            grown = batch\n",
        f"{_DOCUMENTS}test_a_long_chain_of_unique_values",
    ),
    Mutant(
        "documents do not wait for changes",
        "sql/queries/outbox.sql",
        "WHERE o.part = $1::integer AND o.kind <> 'document'\n",
        "WHERE o.part = $1::integer AND o.kind <> 'document' AND o.at < clock_timestamp() - interval '2 seconds'\n",
        f"{_CHANGES}test_documents_wait_for_changes",
    ),
    Mutant(
        "nobody waits for a change that may still run",
        _PUSH,
        "    if fence.intent and not await test.may_pass(fence.intent):\n",
        "    if False:\n",
        f"{_CHANGES}test_whoever_finds_a_request_announced_waits_until_it_can_no_longer_run",
    ),
    Mutant(
        "a change is not announced",
        _PUSH,
        '{"intent": row}',
        "{}",
        f"{_CHANGES}test_whoever_finds_a_request_announced_waits_until_it_can_no_longer_run",
    ),
    Mutant(
        "rows do not follow a collection to its new name",
        "sql/migrations/0041_pre_carried_changes.sql",
        "    UPDATE _crossfade.outbox SET collection = entry.collection "
        "WHERE collection = in_collection AND kind <> 'drop';\n",
        "",
        f"{_CHANGES}test_creations_drops_and_renamings",
    ),
    Mutant(
        "a renaming to a name that ArangoDB still has counts as done",
        "proxy/reverse/changes.py",
        "    return error.number == _NOT_FOUND\n",
        "    return error.number in (_NOT_FOUND, _DUPLICATE_NAME)\n",
        f"{_CHANGES}test_a_renaming_waits_for_the_name",
    ),
    Mutant(
        "a demotion does not wait for changes of other collections",
        "sql/migrations/0044_pre_changes_before_demotion.sql",
        "OR (o.kind <> 'document' AND split_part",
        "OR (false AND split_part",
        "tests/integration/test_promotion_writers.py::test_arangodb_has_everything_before_it_takes_writes_again",
    ),
)
