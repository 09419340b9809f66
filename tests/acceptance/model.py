"""The expected documents of one client as plain values, changed by the rules that clients rely on.

Written from ArangoDB's documentation, without product code: a fault that both shared would not show.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
SYSTEM = ("_key", "_id", "_rev")


def plain(document: Document) -> Document:
    """Return the document without ArangoDB's system attributes."""
    return {name: value for name, value in document.items() if name not in SYSTEM}


def merged(old: Document, new: Document, *, keep_null: bool, merge_objects: bool) -> Document:
    """Apply a PATCH of attributes that exist, or whose values contain no nested null (see `keepNull`)."""
    result = copy.deepcopy(old)
    for name, value in new.items():
        if value is None and not keep_null:
            result.pop(name, None)
        elif merge_objects and isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value, keep_null=keep_null, merge_objects=True)
        else:
            result[name] = copy.deepcopy(value)
    return result


@dataclass
class Shelf:
    """The documents of one collection that one client owns. content: without system attributes; revs: as answered."""

    content: dict[str, Document] = field(default_factory=dict)
    revs: dict[str, str] = field(default_factory=dict)

    def put(self, key: str, content: Document, rev: str) -> None:
        self.content[key] = copy.deepcopy(content)
        self.revs[key] = rev

    def drop(self, key: str) -> None:
        self.content.pop(key, None)
        self.revs.pop(key, None)

    def copy(self) -> Shelf:
        return Shelf(copy.deepcopy(self.content), dict(self.revs))

    def shows(self, document: Document) -> bool:
        """Return True if a document that was read is the expected one."""
        key = document["_key"]
        return plain(document) == self.content.get(key) and document["_rev"] == self.revs.get(key)
