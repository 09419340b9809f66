"""Requests that are expensive for a server: regular expressions, loops, deep and large bodies, large results.

`burn` sends them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

_CURSOR: Final = "/_db/_system/_api/cursor"
_DOCUMENTS: Final = "/_db/_system/_api/document/burn"
MiB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Burning:
    """One expensive request. body: created when it is sent."""

    name: str
    method: str
    path: str
    body: Callable[[], bytes]


def _query(text: str, binds: dict[str, Any] | None = None, **options: Any) -> Callable[[], bytes]:
    return lambda: json.dumps({"query": f"{text} /* burns */", "bindVars": binds or {}, **options}).encode()


def _deep(levels: int) -> str:
    return "[" * levels + "]" * levels


REQUESTS: Final = (
    Burning(
        "regular expression that backtracks",
        "POST",
        _CURSOR,
        _query('FOR p IN burn FILTER REGEX_TEST(CONCAT(p.v, REPEAT("a", 40), "!"), "^pub-.(a+)+$") RETURN p'),
    ),
    Burning(
        "the same in RETURN",
        "POST",
        _CURSOR,
        _query('FOR p IN burn RETURN REGEX_TEST(CONCAT(p.v, REPEAT("a", 40), "!"), "^pub-.(a+)+$")'),
    ),
    Burning(
        "nested loops",
        "POST",
        _CURSOR,
        _query("FOR p IN burn LET a = (FOR i IN 1..3000 FOR j IN 1..3000 FILTER i * j == p.n RETURN 1) RETURN a"),
    ),
    Burning(
        "IN of 150,000 values",
        "POST",
        _CURSOR,
        _query("FOR p IN burn FILTER p.v IN @x RETURN p", {"x": [f"pub-{n:08}" for n in range(150_000)]}),
    ),
    Burning(
        "query of 1 MiB of text",
        "POST",
        _CURSOR,
        _query("FOR p IN burn FILTER " + " OR ".join(f"p.n == {n}" for n in range(75_000)) + " RETURN p"),
    ),
    Burning(
        "query of 24 KiB of text",
        "POST",
        _CURSOR,
        _query("FOR p IN burn FILTER " + " OR ".join(f"p.n == {n}" for n in range(1_700)) + " RETURN p"),
    ),
    Burning("nesting of 100,000 levels", "POST", _DOCUMENTS, f'{{"a":{_deep(100_000)}}}'.encode),
    Burning("query nested 5,000 levels", "POST", _CURSOR, _query(f"RETURN {_deep(5_000)}")),
    Burning(
        "large result",
        "POST",
        _CURSOR,
        _query("FOR p IN burn FOR i IN 1..20000 RETURN MERGE(p, {i})", batchSize=1_000_000),
    ),
    Burning("every document of 20 MiB of them", "POST", _CURSOR, _query("FOR p IN large RETURN p", batchSize=10_000)),
    Burning("document of 20 MiB", "POST", _DOCUMENTS, lambda: json.dumps({"text": "x" * (20 * MiB)}).encode()),
    Burning("document of 8 MiB of numbers", "POST", _DOCUMENTS, lambda: json.dumps({"n": [*range(1 << 20)]}).encode()),
    Burning(
        "document of 4 MiB of escapes",
        "POST",
        _DOCUMENTS,
        lambda: json.dumps({"text": ["caf\u00e9 \u0000 \ufb01"] * 150_000}).encode(),
    ),
    Burning(
        "query that writes 40,000 documents",
        "POST",
        _CURSOR,
        _query(
            "FOR d IN @documents INSERT d INTO burn RETURN NEW.n",
            {"documents": [{"n": number, "text": "x" * 100} for number in range(40_000)]},
            batchSize=40_000,
        ),
    ),
    Burning(
        "array of 50,000 documents",
        "POST",
        _DOCUMENTS,
        lambda: json.dumps([{"n": number, "text": "x" * 100} for number in range(50_000)]).encode(),
    ),
    Burning(
        "import of 60 MiB",
        "POST",
        "/_db/_system/_api/import?collection=burn&type=list",
        lambda: json.dumps([{"n": number, "text": "x" * 600} for number in range(100_000)]).encode(),
    ),
    Burning(
        "read of 20,000 documents by key",
        "PUT",
        f"{_DOCUMENTS}?onlyget=true",
        lambda: json.dumps([f"none-{number}" for number in range(20_000)]).encode(),
    ),
)
