"""Snapshots survive the state directory and the control tables' forms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.model.stages import CollectionState, Phase, Snapshot, Stage, Transition
from proxy.state.codec import decode, encode

states = st.builds(CollectionState, st.sampled_from(Stage), st.integers(0, 100))
names = st.text(min_size=1, max_size=8)


@given(
    st.builds(
        Snapshot,
        generation=st.integers(0, 1 << 40),
        epoch=st.integers(0, 1 << 40),
        phase=st.sampled_from(Phase),
        collections=st.dictionaries(names, states, max_size=4),
        defaults=st.dictionaries(names, st.sampled_from(Stage), max_size=3),
        transitions=st.lists(st.builds(Transition, names, states, states), max_size=3).map(
            lambda found: {transition.collection: transition for transition in found}
        ),
    )
)
def test_a_snapshot_survives_encoding_and_decoding(snapshot: Snapshot) -> None:
    assert decode(encode(snapshot)) == snapshot
