"""Imports into the development server."""

from __future__ import annotations

from proxy.devserver.store import MemoryStore
from tests.unit.devserver.store.kit import Client


def test_a_complete_import_that_fails_keeps_the_duplicates_that_it_ignored() -> None:
    client = Client(MemoryStore())
    client.send("POST", "/_api/collection", {"name": "c"})
    client.send("POST", "/_api/document/c", {"_key": "a", "n": 1})
    target = "/_api/import?collection=c&type=array&onDuplicate=ignore&complete=true"
    status, _ = client.send("POST", target, [{"_key": "a"}, {"_key": "b"}, {"_key": "not valid"}])
    assert status == 400
    assert client.send("GET", "/_api/document/c/a")[1]["n"] == 1
    assert client.send("GET", "/_api/document/c/b")[0] == 404
