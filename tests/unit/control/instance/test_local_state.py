"""What an instance keeps in its state directory."""

from __future__ import annotations

from pathlib import Path

from proxy.control.instance.local_state import StateFiles
from proxy.model.stages import CollectionState, Phase, Snapshot, Stage, Transition


def test_the_files(tmp_path: Path) -> None:
    files = StateFiles(tmp_path / "deep" / "state")
    assert (files.alone, files.origin_only, files.kept()) == (False, False, None)
    files.record_origin_only_ack()
    files.record_origin_only_ack()
    assert StateFiles(tmp_path / "deep" / "state").alone
    files.clear_alone()
    files.clear_alone()
    assert not files.alone
    snapshot = Snapshot(4, 2, Phase.BEGIN, {"a/b": CollectionState(Stage.MIRROR)})
    files.keep(snapshot)
    assert files.kept() == snapshot
    (tmp_path / "deep" / "state" / "control.json").write_text('{"generation": 4}')
    assert files.kept() is None  # half a file says nothing
    files.forget()
    assert files.kept() is None
    (tmp_path / "deep" / "state" / "origin-only").touch()
    assert files.origin_only


FLIPPED, PROMOTED = CollectionState(Stage.FLIPPED, 100), CollectionState(Stage.PROMOTED, 100)
HOLD = Snapshot(4, 2, Phase.HOLD, {"a/b": FLIPPED}, {}, {"a/b": Transition("a/b", FLIPPED, PROMOTED)})


def test_a_snapshot_counts_once_its_file_is_written(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    assert not files.has(HOLD)
    (tmp_path / "control.new").mkdir()  # the disk does not take it
    files.keep(HOLD)
    assert (files.has(HOLD), files.kept()) == (False, None)
    (tmp_path / "control.new").rmdir()
    files.beat()
    assert (files.has(HOLD), files.kept()) == (True, HOLD)
    assert not files.has(Snapshot(5, 2))


def test_a_clean_stop_leaves_a_note_of_promoted_collections(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    files.keep(Snapshot(3, 1, collections={"a/b": FLIPPED}))
    assert not files.promoted
    files.keep(HOLD)
    assert files.promoted
    files.keep(Snapshot(5, 2, collections={"a/b": PROMOTED}))
    files.forget()
    assert StateFiles(tmp_path).promoted
    files.keep(Snapshot(7, 3, collections={"a/b": FLIPPED}))
    assert not files.promoted
