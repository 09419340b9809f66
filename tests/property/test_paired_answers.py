"""Elements in any order are paired although servers make up names."""

from __future__ import annotations

from tests.property.paired_answers import Names, compare_values


def test_a_new_name_that_the_other_server_has_used_before_is_paired() -> None:
    names = Names()
    names.learn("100001", "115630")
    ours = [{"_key": "115630", "o": 1}, {"_key": "12", "n": 0}]
    theirs = [{"_key": "12", "n": 0}, {"_key": "1004722", "o": 1}]
    compare_values(names, ours, theirs, frozenset({"result"}), "result")
