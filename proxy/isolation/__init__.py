"""Work in processes of its own, within limits of time and memory: whatever may take long never runs on the event loop.

`pool` is the parent's side, `template` the process that workers are forked from, `frames` what both say to each other.
"""

from proxy.isolation.pool import LIGHT, Isolation, Lane

__all__ = ["LIGHT", "Isolation", "Lane"]
