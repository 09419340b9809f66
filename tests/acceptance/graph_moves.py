"""Vertices, edges, simple queries, and the documents that all clients share. Each checks its answers."""

from __future__ import annotations

from tests.acceptance.client import DOCS, DOCUMENT, EDGES, GRAPH, SHARED, SHARED_KEYS, VERTICES, Client
from tests.acceptance.model import Document


async def vertex(client: Client) -> None:
    base = f"/_api/gharial/{GRAPH}"
    key = client.some(client.people)
    if key is None or len(client.people.content) < 4 or client.random.random() < 0.3:
        key, content = client.new_key(), {"owner": client.name, "n": 1}
        answer = await client.send("POST", f"{base}/vertex/{VERTICES}", {"_key": key, **content})
        if client.check(answer.status_code in (201, 202), "vertex", answer):
            client.people.put(key, content, answer.json()["vertex"]["_rev"])
        return
    other = client.some(client.people)
    choice = client.random.random()
    if choice < 0.4:
        edge, content = client.new_key(), {"_from": f"{VERTICES}/{key}", "_to": f"{VERTICES}/{other}"}
        answer = await client.send("POST", f"{base}/edge/{EDGES}", {"_key": edge, **content})
        if client.check(answer.status_code in (201, 202), "edge", answer):
            client.knows.put(edge, content, answer.json()["edge"]["_rev"])
    elif choice < 0.6:
        answer = await client.send("PATCH", f"{base}/vertex/{VERTICES}/{key}", {"n": 2})
        if client.check(answer.status_code in (200, 201, 202), "vertex update", answer):
            client.people.put(key, {**client.people.content[key], "n": 2}, answer.json()["vertex"]["_rev"])
    elif choice < 0.85:
        answer = await client.send("GET", f"{base}/vertex/{VERTICES}/{key}")
        expected = answer.status_code == 200 and client.people.shows(answer.json()["vertex"])
        client.check(expected, "vertex read", answer)
    else:
        answer = await client.send("DELETE", f"{base}/vertex/{VERTICES}/{key}")
        if client.check(answer.status_code in (200, 202), "vertex removal", answer):
            client.people.drop(key)
            handle = f"{VERTICES}/{key}"
            for name in [n for n, e in client.knows.content.items() if handle in (e["_from"], e["_to"])]:
                client.knows.drop(name)
                missing = await client.send("GET", f"{DOCUMENT}/{EDGES}/{name}")
                client.check(missing.status_code == 404, "an edge of a vertex that is gone", missing)


async def edges(client: Client) -> None:
    key = client.some(client.people)
    if key is None:
        return
    handle, direction = f"{VERTICES}/{key}", client.random.choice(["any", "in", "out"])
    answer = await client.send("GET", f"/_api/edges/{EDGES}?vertex={handle}&direction={direction}")
    expected = {
        name
        for name, edge in client.knows.content.items()
        if (direction != "in" and edge["_from"] == handle) or (direction != "out" and edge["_to"] == handle)
    }
    if client.check(answer.status_code == 200, "edges", answer):
        found = answer.json()["edges"]
        client.check({edge["_key"] for edge in found} == expected, "edges of a vertex", answer)
        client.check(all(client.knows.shows(edge) for edge in found), "edges as they are", answer)


async def simple(client: Client) -> None:
    keys = client.random.sample(sorted(client.docs.content), min(3, len(client.docs.content)))
    if client.random.random() < 0.5:
        body: Document = {"collection": DOCS, "keys": [*keys, "none"]}
        answer = await client.send("PUT", "/_api/simple/lookup-by-keys", body)
        rows = answer.json().get("documents", [])
        client.check({row["_key"] for row in rows} == set(keys), "look-up", answer)
    else:
        body = {"collection": VERTICES, "example": {"owner": client.name, "n": 2}}
        answer = await client.send("PUT", "/_api/simple/by-example", body)
        rows = answer.json().get("result", [])
        expected = {key for key, content in client.people.content.items() if content.get("n") == 2}
        client.check({row["_key"] for row in rows} == expected, "by example", answer)
        client.check(all(client.people.shows(row) for row in rows), "rows by example", answer)
        return
    client.check(all(client.docs.shows(row) for row in rows), "rows by key", answer)


async def shared(client: Client) -> None:
    """Check that reads never go back, and that an update by revision happens once or is refused."""
    key = client.random.choice(SHARED_KEYS)
    read = await client.send("GET", f"{DOCUMENT}/{SHARED}/{key}")
    if not client.check(read.status_code == 200, "a shared document", read):
        return
    value = read.json()["n"]
    client.check(value >= client.last_seen.get(key, 0), f"a read went back from {client.last_seen.get(key)}", read)
    client.last_seen[key] = max(value, client.last_seen.get(key, 0))
    rev = f'"{read.json()["_rev"]}"'
    answer = await client.send("PATCH", f"{DOCUMENT}/{SHARED}/{key}", {"n": value + 1}, if_match=rev)
    if answer.status_code in (201, 202):
        client.added[key] += 1
        client.last_seen[key] = value + 1
    else:
        refused = answer.status_code in (409, 412) and answer.json()["errorNum"] == 1200
        client.check(refused, "an update by an older revision", answer)
