"""One client of the soak: what it wrote, what it may expect, and how an answer is checked.

A difference is a sentence in `wrong`; only its time limit ends a client.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx

from tests.acceptance.model import Document, Shelf

DOCS, VERTICES, EDGES, SHARED, GRAPH = "docs", "people", "knows", "shared", "circle"
SHARED_KEYS = tuple(f"s{number}" for number in range(4))
DOCUMENT = "/_api/document"

Move = Callable[["Client"], Awaitable[None]]


class Client:
    """Number `number` of several. moves: (weight, move). `added` counts what it added to each shared document."""

    def __init__(self, http: httpx.AsyncClient, number: int, seed: int, moves: Sequence[tuple[int, Move]]) -> None:
        self.http = http
        self.name = f"c{number}"
        self.random = random.Random(f"{seed}/{number}")
        self.docs, self.people, self.knows = Shelf(), Shelf(), Shelf()
        self.added: Counter[str] = Counter()
        self.last_seen: dict[str, int] = {}
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._keys = 0
        self._moves = moves

    async def step(self) -> None:
        """Do one operation, and check all its answers."""
        moves = self._moves
        move = self.random.choices([one for _, one in moves], [weight for weight, _ in moves])[0]
        await move(self)
        self.done[move.__name__] += 1

    async def send(self, method: str, target: str, body: Any = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.request(method, target, json=body, headers=named)

    def check(self, good: bool, what: str, answer: httpx.Response) -> bool:
        if not good:
            request = answer.request
            body = request.content.decode("utf-8", "replace")[:300]
            self.wrong.append(
                f"{self.name} {what}: {request.method} {request.url.raw_path.decode()} {body} -> "
                f"{answer.status_code} {answer.text[:400]}"
            )
        return good

    def new_key(self) -> str:
        self._keys += 1
        return f"{self.name}_{self._keys}"

    def content(self) -> Document:
        """Return numbers of every form, text of every plane, nulls, nesting."""
        pick = self.random
        return {
            "owner": self.name,
            "n": pick.choice([0, 1, -1, pick.randrange(1000), 2**53, 1.5, -0.25]),
            "text": pick.choice(["", "plain", "ünïcödé 🦉", 'quoted "\\" \n', "nul\x00inside"]),
            "nothing": None,
            "in": {"a": pick.randrange(5), "list": [1, {"x": None}, []]},
        }

    def some(self, shelf: Shelf) -> str | None:
        return self.random.choice(sorted(shelf.content)) if shelf.content else None
