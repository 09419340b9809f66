"""Of the ways of a write that are not one document (I3)."""

from tests.faults.mutations import Mutant

MUTANTS = (
    Mutant(
        "a lost batch of a cursor is forgotten",
        "proxy/writing/modifications.py",
        "            except BaseException:  # also of who cancels a job: nobody will tell more keys\n"
        "                self._give_up(run, lost=True)\n",
        "            except BaseException:\n                self._nothing(run)\n",
        "tests/integration/test_capture_lost.py::test_a_lost_batch_of_a_cursor_loses_no_write",
    ),
    Mutant(
        "a write in a transaction does not wait for its end",
        "proxy/writing/transactions.py",
        "            buffer.wrote(intent, captured)\n",
        "            self._kit.mirror.answered(intent, captured)\n",
        "tests/integration/test_capture_transactions.py::test_an_abort_leaves_nothing",
    ),
    Mutant(
        "a transaction is applied key by key",
        "proxy/mirror/transactions.py",
        "        self.whole.append(intent)\n",
        "        self.again.append(intent)\n        return\n",
        "tests/integration/test_capture_transactions.py::test_a_transaction_becomes_visible_as_a_whole",
    ),
    Mutant(
        "a removal by example is looked for by revisions",
        "proxy/writing/carry.py",
        '            return await collections.swept(kit, request, way.collections, "removal by example")\n',
        "            return await untold.by_revisions(kit, request, collection)\n",
        "tests/integration/test_capture_modifications.py::test_a_write_by_example_is_captured[remove]",
    ),
    Mutant(
        "what a scan finds passes for mirrored",
        "proxy/mirror/repair.py",
        "if key not in stored or stored[key].rev < rev]",
        "if key not in stored]",
        "tests/integration/test_capture_modifications.py::test_a_write_by_example_is_captured[update]",
    ),
    Mutant(
        "a late scan is believed",
        "proxy/mirror/scan.py",
        "        if took > self._margin / 2:\n",
        "        if took > self._margin * 2:\n",
        "tests/unit/mirror/test_scan.py::"
        "test_one_that_was_on_its_way_for_longer_than_its_margin_is_asked_again_with_a_greater_one",
    ),
    Mutant(
        "behind a failover old stamps are believed",
        "proxy/mirror/timeline.py",
        '            await session.fetch(statements["leap"].text)\n',
        "",
        "tests/faults/test_failover.py::test_a_new_timeline_raises_the_era_and_makes_every_database_unverified",
    ),
)
