"""What the résumé service does with its database, as plain calls of an unmodified python-arango `StandardDatabase`.

Nothing here depends on Crossfade: the URL that the client is created with is the only thing that changes in a
migration.
"""

from __future__ import annotations

from typing import Any, Final, cast

from arango.client import ArangoClient
from arango.collection import StandardCollection
from arango.cursor import Cursor
from arango.database import StandardDatabase

Document = dict[str, Any]

RESUMES, JOBS, RESULTS = "resumes", "jobs", "documents"

_LIST: Final = """
FOR entry IN @@collection
    FILTER entry.user_id == @user
    {status}
    SORT entry.created_at DESC
    LIMIT @offset, @limit
    RETURN entry
"""
LIST: Final = _LIST.format(status="")
LIST_BY_STATUS: Final = _LIST.format(status="FILTER entry.status == @status")

REPORTS: Final = """
FOR report IN documents
    FILTER report.user_id == @user AND report.type == "research"
    SORT report.created_at DESC
    LIMIT @limit
    RETURN report
"""

COUNTS: Final = """
FOR entry IN resumes
    FILTER entry.user_id == @user
    COLLECT status = entry.status WITH COUNT INTO number
    RETURN {status: status, count: number}
"""

SEARCH: Final = """
FOR entry IN resumes
    FILTER entry.user_id == @user
    FILTER entry.status == "parsed"
    FILTER (
        CONTAINS(LOWER(CONCAT_SEPARATOR(" ",
            entry.resume_data.contact_info.full_name, entry.resume_data.summary, entry.resume_data.skills
        )), LOWER(@term))
        OR (
            FOR held IN entry.resume_data.work_experience
                FILTER CONTAINS(LOWER(CONCAT_SEPARATOR(" ",
                    held.company, held.position, held.description, held.skills)), LOWER(@term))
                LIMIT 1
                RETURN 1
        )[0] == 1
        OR (
            FOR school IN entry.resume_data.education
                FILTER CONTAINS(LOWER(CONCAT_SEPARATOR(" ",
                    school.institution, school.degree, school.field_of_study)), LOWER(@term))
                LIMIT 1
                RETURN 1
        )[0] == 1
    )
    SORT entry.created_at DESC
    LIMIT @limit
    RETURN entry
"""

BY_TASK: Final = "FOR entry IN documents FILTER entry.task_id == @task RETURN entry"


class ResumeService:
    """The service's data access for one client of its database. Errors are python-arango's own."""

    def __init__(self, database: StandardDatabase) -> None:
        self.database = database

    @classmethod
    def connect(cls, url: str, name: str, user: str = "root", password: str = "") -> ResumeService:
        """Return one client with one connection pool; each thread has its own."""
        client = ArangoClient(hosts=url)
        return cls(client.db(name, username=user, password=password))

    def prepare(self) -> None:
        """Create the collections that are missing, as the service does when it starts."""
        for name in (RESUMES, JOBS, RESULTS):
            if not self.database.has_collection(name):
                self.database.create_collection(name)

    def get(self, collection: str, key: str) -> Document | None:
        return cast(Document | None, self._collection(collection).get(key))

    def insert(self, collection: str, document: Document, *, overwrite: bool = False) -> Document:
        """Insert a document; return `_key`, `_id`, `_rev`."""
        return cast(Document, self._collection(collection).insert(document, overwrite=overwrite))

    def update(self, collection: str, key: str, changes: Document) -> Document:
        """Merge the changes into the document."""
        return cast(Document, self._collection(collection).update({"_key": key, **changes}))

    def replace(self, collection: str, document: Document) -> Document:
        return cast(Document, self._collection(collection).replace(document))

    def delete(self, collection: str, key: str) -> bool:
        return bool(self._collection(collection).delete(key))

    def exists(self, collection: str, key: str) -> bool:
        return bool(self._collection(collection).has(key))

    def entries(
        self, collection: str, user: str, *, status: str | None = None, offset: int = 0, limit: int = 1000
    ) -> list[Document]:
        """Return the user's entries, newest first."""
        values = {"@collection": collection, "user": user, "offset": offset, "limit": limit}
        if status is None:
            return self._query(LIST, values)
        return self._query(LIST_BY_STATUS, values | {"status": status})

    def search(self, user: str, term: str, limit: int = 1000) -> list[Document]:
        """Return the user's parsed résumés that contain the term, ignoring case; newest first."""
        return self._query(SEARCH, {"user": user, "term": term, "limit": limit})

    def counts(self, user: str) -> dict[str, int]:
        """Return how many résumés of each status the user has."""
        return {row["status"]: row["count"] for row in self._query(COUNTS, {"user": user})}

    def reports(self, user: str, limit: int = 1000) -> list[Document]:
        """Return the user's research reports, newest first."""
        return self._query(REPORTS, {"user": user, "limit": limit})

    def by_task(self, task: str) -> list[Document]:
        """Return the result of a task, if it was stored: a worker that was cut off asks this."""
        return self._query(BY_TASK, {"task": task})

    def _collection(self, name: str) -> StandardCollection:
        return self.database.collection(name)

    def _query(self, text: str, values: Document) -> list[Document]:
        return list(cast(Cursor, self.database.aql.execute(text, bind_vars=values)))


_HELD = ("company", "position", "description", "skills")
_SCHOOL = ("institution", "degree", "field_of_study")


def matches(entry: Document, term: str) -> bool:
    """Do the service's search on one résumé, in Python: what a client that knows its documents expects."""
    if entry.get("status") != "parsed":
        return False
    data = entry.get("resume_data") or {}
    texts = [
        _joined(data.get("contact_info", {}).get("full_name"), data.get("summary"), data.get("skills")),
        *(_joined(*(held.get(name) for name in _HELD)) for held in data.get("work_experience", [])),
        *(_joined(*(school.get(name) for name in _SCHOOL)) for school in data.get("education", [])),
    ]
    return any(term.lower() in text.lower() for text in texts)


def _joined(*parts: Any) -> str:
    """Do CONCAT_SEPARATOR(" ", …): nulls are left out, lists are flattened."""
    flat = [piece for part in parts for piece in (part if isinstance(part, list) else [part])]
    return " ".join(str(piece) for piece in flat if piece is not None)
