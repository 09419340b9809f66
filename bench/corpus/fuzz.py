"""`python -m bench.corpus.fuzz [FILE]`: queries of a corpus, mutated; each must end in a result or in ArangoDB's error.

Every mutant is parsed, printed and parsed again, analysed, compiled, and evaluated over a small world in a second.
A crash, or a mutant that takes much longer, is printed with its seed; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.corpus.__main__ import DEFAULT, lines
from bench.corpus.evaluated import evaluate_in
from bench.corpus.infer import Inference
from bench.corpus.world import Filler, Way
from proxy.aql import Query, QueryOptions, analyse, ast, parse, print_query
from proxy.aql.compile import CompiledTable, CompiledTables, compile_query
from proxy.base.errors import ArangoError

_OPTIONS = QueryOptions(memory_limit=32 << 20, max_runtime=1.0)
_TIME_LIMIT = 8.0  # seconds that one mutant may take on a busy machine; its evaluation has one
_PIECES = [
    "(", ")", "[", "]", "{", "}", ",", "..", ".", "?", ":", "*", "**", "@", "@@", "'", '"', "`", "\\", "/*", "//", "==",
    "NOT ", " IN ", " LIKE ", "FOR ", " RETURN ", "FILTER ", "COLLECT ", " INTO ", "LIMIT ", "1e999", "0x", "-", "null",
    "RANGE(1, 1e9)", "REPEAT('x', 1e9)", "9999999999999999999", "\u00e9", "\ud83d\ude00", "\x00", "\ufdd0", "OLD",
    "NEW", "CURRENT", "true", " ANY ", " GRAPH ", "OUTBOUND ", " 1..99 ",
]  # fmt: skip


def mutant(rng: random.Random, texts: Sequence[str]) -> str:
    """Return one text that is cut, doubled, joined with another, or has something inserted."""
    text = rng.choice(texts)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at, to = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
        to = min(to, at + rng.choice([0, 1, 1, 2, 5, 40]))
        kind = rng.randint(0, 5)
        if kind == 0:
            text = text[:at] + text[to:]
        elif kind == 1:
            text = text[:to] + text[at:]
        elif kind == 2:
            other = rng.choice(texts)
            text = text[:at] + other[rng.randint(0, len(other)) :][:200] + text[to:]
        elif kind == 3:
            text = text[:at] + text[at:to] * rng.choice([2, 50]) + text[to:]
        else:
            text = text[:at] + rng.choice(_PIECES) + text[to if kind == 4 else at :]
    return text


def try_mutant(text: str, rng: random.Random) -> str:
    """Return how far a text got: "refused", "evaluated" or, if only its run failed, "failed". Raise on a defect."""
    try:
        query = parse(text)
        if parse(print_query(query)) != query:
            raise AssertionError("printed otherwise than it was parsed")
        names = sorted({_bind(node) for node in ast.walk(query) if isinstance(node, ast.Parameter)})
        binds = dict.fromkeys(names, "x")
        found = analyse(query, binds)
    except ArangoError:
        return "refused"
    tables = CompiledTables(
        {name: CompiledTable(f"t.c{number}", edge=number % 2 == 0) for number, name in enumerate(found.reads)}
    )
    try:
        compile_query(query, binds, tables)
        return _evaluated(query, names, rng)
    except ArangoError:
        return "failed"


def _bind(node: ast.Parameter) -> str:
    return f"@{node.name}" if node.source and not node.name.startswith("@") else node.name


def _evaluated(query: Query, names: list[str], rng: random.Random) -> str:
    world = Filler(Inference(query, names), Way(chance=rng)).world()
    evaluate_in(query, world, _OPTIONS)
    return "evaluated"


def failing_mutants(texts: Sequence[str], number: int, seed: int, counts: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Return the mutants that crash or take too long, and how. counts: of the others, by how far they got."""
    rng = random.Random(seed)
    for _ in range(number):
        text = mutant(rng, texts)
        started = time.monotonic()
        try:
            outcome = try_mutant(text, rng)
        except Exception as error:  # noqa: BLE001 - any exception is a finding
            yield text, f"{type(error).__name__}: {error}"
            continue
        if time.monotonic() - started > _TIME_LIMIT:
            yield text, f"took {time.monotonic() - started:.1f} s"
            continue
        counts[outcome] = counts.get(outcome, 0) + 1


def main(path: Path, number: int, seed: int) -> int:
    """Run that many mutants; print what went wrong, and how far the others got."""
    texts: list[str] = [record["query"] for record in lines(path)]
    counts: dict[str, int] = {}
    found: list[Any] = list(failing_mutants(texts, number, seed, counts))
    for text, reason in found:
        print(f"{reason}\n    {text!r}")
    summary = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    print(f"{number} mutants of {len(texts)} queries (seed {seed}): {summary}; wrong {len(found)}")
    return 1 if found else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--number", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sys.exit(main(given.corpus, given.number, given.seed))
