"""A server written to files and read again."""

from __future__ import annotations

from pathlib import Path

from proxy.stores.memory import MemoryStore
from proxy.stores.memory.snapshot import load, save
from tests.unit.stores.memory.kit import Client


def test_everything_comes_back_and_revisions_go_on(tmp_path: Path) -> None:
    before = MemoryStore()
    client = Client(before)
    client.send("POST", "/_api/database", {"name": "d"})
    client.send("POST", "/_db/d/_api/collection", {"name": "e", "type": 3, "waitForSync": True})
    client.send("POST", "/_db/d/_api/collection", {"name": "c", "keyOptions": {"type": "padded"}})
    client.send(
        "POST", "/_db/d/_api/index?collection=c", {"type": "persistent", "fields": ["a"], "unique": True, "name": "i"}
    )
    client.send("POST", "/_db/d/_api/document/c", [{"_key": "k", "a": "é\u0000"}, {}])
    client.send("POST", "/_db/d/_api/document/e", {"_key": "k", "_from": "c/k", "_to": "c/k"})
    save(before.server, tmp_path)

    after = MemoryStore()
    load(after.server, tmp_path)
    again = Client(after)
    for target in ("/_db/d/_api/document/c/k", "/_db/d/_api/document/e/k", "/_db/d/_api/index?collection=c"):
        assert again.send("GET", target) == client.send("GET", target)
    properties = "/_db/d/_api/collection/c/properties"
    ours, theirs = again.send("GET", properties)[1], client.send("GET", properties)[1]
    assert {**ours, "globallyUniqueId": ""} == {**theirs, "globallyUniqueId": ""}
    status, refused = again.send("POST", "/_db/d/_api/document/c", {"a": "é\u0000"})
    assert (status, refused["errorNum"]) == (409, 1210)
    assert after.server.clock.tick() > before.server.clock.last
    assert after.server.tick() > before.server.last_tick


def test_a_directory_without_a_snapshot_changes_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    load(store.server, tmp_path)
    assert list(store.server.databases) == ["_system"]
