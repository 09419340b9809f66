"""Read documents one after the other, without a pause, and check each against what was loaded."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any, cast

from arango.client import ArangoClient
from arango.exceptions import ArangoError

from deploy.demo.expected_state import plain
from deploy.demo.traffic_stats import TrafficTally

Document = dict[str, Any]
PHASE = "all documents"


def read_all(
    url: str,
    collections: Mapping[tuple[str, str], Sequence[Document]],
    *,
    reads: int,
    threads: int = 3,
    password: str = "",
) -> TrafficTally:
    """Read each collection `reads` times; collections: (database, name) -> documents that are not written meanwhile."""
    tally = TrafficTally()
    with futures.ThreadPoolExecutor(threads, thread_name_prefix="read_all") as pool:
        parts = [
            pool.submit(_read, url, place, documents[number::threads], reads // threads + 1, password)
            for place, documents in collections.items()
            for number in range(threads)
        ]
        for part in parts:
            tally.add(part.result())
    return tally


def _read(url: str, place: tuple[str, str], documents: Sequence[Document], reads: int, password: str) -> TrafficTally:
    database, name = place
    client = ArangoClient(hosts=url)
    collection = client.db(database, username="root", password=password).collection(name)
    tally, seconds = TrafficTally(), []
    for document in itertools.islice(itertools.cycle(documents), reads):
        tally.requests += 1
        began = time.perf_counter()
        try:
            found = cast(Document | None, collection.get(document["_key"]))
        except (ArangoError, OSError) as error:
            tally.failed.append(f"{PHASE}: {type(error).__name__}: {error}")
            continue
        seconds.append(time.perf_counter() - began)
        if found is None or plain(found) != document:
            tally.wrong.append(f"{PHASE}: {database}/{name}/{document['_key']}: not what was loaded")
    tally.seconds[PHASE] = seconds
    client.close()
    return tally
