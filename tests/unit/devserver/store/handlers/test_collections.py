"""The checksum of a collection differs for collections with different keys."""

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
