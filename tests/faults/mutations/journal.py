"""Mutants of the journal: what must be recorded when (I3, I10)."""

from tests.faults.mutations import Mutant

MUTANTS = (
    Mutant(
        "removed journal files are not detected",
        "proxy/journal/manifest.py",
        "    if gone:\n",
        "    if False:\n",
        "tests/unit/journal/test_manifest.py::test_what_was_removed_is_damage",
    ),
    Mutant(
        "a copy of the journal is accepted",
        "proxy/journal/manifest.py",
        "if before and identity and before != identity:",
        "if False:",
        "tests/unit/journal/test_manifest.py::test_a_copy_is_told_from_what_it_is_a_copy_of",
    ),
    Mutant(
        "a scan trusts the wall clock",
        "proxy/model/clock.py",
        "max(0.0, by_wall, uptime() - up) if up else",
        "max(0.0, by_wall) if up else",
        "tests/unit/replication/test_revision_scan.py::test_an_age_is_never_less_than_any_clock_says",
    ),
    Mutant(
        "a hole between two files counts as a torn tail",
        "proxy/journal/segment.py",
        " and following is not None and base + len(loaded.segment.state) < following:",
        " and False:",
        "tests/unit/journal/test_journal_damage.py::test_intents_that_lack_before_the_next_file_are_damage",
    ),
    Mutant(
        "intent completed before its change is applied",
        "proxy/replication/mirror.py",
        "            if self._queue.waiting >= self._settings.batch:",
        "            self.close_intent(intent)\n            if self._queue.waiting >= self._settings.batch:",
        "tests/faults/test_rules.py::test_an_intent_is_open_until_postgresql_has_the_write",
    ),
    Mutant(
        "intent journaled after forwarding",
        "proxy/capture/attempt.py",
        "        self._sent = True\n",
        "        self._sent = True\n        [self._context.mirror.close_intent(intent) for intent in self.intents]\n",
        "tests/faults/test_rules.py::test_the_journal_has_the_intent_before_the_origin_has_the_request",
    ),
    Mutant(
        "a machine stop goes unnoticed",
        "proxy/journal/recovery.py",
        "        marks += [(name, _MACHINE) for name in dirty()]\n",
        "        pass\n",
        "tests/unit/journal/test_journal_damage.py::test_a_stop_of_the_machine_names_what_was_written_since_the_last_sync_point",
    ),
    Mutant(
        "unjournaled marker not written on a full disk",
        "proxy/replication/open_intents.py",
        "            self._journal.unjournaled.set(on=True)\n",
        "",
        "tests/faults/test_journal.py::test_a_kill_on_a_full_disk_marks_every_database_unverified",
    ),
)
