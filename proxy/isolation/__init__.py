"""Work in dedicated processes, with limits of time and memory: long work never runs on the event loop.

pool        the parent's side: lanes of workers, each for one kind of work
template    the process that workers are forked from
frames      the messages between both
"""

from proxy.isolation.pool import INLINE_LIMIT, Isolation, Lane

__all__ = ["INLINE_LIMIT", "Isolation", "Lane"]
