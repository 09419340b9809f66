"""Promotions and demotions at random moments under clients that check every answer (tests/faults/oracle.py).

control     what the control row and its neighbours may show at any moment, and at rest: pure, but for `read`
judgement   both databases, read directly, against each other and against what clients know: pure, but for `read`
"""
