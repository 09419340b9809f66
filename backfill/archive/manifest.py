"""The manifest of an archive: collections, their parts, counts and checksums, and their origin; as values and as JSON.

The manifest includes a checksum of itself, so that damage to it can be distinguished from damage to a part.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from backfill import checksum as digest
from backfill.archive.storage import ArchiveError, write_atomically

FORMAT: Final = "crossfade-archive"
VERSION: Final = 1
NAME: Final = "manifest.json"
Kind = Literal["arangodb", "postgresql"]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file of documents. bytes: of the documents, without line ends; compressed: of the file.

    sha256: of the compressed file; sums_sha256: of its file of checksums; digest: checksum of the set of documents;
    first, last: keys.
    """

    file: str
    documents: int
    bytes: int
    compressed: int
    sha256: str
    sums: str
    sums_sha256: str
    digest: str
    first: str
    last: str


class CollectionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One collection. state `open`: the export was interrupted and can continue. Times: ISO 8601, UTC.

    properties, indexes: as ArangoDB reported them; empty if exported from PostgreSQL. respaced: number of documents
    whose line ends between tokens were replaced by blanks, since each document is one line in a part.
    """

    collection: str
    edge: bool
    state: Literal["open", "done"] = "open"
    started_at: str
    finished_at: str | None = None
    respaced: int = 0
    properties: Mapping[str, Any] = {}
    indexes: tuple[Mapping[str, Any], ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def documents(self) -> int:
        return sum(part.documents for part in self.parts)

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.parts)

    @property
    def compressed(self) -> int:
        return sum(part.compressed for part in self.parts)

    @property
    def digest(self) -> str:
        """The checksum of the set of its documents."""
        return digest.add(part.digest for part in self.parts)

    @property
    def position(self) -> str:
        """The last key in a finished part; "" if there is none."""
        return self.parts[-1].last if self.parts else ""


class ArchiveOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """The database that the documents were read from. at: host, port and database, never an account."""

    kind: Kind
    at: str
    version: str


class ArchiveManifest(msgspec.Struct, frozen=True, kw_only=True):
    """An archive. created_at: ISO 8601, UTC."""

    id: str
    created_at: str
    crossfade: str
    source: ArchiveOrigin
    collections: tuple[CollectionEntry, ...] = ()

    def entry(self, collection: str) -> CollectionEntry | None:
        return next((entry for entry in self.collections if entry.collection == collection), None)

    def with_entry(self, entry: CollectionEntry) -> ArchiveManifest:
        """Return the manifest with this entry added, or replacing the entry of the same collection."""
        others = [entry if one.collection == entry.collection else one for one in self.collections]
        if all(one.collection != entry.collection for one in self.collections):
            others.append(entry)
        return msgspec.structs.replace(self, collections=tuple(others))


def new(source: ArchiveOrigin, crossfade: str, at: str) -> ArchiveManifest:
    """Return a manifest without collections."""
    return ArchiveManifest(id=str(uuid.uuid4()), created_at=at, crossfade=crossfade, source=source)


def as_json(manifest: ArchiveManifest) -> dict[str, Any]:
    """Return the manifest as written to the file, which includes the totals of each collection."""
    entries = []
    for entry in manifest.collections:
        values = msgspec.to_builtins(entry)
        parts = values.pop("parts")
        totals = {
            "documents": entry.documents,
            "bytes": entry.bytes,
            "compressed": entry.compressed,
            "digest": entry.digest,
        }
        entries.append({**values, **totals, "parts": parts})
    found: dict[str, Any] = {"format": FORMAT, "version": VERSION, **msgspec.to_builtins(manifest)}
    found["collections"] = entries
    found["checksum"] = _checksum(found)
    return found


def write(root: Path, manifest: ArchiveManifest) -> None:
    """Replace the present manifest atomically. Raise ArchiveError."""
    text = msgspec.json.format(msgspec.json.encode(as_json(manifest)), indent=1)
    try:
        write_atomically(root / NAME, text + b"\n")
    except OSError as error:
        raise ArchiveError(f"{root / NAME} cannot be written: {error.strerror}") from error


def exists(root: Path) -> bool:
    return (root / NAME).exists()


def read(root: Path) -> ArchiveManifest:
    """Read the manifest of an archive. Raise ArchiveError if it is missing, damaged or of another version."""
    path = root / NAME
    try:
        found = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ArchiveError(f"{root} is not an archive: {path} cannot be read ({error.strerror})") from error
    except msgspec.MsgspecError as error:
        raise ArchiveError(f"{path} is damaged: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ArchiveError(f"{path} is not the manifest of an archive")
    if found.get("version") != VERSION:
        raise ArchiveError(f"{path} is of version {found.get('version')}, but this Crossfade reads version {VERSION}")
    recorded = found.pop("checksum", None)
    if recorded != _checksum(found):
        raise ArchiveError(f"{path} is damaged: its checksum does not match its content")
    try:
        manifest = msgspec.convert(found, ArchiveManifest)
    except msgspec.ValidationError as error:
        raise ArchiveError(f"{path} is damaged: {error}") from error
    for entry, values in zip(manifest.collections, found["collections"], strict=True):
        if (entry.documents, entry.bytes, entry.digest) != (values["documents"], values["bytes"], values["digest"]):
            raise ArchiveError(f"{path} is damaged: the totals of {entry.collection} do not match its parts")
    return manifest


def _checksum(values: Mapping[str, Any]) -> str:
    canonical = msgspec.json.encode({name: values[name] for name in values if name != "checksum"}, order="sorted")
    return hashlib.sha256(canonical).hexdigest()
