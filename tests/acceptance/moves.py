"""The weighted moves of a soak client: random operations on its own keys, and on shared ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.acceptance import document_moves, graph_moves, query_moves
from tests.acceptance.client import Move

MOVES: Final[Sequence[tuple[int, Move]]] = (
    (8, document_moves.insert),
    (10, document_moves.read),
    (4, document_moves.conditional_read),
    (6, document_moves.update),
    (4, document_moves.replace),
    (4, document_moves.remove),
    (3, document_moves.insert_many),
    (3, document_moves.read_many),
    (3, document_moves.change_many),
    (5, query_moves.query),
    (3, query_moves.cursor),
    (3, query_moves.modify),
    (3, query_moves.transaction),
    (4, graph_moves.vertex),
    (3, graph_moves.edges),
    (2, document_moves.load),
    (3, graph_moves.simple),
    (6, graph_moves.shared),
)
