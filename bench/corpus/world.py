"""Documents and bind variables for one query, made from the result of `infer`, in several ways."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.corpus.holes import Hole, candidates, holds
from bench.corpus.infer import Inference, order
from proxy.model.documents import valid_collection, valid_key
from proxy.model.revision import encode_rev

Document = dict[str, Any]
_DEEP = 8
_ODD = 2
_SCALARS: tuple[Any, ...] = (None, True, 0, 7, 2.5, "", "other")
_REVISION = encode_rev(1_872_607_071_780_732_928)
_OTHERS: tuple[Any, ...] = (None, True, False, 0, 7, 2.5, "", "other", "Äpfel", [], ["other", 7], {}, {"other": 1})


@dataclass
class World:
    """Collections by name, each with its documents in no order; bind variables; which collections hold edges."""

    collections: dict[str, list[Document]]
    binds: dict[str, Any]
    edges: frozenset[str] = frozenset()


@dataclass
class Way:
    """One way to fill the holes.

    nulls: null where a filter allows it; empty: the share of collections without documents; spread: values drawn at
    random from those that fit; single: no copies of documents; bare: bind variables that are arrays are empty; calm:
    attributes that are other are scalars.
    """

    nulls: bool = False
    empty: float = 0.0
    spread: bool = False
    single: bool = False
    bare: bool = False
    calm: bool = False
    chance: random.Random = field(default_factory=random.Random)


def ways(number: int = 28, *, calm: bool = False) -> Iterator[Way]:
    """Return the ways to try, the plainest first."""
    for seed in range(number):
        way = Way(
            nulls=seed % 4 == 2,
            empty=0.5 if seed % 3 == 1 else 0.0,
            spread=seed > 3,
            single=seed % 7 == 5,
            bare=seed % 9 == 8,
        )
        way.calm = calm
        way.chance = random.Random(seed)
        yield way


class Filler:
    """Fills the holes of one query in one way."""

    def __init__(self, found: Inference, way: Way) -> None:
        self.found, self.way = found, way
        self.ranks = order(self._holes())
        self.values: dict[int, Any] = {}
        self.keys = 0
        self.vertices = self._vertex_collection()

    def _holes(self) -> Iterator[Hole]:
        pending = [hole for holes in self.found.documents.values() for hole in holes]
        pending += list(self.found.parameters.values())
        seen: set[int] = set()
        while pending:
            root = pending.pop().root()
            if id(root) in seen:
                continue
            seen.add(id(root))
            yield root
            pending += root.children.values()
            pending += [root.element] if root.element is not None else []
            pending += root.higher

    def _vertex_collection(self) -> str:
        found = self.found
        for name in (*found.withs, *found.documents):
            if name not in found.edge_collections:
                return name
        return "vertices"

    # --- values

    def value(self, hole: Hole, depth: int = 0) -> Any:
        """Return the value of a hole: the same for all that are equal."""
        root = hole.root()
        identity = id(root)
        if identity in self.values:
            return self.values[identity]
        if depth > _DEEP:
            return None
        self.values[identity] = None  # while it is being made: a hole may lie within itself
        value = self.made(root, depth)
        self.values[identity] = value
        return value

    def made(self, root: Hole, depth: int) -> Any:
        fixed = self.fitting(root)
        if root.prefix is not None and root.tail is not None and fixed is None and root.key_of is None:
            return f"{root.prefix}/{self.value(root.tail, depth + 1)}"
        if root.key_of is not None:
            if isinstance(fixed, str) and valid_key(fixed):
                return fixed
            self.keys += 1
            return f"k{self.keys}"
        if fixed is not None:
            return fixed[0] if isinstance(fixed, tuple) else fixed
        if "parsed" in root.kinds and root.tail is not None:
            return f"{self.vertices}/{self.value(root.tail, depth + 1)}"
        if "id" in root.kinds and not root.children:
            self.keys += 1
            return f"{self.vertices}/k{self.keys}"
        if root.children and "array" not in root.kinds:
            return {name: self.value(child, depth + 1) for name, child in root.children.items()}
        return self.kind(root, depth)

    def fitting(self, root: Hole) -> Any:
        """Return a constant that fulfils most constraints; None if there is none, (None,) if it is null."""
        tests = root.constraints
        if not tests:
            weak = [value for value in root.weak if value is not None]
            if self.way.spread and weak and not root.children and root.element is None:
                return self.way.chance.choice(weak)
            return (
                weak[0] if weak and not root.children and root.element is None and "array" not in root.kinds else None
            )
        choice = [value for operator, constant in tests for value in candidates(operator, constant)]
        if root.children or root.element is not None or "array" in root.kinds or "object" in root.kinds:
            plain = [value for value in choice if isinstance(value, list | dict) and value]
            return plain[0] if plain and not root.children else (None,) if self.way.nulls and None in choice else None
        if not choice:
            return None
        if self.way.spread:
            self.way.chance.shuffle(choice)

        def rank(value: Any) -> tuple[int, bool]:
            score = sum(holds(operator, value, constant) for operator, constant in tests)
            return score, (value is None) == self.way.nulls

        best = max(choice, key=rank)
        if best is None:
            return (None,) if self.way.nulls else None
        return best

    def kind(self, root: Hole, depth: int) -> Any:
        kinds, step = root.kinds, self.ranks.get(id(root), 0)
        if "array" in kinds or root.element is not None:
            if "empty" in kinds or ("falsy" in kinds and self.way.nulls):
                return []
            if self.way.bare and root.key_of is None and any(root is h.root() for h in self.found.parameters.values()):
                return []
            item = self.value(root.item(), depth + 1)
            return [item] * max(1, root.length)
        if "null" in kinds or ("falsy" in kinds and not kinds & {"number", "string", "object"}):
            return None if "null" in kinds or self.way.nulls else False
        if "object" in kinds:
            return {"sample": 1}
        if "small" in kinds:
            return 1 + step
        if "number" in kinds:
            return 10 + step if not self.way.spread else self.way.chance.choice([0, 1, 2, 10, 1000]) + step
        if "date" in kinds:
            return f"2024-03-{10 + min(step, 9):02}T12:00:00.000Z"
        if "bool" in kinds:
            return True
        if any(id(other.root()) in self.ranks for other in root.higher) or step:
            return 10 + step if not self.way.spread else f"2024-03-{10 + min(step, 9):02}T12:00:00.000Z"
        if "truthy" in kinds and self.way.spread and self.way.chance.random() < 0.3:
            return True
        return "text" * max(1, root.length if root.length > 4 else 1)

    # --- the world

    def world(self) -> World:
        """Fill in everything."""
        found = self.found
        collections: dict[str, dict[str, Document]] = {name: {} for name in found.documents if valid_collection(name)}
        for name in (*found.edge_collections, *found.written, *found.names.values()):
            if valid_collection(name):
                collections.setdefault(name, {})
        binds = {name: self.bind(name, hole) for name, hole in found.parameters.items()}
        self.traversals(collections)
        for name, holes in found.documents.items():
            for hole in holes:
                self.put(collections, name, self.value(hole))
        for hole in found.loose:
            document = self.value(hole)
            identity = document.get("_id") if isinstance(document, dict) else None
            if isinstance(identity, str) and identity.count("/") == 1:
                self.put(collections, identity.partition("/")[0], {**document, "_key": identity.partition("/")[2]})
        for hole in found.identities:
            identity = self.value(hole)
            if isinstance(identity, str) and identity.count("/") == 1:
                collection, _, key = identity.partition("/")
                self.put(collections, collection, {"_key": key})
        graphs = {
            graph: {
                "_key": graph,
                "edgeDefinitions": [{"collection": edges, "from": [self.vertices], "to": [self.vertices]}],
            }
            for graph, edges in found.graphs.items()
        }
        if graphs:
            collections["_graphs"] = graphs
        emptied = [n for n in sorted(collections) if n != "_graphs" and self.way.chance.random() < self.way.empty]
        edge_names = {name for name in found.edge_collections if name in collections}
        documents: dict[str, list[Document]] = {}
        for name, rows in collections.items():
            rows_made = [] if name in emptied else list(rows.values())
            if name != "_graphs" and name not in emptied:
                rows_made += self.copies(name, rows_made, edge=name in edge_names)
            documents[name] = [system(name, row) for row in rows_made]
        return World(documents, binds, frozenset(edge_names))

    def bind(self, name: str, hole: Hole) -> Any:
        if name in self.found.fixed:
            return self.found.fixed[name]
        return self.value(hole)

    def put(self, collections: dict[str, dict[str, Document]], name: str, document: Any) -> None:
        if not isinstance(document, dict) or not valid_collection(name):
            return
        key = document.get("_key")
        if not isinstance(key, str) or not valid_key(key):
            self.keys += 1
            key = f"k{self.keys}"
        row = collections.setdefault(name, {}).setdefault(key, {"_key": key})
        for attribute, value in document.items():
            if attribute not in ("_key", "_id", "_rev") and row.get(attribute) is None:
                row[attribute] = value

    def traversals(self, collections: dict[str, dict[str, Document]]) -> None:
        """Create a chain of edges from the start of each traversal, over vertices that its filters accept."""
        for edge in self.found.edges:
            start = self.value(edge.start)
            if not isinstance(start, str) or start.count("/") != 1:
                start = f"{self.vertices}/k1"
            for collection, direction in edge.collections:
                here = start
                for step in range(max(1, edge.depth)):
                    vertex = self.value(edge.vertex)
                    vertex = dict(vertex) if isinstance(vertex, dict) else {}
                    there = self.next_vertex(vertex, here, step)
                    name, _, key = there.partition("/")
                    self.put(collections, name, {**vertex, "_key": key})
                    value = self.value(edge.edge)
                    document = dict(value) if isinstance(value, dict) else {}
                    sides = (there, here) if direction == "INBOUND" else (here, there)
                    self.keys += 1
                    self.put(
                        collections,
                        collection,
                        {**document, "_from": sides[0], "_to": sides[1], "_key": f"e{self.keys}"},
                    )
                    here = there
            name, _, key = start.partition("/")
            self.put(collections, name, {"_key": key})

    def next_vertex(self, vertex: Document, here: str, step: int) -> str:
        identity, key = vertex.get("_id"), vertex.get("_key")
        if isinstance(identity, str) and identity.count("/") == 1 and identity != here and step == 0:
            return identity
        if isinstance(key, str) and valid_key(key) and step == 0:
            return f"{self.vertices}/{key}"
        self.keys += 1
        collection = identity.partition("/")[0] if isinstance(identity, str) and "/" in identity else self.vertices
        return f"{collection}/v{self.keys}"

    def copies(self, name: str, rows: list[Document], *, edge: bool) -> list[Document]:
        """Add copies, and documents whose attributes differ or are missing."""
        if self.way.single:
            return []
        value: list[Document] = []
        chance = self.way.chance
        for number, row in enumerate(rows[:6]):
            same = 1 + self.found.rows
            for copy in range(same + _ODD):
                other = {**row, "_key": f"x{number}-{copy}"}
                if copy >= same:
                    for attribute in [a for a in other if a not in ("_key", "_id", "_rev", "_from", "_to")]:
                        drawn = chance.random()
                        if drawn < 0.2:
                            del other[attribute]
                        elif drawn < 0.5:
                            other[attribute] = chance.choice(_SCALARS if self.way.calm else _OTHERS)
                value.append(other)
        taken = {row["_key"] for row in rows}
        return [row for row in value if row["_key"] not in taken and (not edge or "_from" in row)]


def system(collection: str, row: Document) -> Document:
    """Return the document as a collection stores it."""
    key = row["_key"]
    rest = {name: value for name, value in row.items() if name not in ("_key", "_id", "_rev")}
    return {"_key": key, "_id": f"{collection}/{key}", "_rev": _REVISION, **rest}
