"""Mutants of the shadow's classifier and its rechecks: no false alarm, no blind spot (I8)."""

from tests.faults.mutations import Mutant

_CLASSIFY = "tests/unit/shadow/diff/test_compare_answers.py"
_COMPARE = "tests/unit/shadow/diff/test_documents.py"
_SHADOW = "tests/integration/test_shadow.py"
_SETTLE = "tests/integration/test_shadow_recheck.py"
_TOGETHER = "tests/integration/test_shadow_batching.py"

MUTANTS = (
    Mutant(
        "true equals 1",
        "proxy/shadow/diff/documents.py",
        "    if origin != target:\n        return False\n",
        "    return bool(origin == target)\n",
        f"{_COMPARE}::test_true_is_not_1_and_1_is_1_0",
    ),
    Mutant(
        "order of array elements ignored",
        "proxy/shadow/diff/documents.py",
        "            yield Kind.ORDER, inside\n",
        "            yield from ()\n",
        f"{_COMPARE}::test_class_and_paths",
    ),
    Mutant(
        "order of rows ignored",
        "proxy/shadow/diff/documents.py",
        "    groups = [len(target.rows)] if target.groups is None else target.groups\n",
        "    groups = [len(target.rows)]\n",
        f"{_COMPARE}::test_runs_of_equal_sort_key_are_multisets_in_order",
    ),
    Mutant(
        "rows compared as a set",
        "proxy/shadow/diff/documents.py",
        "    return left <= right\n",
        "    return left.keys() <= right.keys()\n",
        f"{_COMPARE}::test_unsorted_rows_are_a_multiset",
    ),
    Mutant(
        "the run that LIMIT cuts is not compared at all",
        "proxy/shadow/diff/documents.py",
        "        if number == len(groups) - 1 and target.last_run is not None:\n            wanted = target.last_run\n",
        "        if number == len(groups) - 1 and target.last_run is not None:\n            return\n",
        f"{_COMPARE}::test_rows_that_limit_cuts_compare_by_membership",
    ),
    Mutant(
        "extra rows go unnoticed",
        "proxy/shadow/diff/documents.py",
        "    sized = len(origin) <= len(target.rows) if partial else len(origin) == len(target.rows)\n",
        "    sized = len(origin) <= len(target.rows)\n",
        f"{_COMPARE}::test_rows_that_are_documents_are_told_apart_by_identity",
    ),
    Mutant(
        "an older revision is classified as a value",
        "proxy/shadow/diff/documents.py",
        "theirs < ours:",
        "theirs > ours:",
        f"{_COMPARE}::test_an_older_revision_is_stale_whatever_else_differs",
    ),
    Mutant(
        "errors are not compared",
        "proxy/shadow/diff/compare_answers.py",
        "        return _errors(operation, ours, theirs, origin, target)\n",
        "        return None\n",
        f"{_SHADOW}::test_missing_and_extra_documents_are_mismatches",
    ),
    Mutant(
        "missing is classified as extra",
        "proxy/shadow/diff/compare_answers.py",
        "        return Difference(Kind.MISSING, (), keys)\n    if single",
        "        return Difference(Kind.EXTRA, (), keys)\n    if single",
        f"{_SHADOW}::test_missing_and_extra_documents_are_mismatches",
    ),
    Mutant(
        "fullCount is not compared",
        "proxy/shadow/diff/compare_answers.py",
        "full != target.full_count:",
        "full is None:",
        f"{_CLASSIFY}::test_queries_compare_rows_and_counts",
    ),
    Mutant(
        "only the first batch of a cursor is compared",
        "proxy/shadow/cursor_assembly.py",
        "    bodies = [_BODY.decode(batch.body) for batch in batches]\n",
        "    bodies = [_BODY.decode(batch.body) for batch in batches[:1]]\n",
        "tests/integration/test_shadow_queries.py::test_every_batch_of_a_cursor_is_compared",
    ),
    Mutant(
        "a difference counts without a recheck",
        "proxy/shadow/first_comparison.py",
        "        elif difference.certain and job.operation.effect is Effect.READ:\n",
        "        elif job.operation.effect is Effect.READ:\n",
        f"{_SHADOW}::test_lag_is_not_a_mismatch",
    ),
    Mutant(
        "a changing origin is trusted",
        "proxy/shadow/recheck.py",
        "    if stable(operation, before, after):\n        return True\n    if not own:\n        return False\n",
        "    return True\n",
        f"{_SHADOW}::test_a_constantly_changing_document_is_undecided",
    ),
    Mutant(
        "the recheck does not wait for the mirror",
        "proxy/shadow/recheck.py",
        "attempt > _QUICK and not await self._mirrored(_read_by(job), schedule.left(time.monotonic()))",
        "attempt > _QUICK and self._fleet is None",
        f"{_SHADOW}::test_a_difference_stays_undecided_while_the_mirror_does_not_catch_up",
    ),
    Mutant(
        "evaluated on the event loop",
        "proxy/stores/postgres/queries.py",
        "            raise NeedsWorker(compiled=False)\n        result",
        "            pass\n        result",
        "tests/integration/test_isolation.py::test_queries_are_evaluated_in_a_worker_process",
    ),
    Mutant(
        "the recheck does not wait for the other proxies",
        "proxy/shadow/recheck.py",
        "asyncio.gather(self._fleet.caught_up(left), *waits)",
        "asyncio.gather(*waits)",
        f"{_SETTLE}::test_a_recheck_stays_undecided_while_a_proxy_is_silent",
    ),
    Mutant(
        "one heartbeat of the other proxies is enough",
        "proxy/shadow/peer_lag.py",
        "        if beat.at <= known or known - beat.lag <= waiter_since:\n",
        "        if known - beat.lag <= waiter_since:\n",
        "tests/unit/shadow/test_peer_lag.py::test_the_second_beat_after_the_moment_counts",
    ),
    Mutant(
        "two rechecks are enough for values",
        "proxy/shadow/recheck.py",
        "CHECKS_OF_VALUES: Final = 4\n",
        "CHECKS_OF_VALUES: Final = 2\n",
        f"{_SETTLE}::test_an_alternating_counter_is_not_a_mismatch",
    ),
    Mutant(
        "any older state counts as lag",
        "proxy/shadow/origin_history.py",
        "        self.add(origin)\n",
        "        self.add(origin)\n        if isinstance(target, Outcome):\n            self.add(target)\n",
        "tests/unit/shadow/test_origin_history.py::test_a_document_has_lagged_where_it_shows_what_was_read_or_came_later",
    ),
    Mutant(
        "a race is recorded as a baseline difference",
        "proxy/shadow/baseline_checker.py",
        '        if before != after or "" in before:\n            return (UNDECIDED,)\n',
        "",
        "tests/integration/test_shadow_rules.py::test_a_write_between_two_baseline_reads_records_no_difference",
    ),
    Mutant(
        "a tolerance covers neighbouring attributes",
        "proxy/shadow/diff/tolerances.py",
        "if step in (name, ANY) and name not in",
        "if name not in",
        "tests/unit/shadow/diff/test_tolerances.py::test_what_is_ignored_does_not_differ_and_everything_else_does",
    ),
    Mutant(
        "the fast path is certain of every revision",
        "proxy/shadow/fast_path.py",
        "    return difference if difference is not None and difference.certain else None\n",
        "    return difference\n",
        f"{_TOGETHER}::test_each_read_of_a_batch_gets_its_own_verdict",
    ),
    Mutant(
        "every read of a batch counts as equal",
        "proxy/shadow/fast_path.py",
        'outcome.status == 200 and found.get(job.operation.key or "") == outcome.body\n',
        "outcome.status == 200\n",
        f"{_TOGETHER}::test_many_mismatches_are_all_counted_with_a_few_samples",
    ),
    Mutant(
        "only one of several equal mismatches is counted",
        "proxy/shadow/accounting.py",
        "began=began, number=len(jobs))\n        self._report_together(jobs, difference.kind.value",
        "began=began)\n        self._report_together(jobs, difference.kind.value",
        f"{_TOGETHER}::test_many_mismatches_are_all_counted_with_a_few_samples",
    ),
    Mutant(
        "the fast path ignores tolerances",
        "proxy/shadow/batch_compare.py",
        "return bool(self._rules.tolerances(job.collections) or self._rules.own(job.collections, job.shape.name))\n",
        "return False\n",
        f"{_TOGETHER}::test_tolerated_differences_in_a_batch_are_not_a_mismatch",
    ),
    Mutant(
        "queued reads are not counted at shutdown",
        "proxy/shadow/comparator.py",
        "        for job in self._batcher.left():\n            self._skip(job, _SHUTDOWN)\n",
        "",
        f"{_TOGETHER}::test_closing_counts_batched_reads",
    ),
)
