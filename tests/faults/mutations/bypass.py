"""Mutants of the out-of-band watch: no write through a proxy is reported, every out-of-band write is (I10)."""

from tests.faults.mutations import Mutant

_FILE = "backfill/out_of_band_judge.py"
_TEST = "tests/unit/backfill/test_out_of_band_judge.py"

MUTANTS = (
    Mutant(
        "judged before every instance has reported",
        _FILE,
        "            if one.seen >= reached:\n                continue\n",
        "",
        f"{_TEST}::test_nothing_is_judged_before_every_process_has_reported",
    ),
    Mutant(
        "a removal is explained by a write",
        _FILE,
        "return -self.rev if self.removed else self.rev",
        "return self.rev",
        f"{_TEST}::test_a_removal_is_reported_by_the_version_that_it_removed",
    ),
    Mutant(
        "an old reread explains a later change",
        _FILE,
        "if at is not None and at >= one.after:",
        "if at is not None:",
        f"{_TEST}::test_reports_of_proxies",
    ),
    Mutant(
        "an old truncation explains a later change",
        _FILE,
        "self._wholes.get(name, -1.0) >= one.after",
        "self._wholes.get(name, -1.0) >= 0",
        f"{_TEST}::test_reports_of_proxies",
    ),
    Mutant(
        "a resync of a database explains nothing",
        _FILE,
        "for name in (one.collection, everything))",
        "for name in (one.collection,))",
        f"{_TEST}::test_reports_of_proxies",
    ),
    Mutant(
        "a mark explains later changes",
        _FILE,
        "unverified.get(one.collection, -1.0) >= one.after",
        "one.collection in unverified",
        f"{_TEST}::test_a_mark_explains_writes_until_a_verification_that_covers_it_began",
    ),
    Mutant(
        "a stored row counts as proof",
        _FILE,
        "known = missed and is_superseded(",
        "known = is_superseded(",
        f"{_TEST}::test_a_row_proves_nothing_if_no_process_was_killed",
    ),
    Mutant(
        "a kill explains every change",
        _FILE,
        "known = missed and is_superseded(one, stored.get((one.collection, one.key)))",
        "known = missed",
        f"{_TEST}::test_a_row_proves_a_write_of_a_killed_process",
    ),
    Mutant(
        "a kill explains later changes",
        _FILE,
        "gap.since <= one.seen and gap.until >= one.after",
        "gap.since <= one.seen",
        f"{_TEST}::test_a_row_proves_a_write_of_a_killed_process",
    ),
    Mutant(
        "judged versions are judged again",
        _FILE,
        "        self._pending.pop(name, None)\n        self._judged.add(name)\n",
        "        self._pending.pop(name, None)\n",
        f"{_TEST}::test_reported_or_judged_versions_are_not_pending_again",
    ),
    Mutant(
        "a finding that could not be stored is forgotten",
        _FILE,
        "        return unexplained\n",
        "        self.done(due)\n        return unexplained\n",
        f"{_TEST}::test_versions_whose_record_failed_are_judged_again",
    ),
    Mutant(
        "an overflow is not reported",
        _FILE,
        "                self.overflowed = True\n",
        "",
        f"{_TEST}::test_memory_is_bounded_and_overflow_is_reported",
    ),
)
