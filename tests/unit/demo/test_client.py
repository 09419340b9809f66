"""A client of live traffic counts failures, wrong answers and cuts, and settles what a cut left open (I3, I7)."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from deploy.demo.client import DemoClient
from deploy.demo.expected_state import ExpectedState, merged
from deploy.demo.fake_data import DATABASE, Generator
from deploy.demo.service import JOBS, RESULTS, RESUMES, ResumeService, matches
from deploy.demo.traffic import DemoTraffic
from deploy.demo.traffic_stats import TrafficConditions, TrafficTally

Document = dict[str, Any]


class Memory(ResumeService):
    """The service over dictionaries. `trouble` is called before each request with its name; it may raise."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Document]] = {RESUMES: {}, JOBS: {}, RESULTS: {}}
        self.trouble: Callable[[str], None] = lambda _: None
        self.after: Callable[[str], None] = lambda _: None
        self._numbers = itertools.count(1)

    def get(self, collection: str, key: str) -> Document | None:
        self.trouble("get")
        return copy.deepcopy(self.stored[collection].get(key))

    def exists(self, collection: str, key: str) -> bool:
        self.trouble("exists")
        return key in self.stored[collection]

    def insert(self, collection: str, document: Document, *, overwrite: bool = False) -> Document:
        key = document.get("_key", f"made-{next(self._numbers)}")
        return self._store("insert", collection, key, document)

    def update(self, collection: str, key: str, changes: Document) -> Document:
        return self._store("update", collection, key, merged(self.stored[collection][key], changes))

    def replace(self, collection: str, document: Document) -> Document:
        return self._store("replace", collection, document["_key"], document)

    def delete(self, collection: str, key: str) -> bool:
        self.trouble("delete")
        del self.stored[collection][key]
        self.after("delete")
        return True

    def entries(
        self, collection: str, user: str, *, status: str | None = None, offset: int = 0, limit: int = 1000
    ) -> list[Document]:
        self.trouble("entries")
        return self._newest(collection, lambda e: e["user_id"] == user and status in (None, e["status"]))

    def search(self, user: str, term: str, limit: int = 1000) -> list[Document]:
        self.trouble("search")
        return self._newest(RESUMES, lambda e: e["user_id"] == user and matches(e, term))

    def counts(self, user: str) -> dict[str, int]:
        self.trouble("counts")
        found: dict[str, int] = {}
        for entry in self._newest(RESUMES, lambda e: e["user_id"] == user):
            found[entry["status"]] = found.get(entry["status"], 0) + 1
        return found

    def reports(self, user: str, limit: int = 1000) -> list[Document]:
        self.trouble("reports")
        return self._newest(RESULTS, lambda e: e["user_id"] == user and e["type"] == "research")

    def by_task(self, task: str) -> list[Document]:
        self.trouble("by_task")
        return self._newest(RESULTS, lambda e: e.get("task_id") == task)

    def _store(self, name: str, collection: str, key: str, document: Document) -> Document:
        self.trouble(name)
        system = {"_key": key, "_id": f"{collection}/{key}", "_rev": f"_r{next(self._numbers)}"}
        self.stored[collection][key] = copy.deepcopy({**document, **system})
        self.after(name)
        return system

    def _newest(self, collection: str, wanted: Callable[[Document], bool]) -> list[Document]:
        found = [copy.deepcopy(entry) for entry in self.stored[collection].values() if wanted(entry)]
        return sorted(found, key=lambda entry: entry.get("created_at") or "", reverse=True)


class Scripted(DemoClient):
    """A client that sends a number of requests without a pause, and stops."""

    memory: Memory
    connected: str

    def _connect(self) -> ResumeService:
        self.connected = self.conditions.url
        self.memory = getattr(self, "memory", None) or Memory()
        return self.memory

    def send(self, requests: int) -> TrafficTally:
        already = self.tally.requests

        def enough(_: str) -> None:
            self.conditions.stopping = self.tally.requests >= already + requests

        old, self.memory.after = self.memory.after, enough
        old_trouble = self.memory.trouble

        def both(name: str) -> None:
            enough(name)
            old_trouble(name)

        self.memory.trouble = both
        self.conditions.stopping = False
        self.run()
        self.memory.trouble, self.memory.after = old_trouble, old
        self.conditions.stopping = False
        return self.tally


@pytest.fixture
def client() -> Scripted:
    return Scripted(0, ["ada", "bob"], TrafficConditions("http://x"), rate=1e6)


def test_a_thousand_right_answers(client: Scripted) -> None:
    tally = client.send(1000)
    assert (tally.failed, tally.wrong, tally.cut) == ([], [], 0)
    assert tally.requests >= 1000
    assert 0 < tally.writes < tally.requests
    assert len(tally.seconds["direct"]) == tally.requests
    stored = {name: set(documents) for name, documents in client.memory.stored.items()}
    assert stored == {name: set(documents) for name, documents in client.expected.documents.items()}


def test_history_is_owned_by_whose_user_it_is(client: Scripted) -> None:
    make = Generator(1)
    client.own(JOBS, [make.job("ada"), make.job("somebody else")])
    assert len(client.expected.documents[JOBS]) == 1


def test_reserved_documents_are_never_written(client: Scripted) -> None:
    document = Generator(1).manual("ada")
    stored = client.memory.insert(RESUMES, document)
    client.own(RESUMES, [document])
    client.reserved = frozenset({document["_key"]})
    client.send(600)
    assert client.memory.stored[RESUMES][document["_key"]]["_rev"] == stored["_rev"]


def test_a_stale_answer_is_wrong(client: Scripted) -> None:
    client.send(200)
    for entry in client.memory.stored[RESUMES].values():
        entry["_rev"] = "_stale"
    wrong = client.send(200).wrong
    assert wrong
    assert "revision _stale" in wrong[0]


def test_a_lost_write_is_wrong(client: Scripted) -> None:
    client.send(200)
    client.memory.stored[RESUMES].clear()
    client.memory.stored[JOBS].clear()
    client.memory.stored[RESULTS].clear()
    client._get()
    client._counts()
    client._list_jobs()
    assert len(client.tally.wrong) >= 2


def test_an_error_outside_a_kill_is_a_failure(client: Scripted) -> None:
    client.send(100)

    def refuse(_: str) -> None:
        raise ConnectionAbortedError("connection lost")

    client.memory.trouble = refuse
    client._counts()
    assert client.tally.failed == ["direct: ConnectionAbortedError: connection lost"]
    assert client.tally.cut == 0


@pytest.mark.parametrize("ran", [False, True], ids=["before it ran", "after it ran"])
def test_a_write_that_was_cut_is_looked_up_and_either_outcome_is_right(client: Scripted, ran: bool) -> None:
    client.send(300)
    document = Generator(2).manual("ada")
    for name, request in {
        "insert": lambda: client._insert(RESUMES, document),
        "replace": client._replace,
        "update": client._finish_job,
        "delete": client._delete,
    }.items():
        cut_once(client, name, ran=ran)
        request()
    cut_once(client, "insert", ran=ran)
    client._result()
    assert client.tally.cut == 5
    assert (client.tally.failed, client.tally.wrong) == ([], [])
    assert (document["_key"] in client.expected.documents[RESUMES]) is ran
    assert client.send(300).wrong == []


def cut_once(client: Scripted, name: str, *, ran: bool) -> None:
    """Let a kill cut off the next request of that name, before or after it ran; then one look-up fails, too."""
    looks = iter([True, False])

    def cut(called: str) -> None:
        if called == name:
            client.conditions.cuts += 1
            client.memory.after = client.memory.trouble = look_up
            raise ConnectionAbortedError("killed")

    def look_up(called: str) -> None:
        if called in ("get", "by_task") and next(looks, False):
            raise ConnectionRefusedError("not there yet")

    client.memory.trouble = client.memory.after = lambda _: None
    if ran:
        client.memory.after = cut
    else:
        client.memory.trouble = cut


def test_a_success_that_may_have_run_twice_is_looked_up_as_well(client: Scripted) -> None:
    client.memory.after = lambda name: setattr(client.conditions, "cuts", client.conditions.cuts + 1)
    client._result()
    assert client.tally.cut == 0
    assert len(client.expected.documents[RESULTS]) == 1
    assert "direct" not in client.tally.seconds


def test_neither_before_nor_after_is_wrong(client: Scripted) -> None:
    client.send(300)
    user = "ada"
    document = Generator(2).manual(user)

    def spoil(_: str) -> None:
        client.memory.stored[RESUMES][document["_key"]]["status"] = "spoilt"
        client.conditions.cuts += 1
        client.memory.after = lambda _: None

    client.memory.after = spoil
    client._insert(RESUMES, document)
    assert "neither what was before nor what was sent" in client.tally.wrong[0]


def test_a_proxy_that_never_comes_back_is_not_waited_for_at_the_end(client: Scripted) -> None:
    def away(_: str) -> None:
        raise ConnectionRefusedError("away")

    client.conditions.down = client.conditions.stopping = True
    client.memory.trouble = away
    with pytest.raises(ConnectionRefusedError):
        client._upload()
    assert client.tally.cut == 1


def test_another_url_means_another_connection(client: Scripted) -> None:
    seen: list[str] = []

    def move(_: str) -> None:
        seen.append(client.connected)
        client.conditions.url = "http://y"

    client.memory.trouble = move
    client.send(20)
    assert seen[0] == "http://x"
    assert seen[-1] == "http://y"


def test_percentiles_are_in_milliseconds() -> None:
    tally = TrafficTally(seconds={"a": [0.001 * n for n in range(1, 101)], "b": [1.0]})
    assert tally.percentile(50, "a") == pytest.approx(51)
    assert tally.percentile(99, "a") == pytest.approx(100)
    assert tally.percentile(99, "a", "b") == pytest.approx(1000, rel=0.95)
    assert str(tally.percentile(50, "none")) == "nan"


def test_traffic_shares_users_out_and_adds_everything_up() -> None:
    traffic = DemoTraffic("http://127.0.0.1:1", [f"user{n}" for n in range(10)], clients=3)
    make = Generator(3)
    documents = [make.job(f"user{n}") for n in range(10)]
    traffic.own(JOBS, documents)
    traffic.reserve(["x"])
    assert [len(client.users) for client in traffic.clients] == [4, 3, 3]
    assert traffic.expected()[JOBS].keys() == {document["_key"] for document in documents}
    assert traffic.clients[0].reserved == {"x"}
    traffic.expect_cuts()
    assert traffic.conditions.down
    traffic.end_cuts()
    assert (traffic.conditions.cuts, traffic.conditions.down) == (2, False)
    traffic.to("http://127.0.0.1:2", "next")
    assert (traffic.conditions.url, traffic.conditions.phase) == ("http://127.0.0.1:2", "next")
    traffic.stop()
    assert traffic.tally().requests == 0


def test_what_breaks_a_client_is_not_kept_quiet() -> None:
    traffic = DemoTraffic("http://127.0.0.1:1", ["u"], clients=1)
    traffic.clients[0].expected = None  # type: ignore[assignment]
    traffic.start()
    with pytest.raises(AttributeError):
        traffic.stop()


def test_names_are_those_of_the_service() -> None:
    assert DATABASE == "atspro"
    assert set(ExpectedState().documents) == {RESUMES, JOBS, RESULTS}
