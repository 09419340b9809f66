"""The generated history: always the same, in the service's shapes, with the quirks that break naive mirrors."""

from __future__ import annotations

import json
import uuid

import pytest

from deploy.demo.fake_data import Generator, History, history


@pytest.fixture(scope="module")
def made() -> History:
    return history()


def size(document: object) -> int:
    return len(json.dumps(document, ensure_ascii=False).encode())


def test_the_same_seed_makes_the_same_history() -> None:
    few = {"users": 5, "resumes": 20, "jobs": 20, "results": 10}
    assert history(7, **few) == history(7, **few)
    assert history(7, **few) != history(8, **few)


def test_five_thousand_documents_of_two_hundred_users(made: History) -> None:
    assert sum(map(len, made.collections().values())) == 5000
    assert len(made.users) == 200
    users = {user.id for user in made.users}
    assert all(document["user_id"] in users for part in made.collections().values() for document in part)


def test_keys_are_uuids_where_the_service_gives_them(made: History) -> None:
    assert all(uuid.UUID(document["_key"]).version == 4 for document in (*made.resumes, *made.jobs))
    assert not any("_key" in document for document in made.results)


def test_user_ids_are_opaque_and_no_uuids(made: History) -> None:
    for user in made.users:
        with pytest.raises(ValueError, match=r"badly formed|invalid literal"):
            uuid.UUID(user.id)


def test_profiles_lead_to_a_resume_of_the_same_user_or_nowhere(made: History) -> None:
    owner = {document["_key"]: document["user_id"] for document in made.resumes}
    assert all(user.resume_id is None or owner[user.resume_id] == user.id for user in made.users)
    assert {user.resume_id is None for user in made.users} == {True, False}


def test_resumes_come_in_all_three_shapes(made: History) -> None:
    for resume in made.resumes:
        if resume["status"] == "parsing":
            assert resume["resume_data"] is None
            assert resume["file_metadata"] is None
        else:
            assert {"contact_info", "work_experience", "education", "skills"} <= resume["resume_data"].keys()
    assert {resume["status"] for resume in made.resumes} == {"parsing", "parsed", "manual"}
    assert sum("created_at" not in resume for resume in made.resumes) > 50


def test_timestamps_come_in_all_three_forms(made: History) -> None:
    stamps = [document["created_at"] for document in (*made.jobs, *made.results)]
    assert any(stamp.endswith("+00:00") for stamp in stamps)
    assert any("." in stamp and "+" not in stamp for stamp in stamps)
    assert any("." not in stamp for stamp in stamps)


def test_sizes_are_those_of_the_service(made: History) -> None:
    parsed = sorted(size(resume) for resume in made.resumes if resume["status"] != "parsing")
    assert parsed[0] > 500
    assert parsed[len(parsed) // 2] > 2_000
    assert 10_000 < parsed[-1] < 30_000
    assert max(size(result) for result in made.results) > 30_000


def test_what_breaks_naive_mirrors_is_there(made: History) -> None:
    everything = json.dumps(made.collections(), ensure_ascii=False)
    assert "\\u0000" in everything
    assert "\ufdd0" in everything
    assert "18446744073709551615" in everything
    assert "1e-07" in everything


def test_a_parsed_resume_is_a_placeholder_and_an_update() -> None:
    make = Generator(1)
    placeholder, update = make.placeholder("somebody"), make.parsed()
    assert (placeholder | update)["status"] == "parsed"
    assert placeholder["created_at"] != update["updated_at"]
