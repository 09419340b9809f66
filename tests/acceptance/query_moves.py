"""Queries, cursors, AQL modifications, stream transactions. Each checks its answers."""

from __future__ import annotations

from tests.acceptance.client import DOCS, DOCUMENT, Client


async def query(client: Client) -> None:
    text, expected = client.random.choice(
        [
            ("FOR d IN @@c FILTER d.owner == @o SORT d._key RETURN d._key", None),
            ("FOR d IN @@c FILTER d.owner == @o COLLECT WITH COUNT INTO n RETURN n", "count"),
            ("FOR d IN @@c FILTER d.owner == @o && d.n == 1 RETURN d", "ones"),
        ]
    )
    body = {"query": text, "bindVars": {"@c": DOCS, "o": client.name}, "batchSize": 1000, "count": True}
    answer = await client.send("POST", "/_api/cursor", body)
    if not client.check(answer.status_code == 201, "query", answer):
        return
    rows, mine = answer.json()["result"], client.docs.content
    if expected is None:
        client.check(set(rows) == {k for k, d in mine.items() if d.get("owner") == client.name}, "keys", answer)
    elif expected == "count":
        client.check(rows == [sum(d.get("owner") == client.name for d in mine.values())], "count", answer)
    else:
        keys = {k for k, d in mine.items() if d.get("n") == 1 and d.get("owner") == client.name}
        client.check({row["_key"] for row in rows} == keys, "those whose n is 1", answer)
        client.check(all(client.docs.shows(row) for row in rows), "rows", answer)


async def cursor(client: Client) -> None:
    text = "FOR d IN @@c FILTER d.owner == @o SORT d._key RETURN d"
    retry = client.random.random() < 0.5
    body = {
        "query": text,
        "bindVars": {"@c": DOCS, "o": client.name},
        "batchSize": 3,
        "count": True,
        "options": {"allowRetry": retry, "fullCount": client.random.random() < 0.5},
    }
    answer = await client.send("POST", "/_api/cursor", body)
    if not client.check(answer.status_code == 201, "cursor", answer):
        return
    found = answer.json()
    rows, count, identifier = found["result"], found["count"], found.get("id")
    while found["hasMore"]:
        batch = f"/{found['nextBatchId']}" if retry or client.random.random() < 0.5 else ""
        answer = await client.send("POST", f"/_api/cursor/{identifier}{batch}")
        if not client.check(answer.status_code == 200, "next batch", answer):
            return
        if batch and retry and client.random.random() < 0.3:
            retried = await client.send("POST", f"/_api/cursor/{identifier}{batch}")
            client.check(retried.json()["result"] == answer.json()["result"], "the same batch again", retried)
        found = answer.json()
        rows += found["result"]
    if retry and identifier is not None:  # a complete result leaves no cursor
        answer = await client.send("DELETE", f"/_api/cursor/{identifier}")
        client.check(answer.status_code == 202, "end of a cursor", answer)
    client.check(len(rows) == count == len({row["_key"] for row in rows}), "all rows once", answer)
    client.check(all(client.docs.shows(row) for row in rows), "rows of a cursor", answer)
    mine = sum(document.get("owner") == client.name for document in client.docs.content.values())
    client.check(count == mine, "count of a cursor", answer)


async def modify(client: Client) -> None:
    key = client.some(client.docs)
    if key is None:
        return
    if client.random.random() < 0.5:
        value = client.random.randrange(1000)
        text = "FOR d IN @@c FILTER d._key == @k UPDATE d WITH {n: @v} IN @@c RETURN NEW"
        binds = {"@c": DOCS, "k": key, "v": value}
        answer = await client.send("POST", "/_api/cursor", {"query": text, "bindVars": binds})
        if client.check(answer.status_code == 201 and len(answer.json()["result"]) == 1, "AQL update", answer):
            shown = answer.json()["result"][0]
            client.docs.put(key, {**client.docs.content[key], "n": value}, shown["_rev"])
            client.check(client.docs.shows(shown), "what AQL updated", answer)
        return
    new, content = client.new_key(), client.content()
    binds = {"@c": DOCS, "d": {"_key": new, **content}}
    text = "INSERT @d INTO @@c RETURN NEW._rev"
    answer = await client.send("POST", "/_api/cursor", {"query": text, "bindVars": binds})
    if client.check(answer.status_code == 201, "AQL insert", answer):
        client.docs.put(new, content, answer.json()["result"][0])


async def transaction(client: Client) -> None:
    started = await client.send("POST", "/_api/transaction/begin", {"collections": {"write": [DOCS]}})
    if not client.check(started.status_code == 201, "begin", started):
        return
    number = started.json()["result"]["id"]
    inside = {"x_arango_trx_id": number}
    after, existing_key = client.docs.copy(), client.some(client.docs)
    new, content = client.new_key(), client.content()
    answer = await client.send("POST", f"{DOCUMENT}/{DOCS}", {"_key": new, **content}, **inside)
    if client.check(answer.status_code in (201, 202), "insert in a transaction", answer):
        after.put(new, content, answer.json()["_rev"])
    if existing_key is not None:
        answer = await client.send("PATCH", f"{DOCUMENT}/{DOCS}/{existing_key}", {"n": 77}, **inside)
        if client.check(answer.status_code in (201, 202), "update in a transaction", answer):
            after.put(existing_key, {**after.content[existing_key], "n": 77}, answer.json()["_rev"])
    seen = await client.send("GET", f"{DOCUMENT}/{DOCS}/{new}", **inside)
    client.check(seen.status_code == 200 and after.shows(seen.json()), "its own write", seen)
    outside = await client.send("GET", f"{DOCUMENT}/{DOCS}/{new}")
    client.check(outside.status_code == 404, "a write that is not committed", outside)
    if client.random.random() < 0.7:
        ended = await client.send("PUT", f"/_api/transaction/{number}")
        if client.check(ended.status_code == 200, "commit", ended):
            client.docs = after
    else:
        ended = await client.send("DELETE", f"/_api/transaction/{number}")
        client.check(ended.status_code == 200, "abort", ended)
    seen = await client.send("GET", f"{DOCUMENT}/{DOCS}/{new}")
    exists = new in client.docs.content
    client.check(seen.status_code == (200 if exists else 404), "after the end of a transaction", seen)
