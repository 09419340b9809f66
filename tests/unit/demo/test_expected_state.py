"""A client's expected state determines each right answer, and what is wrong with any other (I7)."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.demo.expected_state import ExpectedState, merged
from deploy.demo.service import JOBS, RESUMES, matches


@pytest.fixture
def expected() -> ExpectedState:
    kept = ExpectedState()
    kept.put(RESUMES, resume("old", created_at=None), None)
    kept.put(RESUMES, resume("new"), "_rev1")
    kept.put(JOBS, {"_key": "j", "user_id": "u", "status": "pending"}, "_rev2")
    return kept


def resume(key: str, **rest: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "_key": key,
        "user_id": "u",
        "status": "parsed",
        "created_at": "2025-01-01",
        "resume_data": {"skills": ["Rust"]},
    }
    made |= rest
    return {name: value for name, value in made.items() if value is not None}


def stored(document: dict[str, Any], rev: str = "_rev1") -> dict[str, Any]:
    return {**document, "_id": f"resumes/{document['_key']}", "_rev": rev}


def test_what_was_acknowledged_is_right(expected: ExpectedState) -> None:
    assert expected.check(RESUMES, "new", stored(resume("new"))) is None
    assert expected.check(RESUMES, "old", stored(resume("old", created_at=None), "_any")) is None
    assert expected.check(RESUMES, "never", None) is None


@pytest.mark.parametrize(
    ("key", "answer", "wrong"),
    [
        ("new", None, "acknowledged, and not found"),
        ("never", stored(resume("never")), "deleted, and found"),
        ("new", stored(resume("new", status="manual")), "other content than was acknowledged, in ['status']"),
        ("new", stored(resume("new"), "_rev0"), "revision _rev0, acknowledged was _rev1"),
    ],
)
def test_what_was_not_is_told(expected: ExpectedState, key: str, answer: dict[str, Any] | None, wrong: str) -> None:
    assert wrong in str(expected.check(RESUMES, key, answer))


def test_a_deleted_document_is_gone(expected: ExpectedState) -> None:
    expected.drop(RESUMES, "new")
    expected.drop(RESUMES, "new")
    assert expected.check(RESUMES, "new", None) is None


def test_a_later_change_to_the_callers_document_is_not_the_ledgers(expected: ExpectedState) -> None:
    document = resume("mine")
    expected.put(RESUMES, document, "_r")
    document["resume_data"]["skills"].append("Go")
    assert expected.check(RESUMES, "mine", stored(resume("mine"), "_r")) is None


def test_a_list_is_the_whole_of_it_newest_first(expected: ExpectedState) -> None:
    new, old = stored(resume("new")), stored(resume("old", created_at=None), "_any")
    assert expected.check_list(RESUMES, "u", [new, old]) is None
    assert expected.check_list(RESUMES, "u", [new, old], status="parsed") is None
    assert "without a date" in str(expected.check_list(RESUMES, "u", [old, new]))
    assert "lost ['old']" in str(expected.check_list(RESUMES, "u", [new]))
    assert "3 rows" in str(expected.check_list(RESUMES, "u", [new, old, old]))
    assert "too many ['new', 'old']" in str(expected.check_list(RESUMES, "u", [new, old], status="manual"))
    assert "other content" in str(expected.check_list(RESUMES, "u", [new | {"x": 1}, old]))


def test_a_search_and_the_counts(expected: ExpectedState) -> None:
    both = [stored(resume("new")), stored(resume("old", created_at=None), "_any")]
    assert expected.check_search("u", "rust", both) is None
    assert expected.check_search("u", "cobol", []) is None
    assert expected.check_search("u", "rust", both[:1]) is not None
    assert expected.check_counts("u", {"parsed": 2}) is None
    assert "should be {'parsed': 2}" in str(expected.check_counts("u", {"parsed": 1}))


def test_search_looks_where_the_service_looks() -> None:
    entry = {
        "status": "parsed",
        "resume_data": {
            "contact_info": {"full_name": "Ada Lovelace"},
            "summary": None,
            "skills": ["SQL", "Go"],
            "work_experience": [{"company": "Acme", "position": "Engineer", "skills": []}],
            "education": [{"institution": "KTH", "degree": "PhD", "field_of_study": None}],
        },
    }
    assert all(matches(entry, term) for term in ("lovelace", "SQL GO", "acme engineer", "kth phd"))
    assert not any(matches(entry, term) for term in ("none", "null", "lovelace acme"))
    assert not matches(entry | {"status": "manual"}, "ada")
    assert not matches({"status": "parsed", "resume_data": None}, "ada")


def test_a_merge_goes_into_objects_and_replaces_everything_else() -> None:
    before = {"a": {"b": 1, "c": [1]}, "d": None, "e": {"x": 1}}
    assert merged(before, {"a": {"c": [2]}, "d": {"y": 1}, "e": None}) == {
        "a": {"b": 1, "c": [2]},
        "d": {"y": 1},
        "e": None,
    }
