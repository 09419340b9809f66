"""What an instance keeps in its state directory."""

from __future__ import annotations

from pathlib import Path

from proxy.control.instance.local_state import StateFiles
from proxy.model.stages import CollectionState, Phase, Snapshot, Stage


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
