"""The state directory is private, and its instance id lasts."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.base import state_directory
from proxy.base.errors import ConfigurationError


def test_it_is_made_for_its_owner_alone_and_keeps_its_id(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "crossfade"
    first = state_directory.prepare(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "instance").stat().st_mode & 0o777 == 0o600
    assert state_directory.prepare(folder) == first


@pytest.mark.parametrize(("before", "after"), [(0o755, 0o750), (0o750, 0o750), (0o770, 0o770), (0o777, 0o770)])
def test_one_that_exists_loses_the_rights_of_others_and_keeps_those_of_a_group(
    tmp_path: Path, before: int, after: int
) -> None:
    tmp_path.chmod(before)
    state_directory.prepare(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == after


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe \x00", b"two words\n"])
def test_an_id_that_cannot_be_read_is_never_registered(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "instance").write_bytes(content)
    made = state_directory.prepare(tmp_path)
    assert made
    assert made.encode() != content.strip()
    assert state_directory.prepare(tmp_path) == made


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="CROSSFADE_STATE_DIR"):
        state_directory.prepare(tmp_path / "file")


def test_a_body_that_a_process_left_is_removed(tmp_path: Path) -> None:
    made = state_directory.spool(tmp_path)
    (made / "tmp123").write_bytes(b"left")
    assert list(state_directory.spool(tmp_path).iterdir()) == []
