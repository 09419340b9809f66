"""Load the history directly into ArangoDB, before there is a proxy: by python-arango, in arrays of documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from arango.client import ArangoClient
from arango.collection import StandardCollection
from arango.database import StandardDatabase

from deploy.demo import fake_data, records
from proxy.base.errors import ConfigurationError

Document = dict[str, Any]

_AT_ONCE = 500


def make_database(url: str, name: str, password: str = "") -> StandardDatabase:
    """Create a database. Raise ConfigurationError if there is one of that name: the demo overwrites nothing."""
    client = ArangoClient(hosts=url)
    system = client.db("_system", username="root", password=password)
    if system.has_database(name):
        raise ConfigurationError(
            f"{url.rpartition('@')[2]} has a database {name} already: the demo wants to make it, and overwrites nothing"
        )
    system.create_database(name)
    return client.db(name, username="root", password=password)


def load(database: StandardDatabase, collection: str, documents: Sequence[Document]) -> list[Document]:
    """Create the collection and insert the documents; return them with their keys."""
    into = cast(StandardCollection, database.create_collection(collection))
    stored: list[Document] = []
    for start in range(0, len(documents), _AT_ONCE):
        part = documents[start : start + _AT_ONCE]
        for document, answer in zip(part, cast(Iterable[Any], into.insert_many(list(part))), strict=True):
            if isinstance(answer, Exception):
                raise answer
            stored.append({**document, "_key": answer["_key"]})
    return stored


def load_all(
    url: str,
    history: fake_data.History,
    *,
    share: float = 1.0,
    password: str = "",
    note: Callable[[str, int], None] = lambda *_: None,
) -> dict[tuple[str, str], list[Document]]:
    """Load both databases; return documents by (database, collection). `note` is called for each loaded collection.

    share: part of the real records that is loaded.
    """
    loaded: dict[tuple[str, str], list[Document]] = {}
    reference = make_database(url, records.DATABASE, password)
    service = make_database(url, fake_data.DATABASE, password)
    for name, real in records.collections():
        loaded[records.DATABASE, name] = load(reference, name, real[: int(len(real) * share)])
        note(f"{records.DATABASE}/{name}", len(loaded[records.DATABASE, name]))
    for name, made in history.collections().items():
        loaded[fake_data.DATABASE, name] = load(service, name, made)
        note(f"{fake_data.DATABASE}/{name}", len(made))
    return loaded
