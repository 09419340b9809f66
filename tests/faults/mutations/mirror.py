"""Mutants of the statements of I4, of repair and of purging (mirror-protocol)."""

from tests.faults.mutations import Mutant

_RULES = "tests/faults/test_rules.py"
_SCAN = "tests/unit/replication/test_revision_scan.py"
_MIRROR = "tests/integration/test_mirror.py"
_DOCUMENTS = "sql/queries/documents.sql"

MUTANTS = (
    Mutant(
        "revision guard removed",
        _DOCUMENTS,
        "WHERE excluded.rev > d.rev AND excluded.mark >= d.mark",
        "WHERE excluded.mark >= d.mark",
        f"{_RULES}::test_an_older_version_never_overwrites_a_newer",
    ),
    Mutant(
        "a key in two concurrent batches",
        "proxy/replication/applier.py",
        "                if taken and waiting[0][0].key in taken:\n                    break\n",
        "",
        "tests/unit/replication/test_queue.py::test_a_later_version_of_a_key_waits_for_the_batch_that_has_the_earlier_one",
    ),
    Mutant(
        "tombstone dropped",
        _DOCUMENTS,
        "SET rev = excluded.rev, raw = NULL, doc = NULL, mark = greatest(d.mark, excluded.mark)\nWHERE d.rev <=",
        "SET rev = 0, raw = NULL, doc = NULL, mark = 0\nWHERE d.rev <=",
        f"{_RULES}::test_a_tombstone_refuses_older_versions",
    ),
    Mutant(
        "tombstone purged, stamp floor not raised",
        "proxy/replication/tombstone_gc.py",
        "            await session.execute(sql.mirror.RAISE_STAMP_FLOOR, collection, era)\n",
        "",
        f"{_RULES}::test_statements_from_before_a_purge_are_refused_and_read_again",
    ),
    Mutant(
        "stamp floor untested",
        _DOCUMENTS,
        "WHERE i.stamp >= h.floor",
        "WHERE i.stamp >= h.floor - 1000000",
        f"{_RULES}::test_statements_from_before_a_purge_are_refused_and_read_again",
        times=2,
    ),
    Mutant(
        "FOR SHARE missing",
        _DOCUMENTS,
        "AND writer = 'origin' FOR SHARE)",
        "AND writer = 'origin')",
        "tests/faults/test_rules.py::test_a_purge_waits_for_the_statements_that_began_before_it",
        times=3,
    ),
    Mutant(
        "the mirror's statements do not test who takes the writes",
        _DOCUMENTS,
        "AND writer = 'origin' FOR SHARE)",
        "FOR SHARE)",
        "tests/integration/test_promotion_races.py::test_no_write_is_committed_behind_a_change_of_the_writer",
        times=3,
    ),
    Mutant(
        "outbox rows are removed without a lock of the lease",
        "sql/queries/outbox.sql",
        "AND token = $2 FOR SHARE),",
        "AND token = $2),",
        "tests/integration/test_promotion_races.py::test_the_lease_cannot_be_taken_while_rows_are_removed_under_it",
    ),
    Mutant(
        "stamp taken too late",
        "proxy/replication/mirror.py",
        "        intent.remaining = len(changes)\n",
        "        intent.remaining = len(changes)\n        intent.stamp = self._era()\n",
        "tests/faults/test_rules.py::test_the_stamp_is_the_era_from_before_the_write_was_sent",
    ),
    Mutant(
        "a write of many documents is completed with the first of them",
        "proxy/replication/mirror.py",
        "        intent.remaining = len(changes)\n",
        "        intent.remaining = 1\n",
        "tests/integration/test_loop_pauses.py"
        "::test_a_write_of_many_documents_is_queued_in_many_turns_and_stays_open_until_the_end",
    ),
    Mutant(
        "a repair that finds nothing writes nothing",
        "proxy/replication/key_repair.py",
        "        if gone:\n",
        "        if gone and before:\n",
        f"{_MIRROR}::test_a_lost_delete_while_an_older_upsert_is_queued_leaves_no_ghost",
    ),
    Mutant(
        "refused rows count as applied",
        "proxy/replication/session_writer.py",
        "if not is_superseded(row, stored.get(row.key))}",
        "if False}",
        "tests/integration/test_mirror_repairs.py::test_rows_older_than_the_stamp_floor_are_read_again",
    ),
    Mutant(
        "lost answer read immediately",
        "proxy/replication/mirror.py",
        "self._lost.add(intent.seq, time.monotonic())",
        "self._lost.add(intent.seq, time.monotonic() - self._settings.lost_request_timeout - 1.0)",
        f"{_MIRROR}::test_a_request_that_runs_late_at_the_origin_is_mirrored",
    ),
    Mutant(
        "documents found by a scan are not read again",
        "proxy/replication/journal_drainer.py",
        "                repaired = await self._repairer.until_done(collection, lacking)\n",
        "                repaired = await self._repairer.until_done(collection, ())\n",
        "tests/faults/test_journal.py::test_writes_with_server_generated_keys_are_found_by_one_scan_after_a_kill",
    ),
    Mutant(
        "a scan skips revisions from before the intent",
        "proxy/replication/revision_scan.py",
        "min(min(note.since, now - int(1000 * age(note.time, note.up))) for note in looked)",
        "min(now - int(1000 * age(note.time, note.up)) for note in looked)",
        f"{_SCAN}::test_an_intent_from_before_the_origin_had_shown_a_time_is_searched_in_all",
    ),
    Mutant(
        "a scan ignores a step back of the origin's clock",
        "proxy/replication/revision_scan.py",
        "min(min(note.since, now - int(1000 * age(note.time, note.up))) for note in looked)",
        "min(note.since for note in looked)",
        f"{_SCAN}::test_a_step_back_of_the_origins_clock_is_seen_by_the_age_of_the_intent",
    ),
    Mutant(
        "a scan uses this machine's clock instead of the origin's",
        "proxy/replication/revision_scan.py",
        "        now = await self._origin.time_now(database)\n",
        "        import time\n\n        now = int(1000 * time.time())\n",
        f"{_SCAN}::test_a_step_back_of_the_origins_clock_is_seen_by_the_age_of_the_intent",
    ),
    Mutant(
        "the age of an intent comes from the wall clock alone",
        "proxy/model/clock.py",
        "max(0.0, by_wall, uptime() - up) if up else",
        "max(0.0, by_wall) if up else",
        f"{_SCAN}::test_an_age_is_never_less_than_any_clock_says",
    ),
    Mutant(
        "the revision of a removal counts as the origin's time",
        "proxy/model/clock.py",
        "if change.raw is not None and change.rev",
        "if change.rev",
        f"{_SCAN}::test_the_origins_clock_is_told_by_revisions_that_it_gave_just_now",
    ),
    Mutant(
        "one scan covers requests that this process may still send",
        "proxy/replication/revision_scan.py",
        "since is not None and note.seq < own and note.since >= since",
        "since is not None and note.since >= since",
        f"{_SCAN}::test_one_scan_is_enough_for_what_an_earlier_process_left",
    ),
    Mutant(
        "repair restores a document removed after its read",
        _DOCUMENTS,
        "AND (d.doc IS NOT NULL OR excluded.mark > d.mark)",
        "AND true",
        f"{_RULES}::test_a_document_removed_during_its_repair_stays_removed",
    ),
    Mutant(
        "repair never restores a document",
        _DOCUMENTS,
        "AND (d.doc IS NOT NULL OR excluded.mark > d.mark)",
        "AND d.doc IS NOT NULL",
        f"{_RULES}::test_a_document_restored_from_a_backup_is_repaired_over_its_tombstone",
    ),
)
