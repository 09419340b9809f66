"""Mutants of promotions and demotions: who takes the writes, and what every instance does about it."""

from tests.faults.mutations import Mutant

_WRITERS = "tests/integration/test_promotion_writers.py::"
_PROMOTE = "tests/integration/test_promote.py::"
_INSTANCES = "tests/integration/test_promoted_instances.py::"
_MIGRATION = "sql/migrations/0038_pre_promotions.sql"

MUTANTS = (
    Mutant(
        "a demotion is committed although ArangoDB lacks writes",
        _MIGRATION,
        "(NOT f.in_arangodb OR EXISTS (SELECT FROM _crossfade.outbox o WHERE o.collection = f.collection))",
        "NOT f.in_arangodb",
        f"{_WRITERS}test_arangodb_has_everything_before_it_takes_writes_again",
    ),
    Mutant(
        "the writer changes whoever takes the writes",
        _MIGRATION,
        "    WHERE f.writer IS DISTINCT FROM in_writer;\n",
        "    WHERE f.writer IS NULL;\n",
        f"{_WRITERS}test_a_stage_and_who_takes_the_writes_cannot_part",
    ),
    Mutant(
        "the abort of a demotion leaves nobody to write",
        "proxy/state/control_row.py",
        "        await session.fetchval(sql.promotion.RESUME, withheld)\n",
        "        withheld.clear()\n",
        f"{_WRITERS}test_the_abort_of_a_demotion_lets_postgresql_write_again",
    ),
    Mutant(
        "a promotion changes the stage and not the writer",
        "proxy/state/control_row.py",
        "        if missed:\n",
        "        if False:\n",
        f"{_WRITERS}test_a_stage_and_who_takes_the_writes_cannot_part",
    ),
    Mutant(
        "an instance that was alone aborts demotions",
        "proxy/state/control_row.py",
        "transition.after.stage.at_least(_TO_TARGET) and not transition.withholds",
        "transition.after.stage.at_least(_TO_TARGET)",
        f"{_WRITERS}test_an_instance_that_was_alone_leaves_promoted_collections_and_their_demotion",
    ),
    Mutant(
        "the hold is acknowledged with writes under way",
        "proxy/control/instance/ack_conditions.py",
        "if promoting and (conditions.under_way(promoting) > 0 or ",
        "if promoting and (",
        "tests/unit/control/instance/test_ack_conditions.py::test_what_each_phase_waits_for",
    ),
    Mutant(
        "the hold is acknowledged before it is on disk",
        "proxy/control/instance/lease.py",
        "            and (not self._promotes or self._files.has(self._snapshot))\n",
        "",
        f"{_PROMOTE}test_a_disk_that_lacks_the_hold_acknowledges_nothing",
    ),
    Mutant(
        "an instance without a memory forwards writes of promoted collections",
        "proxy/control/instance/lease.py",
        "                elif self._files.promoted or self._settings",
        "                elif self._settings",
        f"{_INSTANCES}test_a_start_without_postgresql_that_knows_no_stages_is_refused",
    ),
    Mutant(
        "an instance that was alone waits until nothing is promoted",
        "proxy/control/instance/rejoin.py",
        "for name, state in states if state.stage is Stage.FLIPPED",
        "for name, state in states if state.stage.at_least(Stage.FLIPPED)",
        f"{_INSTANCES}test_an_instance_that_answered_alone_rejoins_and_leaves_them_promoted",
    ),
    Mutant(
        "the pause for a demotion outlives its command",
        "proxy/control/overdue.py",
        "                    await session.execute(sql.promotion.END_PAUSE)\n",
        "                    return\n",
        f"{_PROMOTE}test_instances_end_the_demotion_of_a_killed_command",
    ),
    Mutant(
        "rights stay taken after the command was killed",
        "proxy/control/promotion/rights_keeper.py",
        "            await self._rights.give_back()\n",
        "",
        f"{_PROMOTE}test_instances_end_the_promotion_of_a_killed_command",
    ),
    Mutant(
        "what users had is noted again when it was taken",
        "sql/queries/promotion.sql",
        "ON CONFLICT (collection, username) DO NOTHING",
        "ON CONFLICT (collection, username) DO UPDATE SET granted = excluded.granted",
        f"{_PROMOTE}test_rights_that_were_not_given_back_yet_are_not_noted_again",
    ),
    Mutant(
        "a late request for rights does not delay a promotion",
        "sql/queries/promotion.sql",
        "WHERE collection = ANY ($1::text[]) AND asked_at > clock_timestamp()",
        "WHERE collection = ANY ($1::text[]) AND asked_at < clock_timestamp()",
        f"{_PROMOTE}test_a_request_for_rights_that_was_not_answered_delays_the_next_promotion",
    ),
    Mutant(
        "a demotion does not wait for ArangoDB's clock",
        "proxy/control/promotion/demote.py",
        "        while await newest_revision(origin) <= newest:\n",
        "        while not newest:\n",
        f"{_PROMOTE}test_a_demotion_waits_until_arangodb_gives_later_revisions",
    ),
    Mutant(
        "unique indexes outlive a demotion",
        "proxy/control/promotion/demote.py",
        "        await _drop_unique_indexes(session, names)\n",
        "        names.copy()\n",
        f"{_PROMOTE}test_unique_indexes_hold_from_the_commit_on_and_end_with_the_demotion",
    ),
    Mutant(
        "a promotion does not compare definitions under the hold",
        "proxy/control/promotion/promote.py",
        "        await self._handover.compare()\n",
        "",
        f"{_PROMOTE}test_definitions_that_change_under_the_hold_refuse_it",
    ),
    Mutant(
        "revisions of a promoted collection begin below ArangoDB's",
        "proxy/carryover/group_handover.py",
        "revision=max(plan.revision, floor)",
        "revision=plan.revision",
        f"{_PROMOTE}test_revisions_begin_above_all_that_arangodb_has_given",
    ),
    Mutant(
        "a promoted collection is not in the catalog at the commit",
        "proxy/carryover/group_handover.py",
        "        await self._catalogs.adopt_in(session, self._collections)\n",
        "",
        f"{_PROMOTE}test_a_group_there_and_back",
    ),
    Mutant(
        "leftovers of promoted collections are read again for ever",
        "proxy/replication/session_writer.py",
        "        if again and await self._session.fetchrow(sql.promotion.TAKEN_OVER, self._collection) is not None:\n",
        "        if False:\n",
        f"{_INSTANCES}test_what_an_instance_still_has_of_them_is_dropped",
    ),
)
