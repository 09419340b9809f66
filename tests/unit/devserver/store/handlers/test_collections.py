"""Checksums differ with the keys; names with quotation marks and backslashes are escaped in answers and documents."""

from __future__ import annotations

from proxy.devserver.store import MemoryStore
from tests.unit.devserver.store.kit import Client


def test_keys_that_differ_in_one_digit_do_not_cancel_each_other_out() -> None:
    client = Client(MemoryStore())
    client.send("POST", "/_api/collection", {"name": "c"})
    seen = [client.send("GET", "/_api/collection/c/checksum")[1]["checksum"]]
    for number in range(8):
        client.send("POST", "/_api/document/c", {"_key": f"10000{number}"})
        seen.append(client.send("GET", "/_api/collection/c/checksum")[1]["checksum"])
    assert seen[0] == "0"
    assert len(set(seen)) == len(seen)


def test_names_are_escaped_in_answers_and_in_renamed_documents() -> None:
    client = Client(MemoryStore())
    name, later = 'a"b', 'c\\"d'
    assert client.send("POST", "/_api/collection", {"name": name})[0] == 200
    written = client.send("POST", "/_api/document/a%22b?returnNew=true", {"_key": "k"})[1]
    assert (written["_id"], written["new"]["_id"]) == (f"{name}/k", f"{name}/k")
    assert client.send("PUT", "/_api/collection/a%22b/rename", {"name": later})[0] == 200
    assert client.send("GET", "/_api/document/c%5C%22d/k")[1]["_id"] == f"{later}/k"
