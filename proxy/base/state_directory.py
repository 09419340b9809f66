"""The state directory: private to its user, and the lasting id of the instance that it belongs to.

It holds names of collections and keys of documents (journal, snapshot): it is made for its owner alone, and rights of
others are removed.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
import uuid
from pathlib import Path
from typing import Final

import structlog

from proxy.base.errors import ConfigurationError
from proxy.base.private_files import make_private

log = structlog.get_logger(__name__)

_ID: Final = re.compile(r"\S{1,300}")


def prepare(folder: Path) -> str:
    """Make the state directory and return this instance's lasting id. Raise ConfigurationError.

    The id stays with the directory, as the journal does: a restart is the same instance, and continues its journal.
    """
    try:
        make_private(folder)
        found = _read(folder / "instance")
        if found is not None:
            return found
        return _write(folder / "instance")
    except OSError as error:
        raise ConfigurationError(
            f"the state directory {folder} cannot be written ({error.strerror}): set CROSSFADE_STATE_DIR"
        ) from error


def spool(folder: Path) -> Path:
    """Make the folder for bodies on their way, and try it: in a container it may be the only writable one.

    Files in it have no name as soon as they are open, so that nothing of them outlives the process. A process that
    ended between the two, on a file system that needs both, has left a name: it is removed. Raise ConfigurationError.
    """
    made = folder / "spool"
    try:
        make_private(made)
        for left in filter(Path.is_file, made.iterdir()):
            left.unlink(missing_ok=True)
        with tempfile.TemporaryFile(dir=made) as file:
            file.write(b"\0")
    except OSError as error:
        raise ConfigurationError(
            f"request bodies cannot be kept in {made} ({error.strerror}): set CROSSFADE_STATE_DIR to a folder that "
            "the proxy may write, on a disk with room for the largest of them"
        ) from error
    return made


def _read(file: Path) -> str | None:
    """Return the id in the file; None if there is none, or the content is not an id."""
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return None
    found = text.decode("utf-8", "replace").strip()
    if _ID.fullmatch(found):
        return found
    # a machine that went down can leave the file empty. An instance called "" would share its row with others
    log.warning("instance_id_unreadable", file=str(file), bytes=len(text))
    return None


def _write(file: Path) -> str:
    """Write a new id, durably: the name must outlive the machine, as the journal that belongs to it does."""
    host = re.sub(r"\s", "-", socket.gethostname())[:255]
    name = f"{host}-{uuid.uuid4().hex[:8]}"
    temporary = file.with_suffix(".new")
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, f"{name}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return name
