"""Mutants of requests that are carried out in parts."""

from tests.faults.mutations import Mutant

_PARTS = "tests/unit/semantics/test_body_parts.py::"
_ANSWERS = "tests/unit/semantics/test_large_writes.py::"
_WRITER = "tests/integration/test_partwise_writer.py::"
_WHOLE = "tests/integration/test_complete_bodies.py::test_large_bodies_have_the_answers_of_the_development_server"
_WRITER_FILE = "proxy/stores/postgres/writes/partwise_writer.py"
_SEQUENCE_FILE = "proxy/stores/postgres/writes/part_sequence.py"
_TOGETHER = (
    "        async with session.transaction():\n"
    "            emptying = emptying_request(operation) if isinstance(answer, ImportAnswer) else None\n"
    "            if emptying is not None:\n"
    "                emptied = await parts.execute(emptying, await parts.prepared(emptying), empties=True)\n"
    "                if emptied.status >= 400:  # documents of others stay locked\n"
    "                    return emptied\n"
    "            try:\n"
    "                async with session.transaction():\n"
)

MUTANTS = (
    Mutant(
        "an array is cut where a guess says",
        "proxy/semantics/body_parts.py",
        '        if _elements(b"[" + text[:place] + b"]"):\n',
        "        if place:\n",
        f"{_PARTS}test_an_array_is_the_sum_of_its_parts",
    ),
    Mutant(
        "a comma before the closing bracket is lost between two parts",
        "proxy/semantics/body_parts.py",
        '        if (self.rest and not self.first and begin == b"]") or not (self.rest or begin):\n',
        "        if not (self.rest or begin):\n",
        f"{_PARTS}test_a_comma_needs_an_element_on_both_sides",
    ),
    Mutant(
        "an element that cannot end is collected up to the end of the body",
        "proxy/semantics/body_parts.py",
        "            if not _may_continue(text):\n",
        "            if not text:\n",
        f"{_PARTS}test_an_element_that_never_ends_is_not_collected",
    ),
    Mutant(
        "the first mistake of a body is reported, of whatever kind",
        "proxy/semantics/large_writes.py",
        "            if error.rank is Rank.MALFORMED:\n",
        "            if error.rank:\n",
        f"{_PARTS}test_a_malformed_array_gets_the_error_of_the_whole",
    ),
    Mutant(
        "the status of an array is that of its last part",
        "proxy/semantics/large_writes.py",
        "        if self.status == 202:  # one part that waited for the disk is enough\n",
        "        if self.status:\n",
        f"{_ANSWERS}test_the_elements_of_parts_are_one_array",
    ),
    Mutant(
        "positions of an import begin again in each part",
        "proxy/semantics/large_writes.py",
        "        first += part.count or 0\n",
        "        first += 0\n",
        f"{_ANSWERS}test_each_part_of_an_import_knows_its_position",
    ),
    Mutant(
        "each part is committed by itself",
        _WRITER_FILE,
        _TOGETHER,
        _TOGETHER.replace("session.transaction()", "self._database.session()"),
        f"{_WRITER}test_nobody_sees_a_part_before_all_are_written",
    ),
    Mutant(
        "an import that is refused keeps its first parts",
        _SEQUENCE_FILE,
        "        raise RefusedError(outcome)\n",
        "        pass\n",
        f"{_WRITER}test_an_import_that_is_refused_leaves_what_emptying_left",
    ),
    Mutant(
        "a part does not look up values of unique indexes that are taken",
        _SEQUENCE_FILE,
        "                    self._looks_up = True\n",
        "                    self._looks_up = False\n",
        f"{_WRITER}test_a_part_sees_what_those_before_it_wrote",
    ),
    Mutant(
        "an import continues if its collection cannot be emptied",
        _WRITER_FILE,
        "                if emptied.status >= 400:  # documents of others stay locked\n",
        "                if emptied.status < 0:\n",
        f"{_WRITER}test_an_import_whose_collection_cannot_be_emptied_writes_nothing",
    ),
    Mutant(
        "a large write within a transaction does not find the documents that have changed since it began",
        _SEQUENCE_FILE,
        "is_blocked(error, inside=self._rules.inside,",
        "is_blocked(error, inside=False,",
        "tests/integration/test_complete_bodies.py::test_documents_that_others_have_changed_are_refused_in_a_transaction",
    ),
    Mutant(
        "the index of a large array of VelocyPack is not compared with its elements",
        "proxy/wire/velocypack_elements.py",
        "                indexed = False  # reported after what is wrong with other elements\n",
        "                indexed = True\n",
        "tests/unit/wire/test_velocypack_elements.py::test_the_places_of_an_index_are_in_the_order_of_the_elements",
    ),
    Mutant(
        "a collection that is absent is reported before the body is read",
        _WRITER_FILE,
        "        return await fault_of(operation, self._size) or error\n",
        "        return error\n",
        _WHOLE,
    ),
)
