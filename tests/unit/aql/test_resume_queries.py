"""The queries of a résumé service: lists of a user, a search through nested entries, statistics."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.aql.store import Store

LIST = """FOR job IN jobs
            FILTER job.user_id == @user_id
         FILTER job.status == @status
            SORT job.created_at DESC
            LIMIT @offset, @limit
            RETURN job"""
SEARCH = """FOR resume IN resumes
    FILTER resume.user_id == @user_id
    FILTER resume.status == "parsed"
    FILTER (
        CONTAINS(LOWER(CONCAT_SEPARATOR(" ", resume.resume_data.contact_info.full_name, resume.resume_data.summary,
            resume.resume_data.skills)), LOWER(@term)) OR
        (FOR exp IN resume.resume_data.work_experience
            FILTER CONTAINS(LOWER(CONCAT_SEPARATOR(" ", exp.company, exp.position, exp.skills)), LOWER(@term))
            LIMIT 1 RETURN 1)[0] == 1 OR
        (FOR edu IN resume.resume_data.education
            FILTER CONTAINS(LOWER(CONCAT_SEPARATOR(" ", edu.institution, edu.degree)), LOWER(@term))
            LIMIT 1 RETURN 1)[0] == 1
    )
    SORT resume.created_at DESC
    LIMIT @limit
    RETURN resume"""
STATISTICS = """FOR resume IN resumes
    FILTER resume.user_id == @user_id
    COLLECT status = resume.status WITH COUNT INTO count
    RETURN { status: status, count: count }"""
REPORTS = """FOR doc IN documents
    FILTER doc.user_id == @user_id AND doc.type == "research"
    SORT doc.created_at DESC LIMIT @limit RETURN doc"""


def resume(key: str, day: int | None, status: str, **data: Any) -> dict[str, Any]:
    shell: dict[str, Any] = {
        "contact_info": {"full_name": "N. N."},
        "skills": [],
        "work_experience": [],
        "education": [],
    }
    row = {"_key": key, "user_id": "u1", "status": status, "resume_data": shell | data}
    return row if day is None else row | {"created_at": f"2025-08-{day:02}T10:15:30.123456+00:00"}


@pytest.fixture
def store() -> Store:
    return Store(
        jobs=[
            {"user_id": "u1", "status": "pending", "created_at": f"2025-08-{day:02}T10:15:30", "n": day}
            for day in range(1, 8)
        ]
        + [{"user_id": "u2", "status": "pending"}, {"user_id": "u1", "status": "failed"}],
        resumes=[
            resume("name", 1, "parsed", contact_info={"full_name": "Ada Rustley"}),
            resume("skill", 2, "parsed", skills=["Python", "RUST"]),
            resume(
                "work", None, "parsed", work_experience=[{"company": "X"}, {"position": "Rust dev", "skills": None}]
            ),
            resume("school", 4, "parsed", education=[{"institution": "Rust Academy"}]),
            resume("other", 5, "parsed", summary="nothing of it"),
            resume("wrong status", 6, "manual", summary="rust"),
        ],
        documents=[
            {"user_id": "u1", "type": kind, "created_at": str(n)} for n, kind in enumerate(["research", "score"] * 2)
        ],
    )


def test_lists_newest_first_with_offset_and_limit(store: Store) -> None:
    binds = {"user_id": "u1", "status": "pending", "offset": 2, "limit": 3}
    assert [job["n"] for job in store.rows(LIST, binds)] == [5, 4, 3]
    assert store.fetches[0].equalities == ((("user_id",), "u1"), (("status",), "pending"))


def test_search_goes_into_names_skills_work_and_education(store: Store) -> None:
    found = store.query(SEARCH, {"user_id": "u1", "term": "RusT", "limit": 10})
    assert [row["_key"] for row in found.rows] == ["school", "skill", "name", "work"]  # no date sorts last, descending
    assert found.groups == (1, 1, 1, 1)
    assert store.rows(SEARCH, {"user_id": "u1", "term": "", "limit": 10}) == []


def test_search_in_a_resume_without_entries_is_an_error_as_in_arangodb(store: Store) -> None:
    store.collections["resumes"]["odd"] = {**resume("odd", 9, "parsed"), "_id": "resumes/odd", "resume_data": None}
    with pytest.raises(Exception, match="array expected as operand to FOR loop"):
        store.query(SEARCH, {"user_id": "u1", "term": "zzz", "limit": 10})


def test_statistics_by_status(store: Store) -> None:
    assert store.rows(STATISTICS, {"user_id": "u1"}) == [
        {"status": "manual", "count": 1},
        {"status": "parsed", "count": 5},
    ]


def test_reports_of_one_type(store: Store) -> None:
    assert [doc["created_at"] for doc in store.rows(REPORTS, {"user_id": "u1", "limit": 5})] == ["2", "0"]
