"""One client of live traffic: an unmodified python-arango client that checks every answer.

A request fails if python-arango raises, except requests that a kill of the proxy cut off: these are counted separately,
and their outcome is looked up afterwards. An answer is wrong if it contradicts the client's own expected state.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from arango.exceptions import ArangoError

from deploy.demo.expected_state import ExpectedState, merged, plain
from deploy.demo.fake_data import DATABASE, SKILLS, Document, Generator
from deploy.demo.service import JOBS, RESULTS, RESUMES, ResumeService
from deploy.demo.traffic_stats import TrafficConditions, TrafficTally

_T = TypeVar("_T")
_LOOKUP_TIMEOUT = 60.0  # seconds for which a client looks up the outcome of a request that was cut off


class DemoClient:
    """One client of the résumé service. It owns its users: no other client writes their documents.

    rate: requests per second, evenly; the client never sends two at a time. reserved: keys that it only reads.
    """

    def __init__(
        self, number: int, users: Sequence[str], conditions: TrafficConditions, rate: float, password: str = ""
    ) -> None:
        self.users = list(users)
        self.conditions = conditions
        self.expected = ExpectedState()
        self.tally = TrafficTally()
        self.reserved: frozenset[str] = frozenset()
        self._pause = 1 / rate
        self._password = password
        self._random = random.Random(f"client {number}")
        self._make = Generator(f"client {number}")
        self._service = self._connect()
        self._kinds: dict[Callable[[], None], int] = {
            self._get: 34,
            self._list_resumes: 8,
            self._list_jobs: 7,
            self._search: 5,
            self._counts: 6,
            self._reports: 4,
            self._exists: 2,
            self._upload: 6,
            self._parse: 7,
            self._by_hand: 3,
            self._overwrite: 2,
            self._replace: 3,
            self._new_job: 4,
            self._finish_job: 5,
            self._result: 4,
            self._delete: 4,
        }

    def own(self, collection: str, documents: Iterable[Document]) -> None:
        """Add documents of its users that exist already."""
        for document in documents:
            if document["user_id"] in self.users:
                self.expected.put(collection, document)

    def run(self) -> None:
        """Send requests until the conditions say stop."""
        due = time.monotonic()
        url = self.conditions.url
        while not self.conditions.stopping:
            if url != self.conditions.url:
                url = self.conditions.url
                self._service = self._connect()
            kinds = {self._get: 1} if self.conditions.hurry else self._kinds
            (kind,) = self._random.choices(list(kinds), list(kinds.values()))
            kind()
            # not all of the time lost in a stall is made up for
            due = time.monotonic() if self.conditions.hurry else max(due + self._pause, time.monotonic() - 1)
            while not self.conditions.stopping and (left := due - time.monotonic()) > 0:
                time.sleep(min(left, 0.1))

    # reads

    def _get(self) -> None:
        collection, key = self._any_key()
        self._read(lambda: self.expected.check(collection, key, self._service.get(collection, key)))

    def _exists(self) -> None:
        collection, key = self._any_key()
        known = self.expected.get(collection, key) is not None
        self._read(lambda: None if self._service.exists(collection, key) is known else f"{collection}/{key}: exists")

    def _list_resumes(self) -> None:
        user, status = self._user(), self._random.choice((None, "parsed", "manual", "parsing"))
        wanted = {} if status is None else {"status": status}
        self._read(
            lambda: self.expected.check_list(
                RESUMES, user, self._service.entries(RESUMES, user, status=status), **wanted
            )
        )

    def _list_jobs(self) -> None:
        user = self._user()
        self._read(lambda: self.expected.check_list(JOBS, user, self._service.entries(JOBS, user)))

    def _search(self) -> None:
        user, term = self._user(), self._random.choice(SKILLS)
        self._read(lambda: self.expected.check_search(user, term, self._service.search(user, term)))

    def _counts(self) -> None:
        user = self._user()
        self._read(lambda: self.expected.check_counts(user, self._service.counts(user)))

    def _reports(self) -> None:
        user = self._user()
        self._read(lambda: self.expected.check_list(RESULTS, user, self._service.reports(user), type="research"))

    # writes

    def _upload(self) -> None:
        self._insert(RESUMES, self._make.placeholder(self._user()))

    def _by_hand(self) -> None:
        self._insert(RESUMES, self._make.manual(self._user()))

    def _new_job(self) -> None:
        self._insert(JOBS, self._make.job(self._user()))

    def _overwrite(self) -> None:
        user = self._user()
        own = self._writable(self.expected.of(RESUMES, user))
        document = self._make.manual(user)
        if own:
            document["_key"] = self._random.choice(own)
        self._insert(RESUMES, document, overwrite=True)

    def _parse(self) -> None:
        """Complete a placeholder, as the worker does."""
        resumes = self.expected.documents[RESUMES]
        waiting = [key for key in self._writable(resumes) if resumes[key]["status"] == "parsing"]
        if waiting:
            self._update(RESUMES, self._random.choice(waiting), self._make.parsed())

    def _finish_job(self) -> None:
        keys = self._writable(self.expected.documents[JOBS])
        if keys:
            key = self._random.choice(keys)
            self._update(JOBS, key, {"status": "completed", "updated_at": self._make.timestamp()})

    def _replace(self) -> None:
        own = self._writable(self.expected.of(RESUMES, user := self._user()))
        if own:
            document = self._make.manual(user) | {"_key": self._random.choice(own)}
            self._write(RESUMES, document, lambda: self._service.replace(RESUMES, document))

    def _delete(self) -> None:
        collection = self._random.choice((RESUMES, JOBS, RESULTS))
        keys = self._writable(self.expected.documents[collection])
        if keys:
            key = self._random.choice(keys)
            self._write(collection, {"_key": key}, lambda: self._service.delete(collection, key), gone=True)

    def _result(self) -> None:
        """Insert a result. ArangoDB makes the key, so that a result that was cut off is found again by its task."""
        user = self._user()
        document = self._make.result(user, self._make.key(), self._make.key()) | {"task_id": self._make.key()}
        stored = self._ask(lambda: self._service.insert(RESULTS, document), write=True)
        if isinstance(stored, dict):
            self.expected.put(RESULTS, document | {"_key": stored["_key"]}, stored["_rev"])
            return
        for found in self._settle(lambda: self._service.by_task(document["task_id"])):
            self.expected.put(RESULTS, found, found["_rev"])
            wrong = None if {**found, **document} == found else f"{found['_id']}: not what was sent"
            self._note(wrong)

    def _insert(self, collection: str, document: Document, *, overwrite: bool = False) -> None:
        self._write(collection, document, lambda: self._service.insert(collection, document, overwrite=overwrite))

    def _update(self, collection: str, key: str, changes: Document) -> None:
        """Merge, as ArangoDB does: objects are merged, everything else is replaced."""
        after = merged(self.expected.get(collection, key) or {}, changes)
        self._write(collection, after, lambda: self._service.update(collection, key, changes))

    def _write(self, collection: str, after: Document, call: Callable[[], object], *, gone: bool = False) -> None:
        key = after["_key"]
        stored = self._ask(call, write=True)
        if stored is not None:
            if gone:
                self.expected.drop(collection, key)
            else:
                assert isinstance(stored, dict)
                self.expected.put(collection, after, stored["_rev"])
            return
        # cut off: the document is as it was before, or as it should be after
        before = self.expected.get(collection, key)
        found = self._settle(lambda: self._service.get(collection, key))
        if found is not None:
            self.expected.put(collection, found, found["_rev"])
        else:
            self.expected.drop(collection, key)
        state = None if found is None else plain(found)
        if state not in (before, None if gone else after):
            self._note(f"{collection}/{key}: after the cut neither what was before nor what was sent")

    # one request

    def _read(self, call: Callable[[], str | None]) -> None:
        self._note(self._ask(call, write=False) or None)

    def _ask(self, call: Callable[[], object], *, write: bool) -> object:
        """Return the answer; None if the request failed, was cut off, or may have run twice on both sides of a kill."""
        conditions, phase = self.conditions, self.conditions.phase
        exposed, cuts = conditions.down, conditions.cuts
        self.tally.requests += 1
        self.tally.writes += write
        began = time.perf_counter()
        answer: object = None
        error: BaseException | None = None
        try:
            answer = call()
        except (ArangoError, OSError) as raised:
            error = raised
        taken = time.perf_counter() - began
        if exposed or cuts != conditions.cuts:
            # python-arango repeats a request after a broken connection: even a successful one may have run twice
            self.tally.exposed += 1
            self.tally.cut += error is not None
            return None if write else (answer if error is None else None)
        self.tally.seconds.setdefault(phase, []).append(taken)
        if error is not None:
            self.tally.failed.append(f"{phase}: {type(error).__name__}: {error}")
        return answer if error is None else None

    def _settle(self, ask: Callable[[], _T]) -> _T:
        """Ask until the proxy answers again."""
        deadline = time.monotonic() + _LOOKUP_TIMEOUT
        while True:
            try:
                return ask()
            except (ArangoError, OSError):
                if time.monotonic() > deadline or self.conditions.stopping:
                    raise
                time.sleep(0.1)

    def _note(self, wrong: object) -> None:
        if wrong:
            self.tally.wrong.append(f"{self.conditions.phase}: {wrong}")

    def _writable(self, documents: Iterable[str]) -> list[str]:
        return [key for key in documents if key not in self.reserved]

    def _user(self) -> str:
        return self._random.choice(self.users)

    def _any_key(self) -> tuple[str, str]:
        collection = self._random.choice((RESUMES, JOBS, RESULTS))
        keys = list(self.expected.documents[collection])
        return (collection, self._random.choice(keys)) if keys else (RESUMES, "none")

    def _connect(self) -> ResumeService:
        return ResumeService.connect(self.conditions.url, DATABASE, password=self._password)
