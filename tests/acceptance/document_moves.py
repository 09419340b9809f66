"""Writes and reads of single documents and of arrays. Each checks its answers."""

from __future__ import annotations

from tests.acceptance.client import DOCS, DOCUMENT, Client
from tests.acceptance.model import Document, merged, plain


async def insert(client: Client) -> None:
    mode = client.random.choice(["", "", "conflict", "ignore", "replace", "update"])
    existing_key = client.some(client.docs) if mode and client.random.random() < 0.7 else None
    key, content = existing_key or client.new_key(), client.content()
    options = {"overwriteMode": mode} if mode else {}
    options |= client.random.choice([{}, {"returnNew": "true"}, {"returnNew": "true", "returnOld": "true"}])
    query = "&".join(f"{name}={value}" for name, value in options.items())
    answer = await client.send("POST", f"{DOCUMENT}/{DOCS}?{query}", {"_key": key, **content})
    if existing_key is not None and mode == "conflict":
        client.check(answer.status_code == 409 and answer.json()["errorNum"] == 1210, "an existing key", answer)
        return
    if not client.check(answer.status_code in (201, 202), "insert", answer):
        return
    body = answer.json()
    if existing_key is not None and mode == "ignore":
        client.check(body["_rev"] == client.docs.revs[key] and "new" not in body, "an existing key ignored", answer)
        return
    if existing_key is not None and mode == "update":  # nulls of the new one are forgotten there, unlike in PATCH
        content = merged(client.docs.content[key], content, keep_null=False, merge_objects=True)
        content = shown_after(client, content, body)
    if existing_key is not None:
        client.check(body["_oldRev"] == client.docs.revs[key], "the old revision", answer)
        if "old" in body:
            client.check(client.docs.shows(body["old"]), "the old document", answer)
    client.docs.put(key, content, body["_rev"])
    if "new" in body:
        client.check(client.docs.shows(body["new"]), "the new document", answer)


def shown_after(client: Client, content: Document, body: Document) -> Document:
    """Return a document as merged, if the answer shows it. Only the answer determines nulls inside new values."""
    return plain(body["new"]) if "new" in body and "in" in content else content


async def read(client: Client) -> None:
    key = client.some(client.docs) if client.random.random() < 0.9 else client.new_key()
    key = key or client.new_key()
    answer = await client.send(client.random.choice(["GET", "GET", "HEAD"]), f"{DOCUMENT}/{DOCS}/{key}")
    if key not in client.docs.content:
        client.check(answer.status_code == 404, "what is not there", answer)
    elif client.check(answer.status_code == 200, "what is there", answer):
        client.check(answer.headers["etag"] == f'"{client.docs.revs[key]}"', "etag", answer)
        if answer.request.method == "GET":
            client.check(client.docs.shows(answer.json()), "document", answer)


async def conditional_read(client: Client) -> None:
    key = client.some(client.docs)
    if key is None:
        return
    rev = client.docs.revs[key]
    header, value, status = client.random.choice(
        [
            ("if_match", f'"{rev}"', 200),
            ("if_match", '"_aaaaaaaaaa"', 412),
            ("if_none_match", f'"{rev}"', 304),
            ("if_none_match", '"_aaaaaaaaaa"', 200),
        ]
    )
    answer = await client.send("GET", f"{DOCUMENT}/{DOCS}/{key}", **{header: value})
    client.check(answer.status_code == status, f"{header}", answer)


async def update(client: Client) -> None:
    key = client.some(client.docs)
    if key is None:
        return
    keep, merge = client.random.random() < 0.5, client.random.random() < 0.5
    change: Document = client.random.choice(
        [{"n": client.random.randrange(1000)}, {"in": {"a": 9}}, {"nothing": None}, {"text": None, "more": [None]}]
    )
    wrong = client.random.random() < 0.15
    target = f"{DOCUMENT}/{DOCS}/{key}?keepNull={str(keep).lower()}&mergeObjects={str(merge).lower()}&returnNew=true"
    headers = {"if_match": '"_aaaaaaaaaa"'} if wrong else {}
    answer = await client.send("PATCH", target, change, **headers)
    if wrong:
        client.check(answer.status_code == 412, "a wrong revision", answer)
        return
    if client.check(answer.status_code in (201, 202), "update", answer):
        content = merged(client.docs.content[key], change, keep_null=keep, merge_objects=merge)
        client.docs.put(key, content, answer.json()["_rev"])
        client.check(client.docs.shows(answer.json()["new"]), "the updated document", answer)


async def replace(client: Client) -> None:
    key = client.some(client.docs)
    if key is None:
        return
    content, silent = client.content(), client.random.random() < 0.3
    answer = await client.send("PUT", f"{DOCUMENT}/{DOCS}/{key}?silent={str(silent).lower()}", content)
    if not client.check(answer.status_code in (201, 202), "replace", answer):
        return
    if not silent:
        client.docs.put(key, content, answer.json()["_rev"])
        return
    client.check(answer.json() == {}, "silent", answer)
    shown = await client.send("GET", f"{DOCUMENT}/{DOCS}/{key}")
    if client.check(shown.status_code == 200 and plain(shown.json()) == content, "what was written silently", shown):
        client.docs.put(key, content, shown.json()["_rev"])


async def remove(client: Client) -> None:
    key = client.some(client.docs)
    if key is None or len(client.docs.content) < 10:
        return
    answer = await client.send("DELETE", f"{DOCUMENT}/{DOCS}/{key}?returnOld=true")
    if client.check(answer.status_code in (200, 202), "remove", answer):
        client.check(client.docs.shows(answer.json()["old"]), "the removed document", answer)
        client.docs.drop(key)


async def insert_many(client: Client) -> None:
    existing_key = client.some(client.docs)
    items = [{"_key": client.new_key(), **client.content()} for _ in range(client.random.randrange(1, 6))]
    if existing_key is not None:
        items.insert(1, {"_key": existing_key})
    answer = await client.send("POST", f"{DOCUMENT}/{DOCS}", items)
    if not client.check(answer.status_code in (201, 202), "insert many", answer):
        return
    for item, answered in zip(items, answer.json(), strict=True):
        if item["_key"] == existing_key:
            client.check(answered.get("errorNum") == 1210, "an existing key among many", answer)
        elif client.check(answered.get("_key") == item["_key"], "one of many", answer):
            client.docs.put(item["_key"], plain(item), answered["_rev"])


async def read_many(client: Client) -> None:
    keys = [*client.random.sample(sorted(client.docs.content), min(4, len(client.docs.content))), "none"]
    answer = await client.send("PUT", f"{DOCUMENT}/{DOCS}?onlyget=true", keys)
    if client.check(answer.status_code == 200 and len(answer.json()) == len(keys), "read many", answer):
        for shown in answer.json()[:-1]:
            client.check("_key" in shown and client.docs.shows(shown), "one of many", answer)
        client.check(answer.json()[-1].get("errorNum") == 1202, "the one that is not there", answer)


async def change_many(client: Client) -> None:
    keys = client.random.sample(sorted(client.docs.content), min(3, len(client.docs.content)))
    if len(client.docs.content) > 60:
        answer = await client.send("DELETE", f"{DOCUMENT}/{DOCS}", [*keys, "none"])
        if client.check(answer.status_code in (200, 202), "remove many", answer):
            client.check([one.get("errorNum", 0) for one in answer.json()] == [*(0 for _ in keys), 1202], "", answer)
            for key in keys:
                client.docs.drop(key)
        return
    items: list[Document] = [{"_key": key, "n": client.random.randrange(1000)} for key in keys]
    answer = await client.send("PATCH", f"{DOCUMENT}/{DOCS}", items)
    if client.check(answer.status_code in (201, 202), "update many", answer):
        for item, answered in zip(items, answer.json(), strict=True):
            content = {**client.docs.content[item["_key"]], "n": item["n"]}
            client.docs.put(item["_key"], content, answered["_rev"])


async def load(client: Client) -> None:
    existing_key = client.some(client.docs)
    items = [{"_key": client.new_key(), **client.content()} for _ in range(3)]
    keys = [item["_key"] for item in items]
    if existing_key is not None:
        items.append({"_key": existing_key, "ignored": True})
    answer = await client.send("POST", f"/_api/import?collection={DOCS}&type=list&onDuplicate=ignore", items)
    expected = (len(keys), int(existing_key is not None))
    if client.check(answer.status_code == 201, "import", answer):
        body = answer.json()
        client.check((body["created"], body["ignored"]) == expected, "counts of an import", answer)
        shown = await client.send("PUT", f"{DOCUMENT}/{DOCS}?onlyget=true", keys)
        for item, read in zip(items, shown.json(), strict=False):
            if client.check(plain(read) == plain(item), "what was imported", shown):
                client.docs.put(item["_key"], plain(item), read["_rev"])
