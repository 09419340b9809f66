"""A server written to files and read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.base.errors import ConfigurationError
from proxy.devserver.store import MemoryStore
from proxy.devserver.store.snapshot import load, save
from tests.unit.devserver.store.kit import Client


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
    client.send("POST", "/_api/user", {"user": "ann", "passwd": "x", "extra": {"a": 1}})
    client.send("PUT", "/_api/user/ann/database/d", {"grant": "ro"})
    client.send("PUT", "/_api/user/ann/database/d/c", {"grant": "rw"})
    save(before.server, tmp_path)

    after = MemoryStore()
    load(after.server, tmp_path)
    again = Client(after)
    for target in (
        "/_db/d/_api/document/c/k",
        "/_db/d/_api/document/e/k",
        "/_db/d/_api/index?collection=c",
        "/_api/user/ann/database?full=1",
    ):
        assert again.send("GET", target) == client.send("GET", target)
    properties = "/_db/d/_api/collection/c/properties"
    ours, theirs = again.send("GET", properties)[1], client.send("GET", properties)[1]
    assert ours == theirs
    status, refused = again.send("POST", "/_db/d/_api/document/c", {"a": "é\u0000"})
    assert (status, refused["errorNum"]) == (409, 1210)
    assert after.server.accounts.login("ann", "x", 0) == "ann"
    assert after.server.accounts.login("ann", "y", 0) is None
    assert after.server.clock.tick() > before.server.clock.last
    assert after.server.tick() > before.server.last_tick


def test_a_directory_without_a_snapshot_changes_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    load(store.server, tmp_path)
    assert list(store.server.databases) == ["_system"]


def test_a_snapshot_counts_once_it_is_whole(tmp_path: Path) -> None:
    """A process that was killed while it wrote leaves the previous snapshot valid."""
    before = MemoryStore()
    client = Client(before)
    client.send("POST", "/_api/collection", {"name": "c"})
    client.send("POST", "/_api/document/c", {"_key": "first"})
    save(before.server, tmp_path)
    (tmp_path / "snapshot-1").mkdir()
    (tmp_path / "snapshot-1" / "server.json").write_bytes(b"{")
    (tmp_path / "current.new").write_bytes(b"snapshot-1")
    after = MemoryStore()
    load(after.server, tmp_path)
    again = Client(after)
    assert again.send("GET", "/_api/document/c/first")[0] == 200
    again.send("POST", "/_api/document/c", {"_key": "second"})
    save(after.server, tmp_path)
    assert len(list(tmp_path.glob("snapshot-*"))) == 1
    last = MemoryStore()
    load(last.server, tmp_path)
    assert Client(last).send("GET", "/_api/collection/c/count")[1]["count"] == 2


def test_what_is_no_snapshot_is_told(tmp_path: Path) -> None:
    (tmp_path / "current").write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match="no snapshot can be read"):
        load(MemoryStore().server, tmp_path)
