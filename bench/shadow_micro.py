"""The cost of comparing two documents, beside parsing and DeepDiff: `python -m bench.shadow_micro`."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson

from proxy.shadow.diff.documents import compare_documents
from proxy.shadow.explain import describe


def document(size: int) -> dict[str, object]:
    """Return a résumé-like document of about that many bytes."""
    jobs = [
        {"company": f"Company {n}", "position": "engineer", "is_current": n == 0, "skills": ["SQL", "Python"], "n": n}
        for n in range(size // 100)
    ]
    return {"_key": "k", "_id": "c/k", "_rev": "_l6zhVTW--A", "user_id": "u1", "work": jobs, "gpa": 3.5, "end": None}


def microseconds(work: Callable[[], object], seconds: float = 0.3) -> float:
    """Return the median of short samples."""
    samples = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        for _ in range(20):
            work()
        samples.append((time.perf_counter() - started) / 20 * 1e6)
    return sorted(samples)[len(samples) // 2]


def measure(size: int) -> None:
    """Print one table."""
    plain = document(size)
    origin = orjson.dumps(plain)
    reordered = orjson.dumps(dict(reversed(plain.items())))
    changed = orjson.dumps(plain | {"gpa": 3.6})
    both = microseconds(lambda: (orjson.loads(origin), orjson.loads(reordered)))
    rows = {
        "the same bytes": microseconds(lambda: compare_documents(origin, origin)),
        "equal, other order of attributes": microseconds(lambda: compare_documents(origin, reordered)),
        "one value differs": microseconds(lambda: compare_documents(origin, changed)),
        "explained by DeepDiff": microseconds(lambda: describe(origin, changed, values=True), 1.0),
    }
    print(f"{len(origin)} bytes; parsing both takes {both:.1f} µs")
    for name, value in rows.items():
        print(f"  {name:36} {value:10.1f} µs  {value / both:8.2f} × parsing both")


if __name__ == "__main__":
    measure(2_000)
    measure(20_000)
