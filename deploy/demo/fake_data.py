"""A generated history of a résumé service: résumés, jobs, optimisation results, users. The same for the same seed.

Shapes and quirks are those of a real service: placeholders with nulls, parsed and hand-made documents, timestamps with
an offset, naive, or without a fraction, older documents without `created_at`, numbers of all forms, text in many
scripts, Markdown of tens of kilobytes. User ids are opaque text, keys are UUIDs unless ArangoDB makes them.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import string
import uuid
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

Document = dict[str, Any]

DATABASE: Final = "atspro"
RESUMES, JOBS, RESULTS = "resumes", "jobs", "documents"
COLLECTIONS: Final = (RESUMES, JOBS, RESULTS)
_VOCABULARY: Final[dict[str, list[str]]] = json.loads(
    resources.files(__package__).joinpath("vocabulary.json").read_text("utf-8")
)
SKILLS: Final = _VOCABULARY["skills"]
_COMPANIES, _POSITIONS, _SCHOOLS = (_VOCABULARY[name] for name in ("companies", "positions", "schools"))
_WORDS, _ODD = _VOCABULARY["words"], _VOCABULARY["odd"]
_EPOCH = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class User:
    """A row of better-auth's "user" and of user_profiles; resume_id names a résumé, or is None."""

    id: str
    name: str
    email: str
    resume_id: str | None


@dataclass(frozen=True, slots=True)
class History:
    """Everything that existed before the proxy: documents by collection of the database `atspro`, and the users."""

    users: tuple[User, ...]
    resumes: tuple[Document, ...]
    jobs: tuple[Document, ...]
    results: tuple[Document, ...]

    def collections(self) -> dict[str, tuple[Document, ...]]:
        return {RESUMES: self.resumes, JOBS: self.jobs, RESULTS: self.results}


class Generator:
    """Generates the service's documents, one after the other, from one random source."""

    def __init__(self, seed: object) -> None:
        self.random = random.Random(str(seed))
        self._now = _EPOCH

    def key(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def user_id(self) -> str:
        """Return opaque text, like better-auth's; never a UUID."""
        return "".join(self.random.choices(string.ascii_letters + string.digits, k=32))

    def timestamp(self) -> str:
        """Return a moment later than the one before, in one of the three forms that services use."""
        self._now += dt.timedelta(seconds=self.random.randint(1, 4000), microseconds=self.random.randint(1, 999_999))
        form = self.random.random()
        if form < 0.5:
            return self._now.isoformat()
        if form < 0.8:
            return self._now.replace(tzinfo=None).isoformat()
        return self._now.replace(microsecond=0, tzinfo=None).isoformat()

    def name(self) -> str:
        return f"{self.random.choice(_VOCABULARY['first_names'])} {self.random.choice(_VOCABULARY['last_names'])}"

    def sentence(self, words: int = 14) -> str:
        text = " ".join(self.random.choices(_WORDS, k=words))
        return text[:1].upper() + text[1:] + "."

    def paragraph(self, sentences: int) -> str:
        return " ".join(self.sentence(self.random.randint(6, 20)) for _ in range(sentences))

    def skills(self) -> list[str]:
        return self.random.sample(SKILLS, self.random.randint(0, 10))

    def resume_data(self) -> Document:
        """Return `resume_data` of a résumé, or `optimized_data` of a result: 1 to 18 KB."""
        pick = self.random
        contact: Document = {"full_name": self.name(), "links": []}
        if pick.random() < 0.9:
            contact["email"] = f"person{pick.randint(1, 10**6)}@example.org"
        if pick.random() < 0.6:
            contact["phone"] = f"+49 30 {pick.randint(10**6, 10**7)}"
        if pick.random() < 0.3:
            contact["address"] = None
        for site in pick.sample(("LinkedIn", "GitHub", "Mastodon"), pick.randint(0, 3)):
            contact["links"].append(
                {"name": site, "url": f"https://example.org/{site.lower()}/{pick.randint(1, 999)}?a=1&b=%C3%A9"}
            )
        data: Document = {
            "contact_info": contact,
            "work_experience": [self._job_held(current=i == 0) for i in range(pick.randint(1, 9))],
            "education": [self._school() for _ in range(pick.randint(0, 3))],
            "certifications": [
                {"name": f"Certified {pick.choice(SKILLS)}", "issuer": pick.choice(_COMPANIES), "credential_id": None}
                for _ in range(pick.randint(0, 2))
            ],
            "skills": self.skills(),
        }
        if pick.random() < 0.8:
            data["summary"] = self.paragraph(pick.randint(1, 4))
        if pick.random() < 0.1:
            data["summary"] = pick.choice(_ODD) + " " + self.sentence()
        return data

    def _job_held(self, *, current: bool) -> Document:
        pick = self.random
        held: Document = {
            "company": pick.choice(_COMPANIES),
            "position": pick.choice(_POSITIONS),
            "start_date": f"{pick.randint(1995, 2023)}-{pick.randint(1, 12):02}",
            "end_date": None if current else f"{pick.randint(2024, 2025)}",
            "is_current": current,
            "responsibilities": [self.sentence() for _ in range(pick.randint(1, 10))],
            "skills": self.skills(),
        }
        if pick.random() < 0.7:
            held["description"] = self.paragraph(pick.randint(1, 4))
        return held

    def _school(self) -> Document:
        pick = self.random
        return {
            "institution": pick.choice(_SCHOOLS),
            "degree": pick.choice(("BSc", "MSc", "PhD", "Diplôme d'ingénieur")),
            "field_of_study": pick.choice(("Physics", "Informatik", "数学", None)),
            "graduation_date": str(pick.randint(1990, 2024)),
            "gpa": pick.choice((4, 3.7, 3.25, 2.999999999999999, 1e-7, 0.1 + 0.2)),
            "honors": [],
            "relevant_courses": [self.sentence(3) for _ in range(pick.randint(0, 4))],
            "skills": [],
        }

    def placeholder(self, user_id: str) -> Document:
        """Return what the service stores while it parses an upload."""
        return {
            "_key": self.key(),
            "user_id": user_id,
            "task_id": self.key(),
            "status": "parsing",
            "created_at": self.timestamp(),
            "resume_data": None,
            "file_metadata": None,
        }

    def parsed(self) -> Document:
        """Return what an `update` merges into the placeholder."""
        return {
            "status": "parsed",
            "updated_at": self.timestamp(),
            "file_metadata": {
                "filename": self.random.choice(("cv.pdf", "Lebenslauf (final) v2.docx", "履歴書.pdf", "résumé.pdf")),
                "content_type": "application/pdf",
                "size": self.random.choice((self.random.randint(10**3, 10**6), 2**53 + 1, 18446744073709551615)),
                "processed_at": self.timestamp(),
            },
            "resume_data": self.resume_data(),
        }

    def manual(self, user_id: str) -> Document:
        return {
            "_key": self.key(),
            "user_id": user_id,
            "status": "manual",
            "source": "manual",
            "created_at": self.timestamp(),
            "resume_data": self.resume_data(),
            "file_metadata": {"source": "manual", "created_by": user_id, "entry_method": "form"},
        }

    def resume(self, user_id: str) -> Document:
        """Return one of the three kinds; one in twelve is old and has no `created_at`."""
        kind = self.random.random()
        if kind < 0.15:
            made = self.placeholder(user_id)
        elif kind < 0.35:
            made = self.manual(user_id)
        else:
            made = self.placeholder(user_id) | self.parsed()
            del made["task_id"]
        if self.random.random() < 1 / 12:
            del made["created_at"]
        return made

    def job(self, user_id: str) -> Document:
        pick = self.random
        made: Document = {
            "_key": self.key(),
            "user_id": user_id,
            "type": "job",
            "status": pick.choice(("pending", "completed", "completed", "failed")),
            "created_at": self.timestamp(),
            "updated_at": self.timestamp(),
            "parsed_data": {
                "company": pick.choice(_COMPANIES),
                "title": pick.choice(_POSITIONS),
                "description": self.paragraph(pick.randint(3, 20)),
                "salary": pick.choice((None, "60.000 €", "$120k–150k", 95000)),
                "qualifications": [self.sentence(6) for _ in range(pick.randint(0, 6))],
                "location": pick.choice(("Berlin", "São Paulo", "東京", None)),
            },
        }
        if pick.random() < 0.5:
            made["source_url"] = f"https://example.com/jobs/{pick.randint(1, 10**9)}#apply"
        else:
            made |= {"source_type": "upload", "source_filename": "job ad.html"}
        if made["status"] == "failed":
            made["error_message"] = pick.choice(_ODD)
        elif pick.random() < 0.5:
            made["scores"] = {"overall": pick.random(), "skills": [pick.randint(0, 100) for _ in range(3)]}
        return made

    def result(self, user_id: str, resume_id: str, job_id: str) -> Document:
        """Return an optimisation, a research report or a score. ArangoDB makes its key."""
        pick = self.random
        kind = pick.choice(("optimization", "research", "score"))
        sections = 1 if kind == "score" else pick.choice((1, 2, 3, 4, 6, 30))
        made: Document = {
            "type": kind,
            "user_id": user_id,
            "resume_id": resume_id,
            "job_id": job_id,
            "status": "completed",
            "content": "\n\n".join(
                f"## {self.sentence(4)}\n\n* {self.paragraph(8)}\n* {self.paragraph(6)}" for _ in range(sections)
            ),
            "created_at": self.timestamp(),
        }
        if kind == "optimization":
            made["optimized_data"] = self.resume_data()
        return made


def history(seed: int = 1, *, users: int = 200, resumes: int = 2000, jobs: int = 1800, results: int = 1200) -> History:
    """Generate, by default, 5,000 documents of 200 users; if there are enough résumés, each user has one."""
    make = Generator(seed)
    ids = [make.user_id() for _ in range(users)]
    made_resumes = [make.resume(ids[i % users]) for i in range(resumes)]
    made_jobs = [make.job(ids[i % users]) for i in range(jobs)]
    made_results = []
    for i in range(results):
        user = i % users
        own_resume = make.random.choice(made_resumes[user::users] or made_resumes)
        own_job = make.random.choice(made_jobs[user::users] or made_jobs)
        made_results.append(make.result(ids[user], own_resume["_key"], own_job["_key"]))
    people = []
    for i, user_id in enumerate(ids):
        own = made_resumes[i::users]
        chosen = make.random.choice(own)["_key"] if own and i % 10 else None
        people.append(User(user_id, make.name(), f"user{i}@example.org", chosen))
    return History(tuple(people), tuple(made_resumes), tuple(made_jobs), tuple(made_results))
