"""An answer of ArangoDB to a write, parsed: the versions that were written. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from proxy.model.json_trim import members
from proxy.model.message import Headers
from proxy.model.operations import Change
from proxy.model.revision import INVALID, decode_rev


class ParsedAnswer(msgspec.Struct, frozen=True, gc=False):
    """The content of an answer to a write.

    body, headers: for the client. changes: versions that were written or removed. written_keys: every key that the
    answer names as written. complete: the changes are all that was written; else the keys must be reread.
    late: the request may still run in ArangoDB (5xx): the keys are reread after the time limit.
    refusals: of an array, (position, error) of each element that was refused.
    """

    body: bytes
    headers: Headers
    changes: tuple[Change, ...] = ()
    written_keys: tuple[str, ...] = ()
    complete: bool = True
    late: bool = False
    refusals: tuple[tuple[int, bytes], ...] = ()


class KeyAndRevision(msgspec.Struct, gc=False):
    """Key and revision of a document, as printed; empty if it has none."""

    key: str = msgspec.field(name="_key", default="")
    rev: str = msgspec.field(name="_rev", default="")


_VERSION: Final = msgspec.json.Decoder(KeyAndRevision)


def version_of(raw: bytes) -> KeyAndRevision:
    """Return the version of a document as ArangoDB printed it, lone surrogates included."""
    try:
        return _VERSION.decode(raw)
    except msgspec.DecodeError:
        found = {member.name: raw[member.value : member.end] for member in members(raw)}
        kept = {name: msgspec.Raw(found[name]) for name in ("_key", "_rev") if name in found}
        return _VERSION.decode(msgspec.json.encode(kept))


def revision_of(raw: bytes) -> int:
    """Return the revision of a document as ArangoDB printed it. Raise ValueError if it has none."""
    rev = decode_rev(version_of(raw).rev)
    if rev == INVALID:
        raise ValueError("a document without a revision")
    return rev
