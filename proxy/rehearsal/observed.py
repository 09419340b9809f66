"""A write that ArangoDB has answered, and what the answer says of each document. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from proxy.model.endpoint import Verb
from proxy.model.json_trim import elements
from proxy.model.message import Headers
from proxy.model.operations import Operation
from proxy.routing.query_shapes import Shape
from proxy.semantics.request_params import flag

_CONFLICTING: Final = re.compile(r"in index (\S+) of type .*conflicting key: ([^\s\"\\]+)")
_PRIMARY: Final = "primary"
UNIQUE: Final = 1210
CONFLICT: Final = 1200
NOT_FOUND: Final = 1202


class AnsweredDocument(msgspec.Struct, frozen=True, gc=False):
    """What ArangoDB's answer says of one document. number: of the error that refused it; 0 for none."""

    identity: str = msgspec.field(name="_id", default="")
    key: str = msgspec.field(name="_key", default="")
    rev: str = msgspec.field(name="_rev", default="")
    old_rev: str = msgspec.field(name="_oldRev", default="")
    error: bool = False
    number: int = msgspec.field(name="errorNum", default=0)
    message: str = msgspec.field(name="errorMessage", default="")
    old: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    new: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)

    @property
    def refused(self) -> bool:
        return self.error or self.number > 0

    @property
    def holder(self) -> str:
        """The key of the document that has a value of a unique index, if that refused this one; else empty."""
        found = _CONFLICTING.search(self.message) if self.number == UNIQUE else None
        return found[2] if found is not None and found[1] != _PRIMARY else ""

    @property
    def exists(self) -> str:
        """The key that exists already, if that refused an insert; else empty."""
        found = _CONFLICTING.search(self.message) if self.number == UNIQUE else None
        return found[2] if found is not None and found[1] == _PRIMARY else ""


_ANSWERED: Final = msgspec.json.Decoder(AnsweredDocument)


@dataclass(frozen=True, slots=True)
class ObservedWrite:
    """A write of documents with ArangoDB's answer. operation: as it was sent, see `as_sent`. body: the answer's, whole.

    collection: `database/name`. floor: the newest revision that was known before it was sent. moment: likewise.
    """

    operation: Operation
    collection: str
    shape: Shape
    floor: int
    moment: int
    status: int
    headers: Headers
    body: bytes

    @property
    def size(self) -> int:
        return len(self.operation.body) + len(self.body)

    @property
    def name(self) -> str:
        """The collection's name without its database."""
        return self.collection.partition("/")[2]

    def answered(self) -> list[AnsweredDocument]:
        """Return what the answer says of each document, in the request's order. Raise ValueError if it cannot be read.

        An error that concerns the request as a whole is one document that was refused.
        """
        try:
            if self.body[:1] == b"[":
                return [_ANSWERED.decode(item) for item in elements(self.body)]
            return [_ANSWERED.decode(self.body)]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError("an answer that cannot be read") from error


def as_sent(operation: Operation) -> Operation:
    """Return a write of documents with the parameters by which it is sent if it will be rehearsed.

    The answer shows what was written, and what it replaced or removed; `silent` would hide both.
    """
    params = {name: value for name, value in operation.params.items() if name not in ("silent", "returnNew")}
    if operation.endpoint.verb is not Verb.REMOVE:
        params["returnNew"] = "true"
    params["returnOld"] = "true"
    return msgspec.structs.replace(operation, params=params)


def wants_old(operation: Operation) -> bool:
    """Return True if the client asked for the old documents itself."""
    return flag(operation.params, "returnOld") and not flag(operation.params, "silent")
