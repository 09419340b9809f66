"""Mutants of the flip's protocol, the lease, rejoin and automatic rollback (mirror-protocol, "Flip"; I7)."""

from tests.faults.mutations import Mutant

_LEASE = "tests/integration/test_control_lease.py"
_CONTROLLER = "tests/integration/test_control_controller.py"
_RESTART = "tests/integration/test_control_restart.py"
_BOTH = "tests/unit/capture/test_until_both.py"
_SERVING = "tests/unit/gateway/test_target_reads.py"
_BUDGETS = "tests/unit/control/test_rollback_budgets.py"
_CONDITIONS = f"{_CONTROLLER}::test_the_flip_waits_for_each_condition"
_KILLED = f"{_LEASE}::test_a_kill_and_a_restart_keep_the_flip_once_the_journal_is_drained"
_ALONE = f"{_LEASE}::test_an_instance_with_origin_only_acknowledgements_rolls_back_before_it_holds_a_lease"

MUTANTS = (
    Mutant(
        "a lease is held before an earlier process's backlog is drained",
        "proxy/control/instance/rejoin.py",
        "            if flipped and self._conditions.backlog(flipped) > 0:\n",
        "            if False:\n",
        _KILLED,
    ),
    Mutant(
        "an older copy of a state directory is accepted",
        "proxy/control/instance/registry.py",
        "            if older:\n",
        "            if False:\n",
        "tests/integration/test_state_directory.py::test_an_older_copy_of_the_state_directory_causes_a_rollback",
    ),
    Mutant(
        "a copy takes the registration of a process that lives",
        "sql/queries/control.sql",
        "OR (i.place = excluded.place AND i.place <> '')",
        "OR i.host = excluded.host",
        "tests/integration/test_state_directory.py::test_a_copy_is_refused_while_the_other_process_sends_heartbeats",
    ),
    Mutant(
        "a proxy that fails at its start stays registered",
        "proxy/control/instance/lease.py",
        "            if not self._fresh:\n",
        "            if True:\n",
        "tests/integration/test_state_directory.py::test_a_proxy_whose_port_is_taken_does_not_stay_registered",
    ),
    Mutant(
        "leases are trusted after a step back of PostgreSQL's clock",
        "proxy/control/instance/target_clock.py",
        "                self._from = self._newest + self._lease\n",
        "                pass\n",
        "tests/unit/control/instance/test_target_clock.py"
        "::test_behind_a_step_back_it_is_trusted_once_it_is_a_lease_beyond_what_it_had_shown",
    ),
    Mutant(
        "a mark causes no rollback",
        "proxy/state/missing_writes.py",
        "    if transitions or towards:\n",
        "    if False:\n",
        "tests/integration/test_refused_rows.py"
        "::test_a_document_that_postgresql_refuses_causes_a_rollback_before_the_answer[update]",
    ),
    Mutant(
        "a mark between the gates and the begin of a flip is ignored",
        "proxy/control/epoch.py",
        "            if recorded:\n",
        "            if recorded and False:\n",
        "tests/integration/test_flip_ends.py::test_a_mark_between_the_gates_and_the_begin_of_a_flip_forbids_it",
    ),
    Mutant(
        "a write that could not be journaled ends without its mark",
        "proxy/replication/intent_closer.py",
        "        if intent.seq < 0:\n            self._intents.forget(intent)\n",
        "        if intent.seq < 0 and False:\n            self._intents.forget(intent)\n",
        "tests/integration/test_flip_ends.py::test_a_full_journal_rolls_the_flip_back_before_the_answer",
    ),
    Mutant(
        "drain skipped",
        "proxy/model/stages.py",
        "Stage.FLIPPED: (Phase.BEGIN, Phase.HOLD, Phase.DRAIN),",
        "Stage.FLIPPED: (Phase.BEGIN, Phase.HOLD),",
        _CONDITIONS,
    ),
    Mutant(
        "hold skipped",
        "proxy/model/stages.py",
        "Stage.FLIPPED: (Phase.BEGIN, Phase.HOLD, Phase.DRAIN),",
        "Stage.FLIPPED: (Phase.BEGIN, Phase.DRAIN),",
        _CONDITIONS,
    ),
    Mutant(
        "queries do not wait in hold",
        "proxy/model/stages.py",
        "hold_queries=to_flip and self.phase in (Phase.HOLD, Phase.DRAIN),",
        "hold_queries=False,",
        _CONDITIONS,
    ),
    Mutant(
        "begin acknowledged with a backlog",
        "proxy/control/instance/ack_conditions.py",
        "return conditions.backlog(flipping) == 0",
        "return True",
        _CONDITIONS,
    ),
    Mutant(
        "drain acknowledged with unapplied changes",
        "proxy/control/instance/ack_conditions.py",
        "return conditions.unapplied(flipping) == 0",
        "return True",
        _CONDITIONS,
    ),
    Mutant(
        "commit despite a straggler",
        "proxy/control/epoch.py",
        "        if late:\n",
        "        if False:\n",
        f"{_CONTROLLER}::test_an_instance_that_becomes_silent_before_the_commit_aborts_it",
    ),
    Mutant(
        "the controller waits for no instance",
        "proxy/control/epoch.py",
        "            if not waiting:\n",
        "            if True:\n",
        f"{_CONTROLLER}::test_a_straggler_aborts_the_epoch_and_is_named",
    ),
    Mutant(
        "compare-and-set of the epoch skipped",
        "proxy/control/epoch.py",
        "        if control.generation != self.generation:\n",
        "        if False:\n",
        f"{_CONTROLLER}::test_a_rollback_before_the_commit_aborts_it",
    ),
    Mutant(
        "compare-and-set of the rejoin skipped",
        "proxy/state/control_row.py",
        "    if expected is not None and control.generation != expected:\n",
        "    if False:\n",
        f"{_CONTROLLER}::test_a_rejoining_instance_checks_the_generation_it_decided_on",
    ),
    Mutant(
        "rejoin rolls nothing back",
        "proxy/control/instance/rejoin.py",
        "        flipped = _flipped(snapshot)\n        if flipped:\n",
        "        flipped = _flipped(snapshot)\n        if False:\n",
        _ALONE,
    ),
    Mutant(
        "rejoin does not drain first",
        "proxy/control/instance/rejoin.py",
        "            if self._conditions.backlog(flipped) == 0:\n",
        "            if True:\n",
        _ALONE,
    ),
    Mutant(
        "an origin-only acknowledgement is forgotten in a crash",
        "proxy/control/instance/rejoin.py",
        "        self._noted = self._files.alone\n",
        "        self._noted = False\n",
        f"{_LEASE}::test_origin_only_acknowledgements_are_remembered_across_a_crash",
    ),
    Mutant(
        "unclean journal forgotten",
        "proxy/control/instance/rejoin.py",
        "        self.draining = not self._conditions.journal_clean()\n",
        "        self.draining = False\n",
        _KILLED,
    ),
    Mutant(
        "a restart with open intents answers alone although PostgreSQL answers",
        "proxy/control/instance/lease.py",
        "(self._clock() >= self._lease_end and not drains)",
        "self._clock() >= self._lease_end",
        _KILLED,
    ),
    Mutant(
        "a restart with open intents waits for PostgreSQL for ever",
        "proxy/control/instance/lease.py",
        "drains = drains and self._clock() < self._last_heartbeat + 3 * self._settings.lease",
        "drains = bool(drains)",
        f"{_LEASE}::test_a_restart_that_loses_postgresql_acknowledges_origin_only",
    ),
    Mutant(
        "end of the own lease ignored by reads",
        "proxy/control/instance/lease.py",
        "return self._clock() < self._read_until and not self.diverged",
        "return not self.diverged",
        f"{_LEASE}::test_a_silent_instance_stops_the_reads_of_all",
    ),
    Mutant(
        "own lease over at once",
        "proxy/control/instance/lease.py",
        "return self._diverged_in_row or (self._clock() >= self._lease_end and not drains)",
        "return True",
        _ALONE,
    ),
    Mutant(
        "a late heartbeat extends the lease",
        "sql/queries/control.sql",
        "ELSE least($8::timestamptz, clock_timestamp() + make_interval(secs => $9)) END",
        "ELSE clock_timestamp() + make_interval(secs => $9) END",
        f"{_LEASE}::test_a_late_heartbeat_does_not_extend_the_lease",
    ),
    Mutant(
        "a mere look extends the lease",
        "sql/queries/control.sql",
        "CASE WHEN $8::timestamptz IS NULL THEN lease_until",
        "CASE WHEN false THEN lease_until",
        f"{_LEASE}::test_a_late_heartbeat_does_not_extend_the_lease",
    ),
    Mutant(
        "an evicted process goes on",
        "sql/queries/control.sql",
        "    WHERE instance = $1 AND incarnation = $2 AND stopped_at IS NULL AND beats < $11\n",
        "    WHERE instance = $1 AND $2::text IS NOT NULL AND beats < $11\n",
        f"{_LEASE}::test_a_late_heartbeat_does_not_extend_the_lease",
    ),
    Mutant(
        "a number of a heartbeat is taken twice",
        "sql/queries/control.sql",
        " AND stopped_at IS NULL AND beats < $11\n",
        " AND stopped_at IS NULL\n",
        "tests/integration/test_state_directory.py::test_two_clones_of_one_running_process_do_not_share_its_registration",
    ),
    Mutant(
        "answers are not held until the own lease is over",
        "proxy/capture/context.py",
        "                if self.lease.own_lease_expired:\n",
        "                if True:\n",
        f"{_BOTH}::test_it_waits_until_postgresql_has_it",
    ),
    Mutant(
        "answering alone is not noted",
        "proxy/capture/context.py",
        "                    self.lease.record_origin_only_ack()\n",
        "",
        f"{_BOTH}::test_it_answers_alone_only_when_the_own_lease_has_run_out_and_notes_it",
    ),
    Mutant(
        "queries are not held after trouble",
        "proxy/gateway/target_reads.py",
        "        while self._lease.last_heartbeat < since:\n",
        "        while False:\n",
        f"{_SERVING}::test_after_trouble_an_answer_is_held_until_a_look_that_began_later_succeeds",
    ),
    Mutant(
        "answers of the origin do not bring PostgreSQL up to date",
        "proxy/gateway/reads.py",
        "        if operation.endpoint.read.by_key and self._context.flipped(collections[0]):\n",
        "        if False:\n",
        "tests/integration/test_proxy_flipped.py::test_a_transient_error_causes_no_rollback",
    ),
    Mutant(
        "fence tested again on an old snapshot",
        "proxy/stores/postgres/evaluation.py",
        "                tested = None  # later fetches read the same snapshot, for which the fence held\n",
        "",
        "tests/integration/test_postgres_queries.py::"
        "test_a_query_that_outlives_a_lease_is_answered_from_its_fenced_snapshot",
    ),
    Mutant(
        "fence never tested by evaluated queries",
        "proxy/stores/postgres/evaluation.py",
        "        budget, tested = Budget(self._limits), generation\n",
        "        budget, tested = Budget(self._limits), None\n",
        "tests/integration/test_postgres_queries.py::"
        "test_a_query_that_outlives_a_lease_is_answered_from_its_fenced_snapshot",
    ),
    Mutant(
        "intents of other collections hide a backlog",
        "proxy/model/in_flight.py",
        "            return sum(touches(scope, (name,)) for name in self.left())\n",
        "            return int(touches(scope, self.collections))\n",
        "tests/unit/model/test_in_flight.py::test_intents_of_other_collections_hide_no_backlog",
    ),
    Mutant(
        "a transaction is not seen to run before the commit of a flip",
        "proxy/model/in_flight.py",
        "for ticket in (*self.captured, *self.running)\n        )\n",
        "for ticket in self.captured\n        )\n",
        "tests/unit/model/test_in_flight.py::test_a_transaction_that_runs_is_no_backlog_but_must_be_seen_to_run",
    ),
    Mutant(
        "an epoch that nobody drives stays open",
        "proxy/control/overdue.py",
        '        return Due("its controller went away", without_controller=True)\n',
        "        return None\n",
        f"{_RESTART}::test_an_abandoned_epoch_is_closed_by_the_instances",
    ),
    Mutant(
        "an epoch that is driven is closed",
        "proxy/state/control_row.py",
        "return not await session.fetchval(sql.control.NO_DRIVER, DRIVER)",
        "return False",
        f"{_RESTART}::test_an_abandoned_epoch_is_closed_by_the_instances",
    ),
    Mutant(
        "a cancelled statement hangs on a dead line",
        "proxy/base/database/pool.py",
        "release(connection, timeout=RELEASE_TIMEOUT)",
        "release(connection)",
        "tests/integration/test_database.py::test_a_caller_on_a_dead_connection_can_be_cancelled",
    ),
    Mutant(
        "auto-rollback blind to mismatches",
        "proxy/control/rollback_budgets.py",
        "    if mismatched > budget.mismatches:\n",
        "    if mismatched > budget.mismatches + 1:\n",
        f"{_BUDGETS}::test_what_is_over_a_budget",
    ),
    Mutant(
        "auto-rollback blind to reads that hang",
        "proxy/control/read_stats.py",
        "        late = [age for age in ages if age > self._slow_from.get(collection, age)]\n",
        "        late: list[float] = []\n",
        f"{_BUDGETS}::test_a_read_that_hangs_is_slow_before_it_ends",
    ),
)
