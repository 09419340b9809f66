"""What holds documents, keys or names can be read by its owner alone, whatever the umask."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backfill.archive import storage
from proxy.base.private_files import make_private, open_private, write_private
from proxy.control.instance.local_state import StateFiles
from proxy.devserver.store import snapshot
from proxy.devserver.store.state.server import ServerState
from proxy.journal.journal import Journal
from proxy.model.stages import Snapshot


@pytest.fixture(autouse=True)
def _widest_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def _journal(folder: Path) -> None:
    journal = Journal(folder / "journal")
    journal.open()
    journal.close()


def _archive(folder: Path) -> None:
    with storage.locked(folder / "archive"):
        storage.write_atomically(folder / "archive" / "manifest.json", b"{}")


WRITERS: dict[str, Callable[[Path], None]] = {
    "journal": _journal,
    "control": lambda folder: StateFiles(folder).keep(Snapshot()),
    "archive": _archive,
    "bundle": lambda folder: write_private(folder / "bundle.json", b"{}"),
    "development server": lambda folder: snapshot.save(ServerState(), folder),
}


@pytest.mark.parametrize("name", WRITERS)
def test_no_file_can_be_read_by_others_on_a_volume_that_they_may_read(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_a_folder_of_another_user_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    tmp_path.chmod(0o777)
    monkeypatch.setattr(Path, "chmod", refused)
    make_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o777


def test_an_existing_file_keeps_the_rights_that_it_was_given(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(0o640)
    with open_private(file, "ab") as opened:
        opened.write(b"x")
    assert file.stat().st_mode & 0o777 == 0o640
