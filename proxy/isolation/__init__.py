"""Work in dedicated processes, with limits of time and memory: long work never runs on the event loop.

pool        the parent's side: lanes of workers, each for one kind of work
template    the process that workers are forked from
frames      the messages between both

Terms: a *lane* is a number of workers for one kind of work. Work is done *inline* if it is small: in the process that
asked for it.
"""

from proxy.isolation.pool import INLINE_LIMIT, Isolation, Lane

__all__ = ["INLINE_LIMIT", "Isolation", "Lane"]
