"""Snapshots survive the state directory and the control tables' forms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.model.stages import Move, Phase, Snapshot, Stage, Standing
from proxy.state.codec import decode, encode

standings = st.builds(Standing, st.sampled_from(Stage), st.integers(0, 100))
names = st.text(min_size=1, max_size=8)


@given(
    st.builds(
        Snapshot,
        generation=st.integers(0, 1 << 40),
        epoch=st.integers(0, 1 << 40),
        phase=st.sampled_from(Phase),
        collections=st.dictionaries(names, standings, max_size=4),
        defaults=st.dictionaries(names, st.sampled_from(Stage), max_size=3),
        moves=st.lists(st.builds(Move, names, standings, standings), max_size=3).map(
            lambda found: {move.collection: move for move in found}
        ),
    )
)
def test_a_snapshot_survives_encoding_and_decoding(snapshot: Snapshot) -> None:
    assert decode(encode(snapshot)) == snapshot
