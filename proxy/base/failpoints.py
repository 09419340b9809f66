"""Named points at which a test may kill or stop the process, to verify I3. Disabled, a point costs an empty call.

CROSSFADE_FAULT=`name[:nth]` kills this process by SIGKILL when it reaches the point for the nth time (default: 1).
CROSSFADE_FAULT=`name[:nth]@PATH` sends the name of the point to the Unix socket PATH instead, and blocks the process
until the listener answers: with the next `name[:nth]`, or with nothing, which disables all points. After a SIGUSR2 the
process sends the word `plan` to ask for the next point, so that one process serves many tests; it starts with `@PATH`.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Final

DOCUMENTS: Final = (
    "after-intend",  # the intent is in the journal, nothing was forwarded
    "after-forward",  # the origin answered, nothing was captured
    "before-complete",  # captured, nothing was queued
    "mid-batch",  # a part of a batch is in PostgreSQL
    "after-apply",  # a batch is in PostgreSQL, its intents are open
    "mid-repair",  # the document was reread, PostgreSQL does not have it
    "before-mark",  # an opaque write was answered, its mark is not in PostgreSQL
)
OTHERS: Final = (
    "transaction-begun",  # a transaction began, nothing is written in it
    "transaction-wrote",  # the origin answered a write in it, its versions are not kept
    "before-commit",  # its commit is about to be forwarded
    "after-commit",  # the origin answered the commit, its versions were not passed on
    "before-transaction",  # its versions are about to go to PostgreSQL
    "mid-transaction",  # a part of them is in PostgreSQL, not committed
    "mid-import",  # the origin answered one array write of an import, others were not sent
    "keys-read",  # a batch of a modification's rows was read, its keys are not noted
    "stamp-floor-raised",  # after a change of a whole collection: none of its keys was compared
    "mid-resync",  # a page of its keys was compared
    "mid-cascade",  # edges of a vertex that was removed were looked for, none was repaired
    "job-begun",  # a job's client has its answer, nothing of the job is done
)
POINTS: Final = DOCUMENTS + OTHERS
ALONE: Final = (  # of PostgreSQL alone
    "write-fenced",  # a write has the fence, the locks of its rows and its revisions, and has written nothing
    "write-made",  # its rows are written, not committed
    "write-committed",  # PostgreSQL has committed it, its client has no answer
    "stream-committing",  # a stream transaction is about to be committed
    "stream-committed",  # PostgreSQL has committed it, its client has no answer
)
REVERSE: Final = (  # of the reverse mirror
    "push-begun",  # a stream transaction of ArangoDB is open
    "push-committing",  # its writes were answered, its commit is not sent
    "push-committed",  # ArangoDB answered the commit, the rows are in the outbox
    "push-confirmed",  # the rows are removed
)
COMMANDS: Final = (  # of `crossfade promote` and `crossfade demote`
    "writes-paused",  # a demotion has told writes to pause, and has not begun
    "epoch-begun",  # writes are held, or PostgreSQL takes no more
    "hold-acknowledged",  # by every proxy, nothing else is done
    "rights-taken",  # ArangoDB's users cannot write any more
    "floor-known",  # ArangoDB's newest revision is known
    "outbox-drained",  # ArangoDB has what PostgreSQL took
    "clock-passed",  # ArangoDB's revisions are above PostgreSQL's
    "writer-changed",  # in the transaction that changes it, not committed
    "writer-committed",  # nothing is done after it
)
INSTANCE: Final = (  # of a proxy while writes are promoted
    "hold-kept",  # the state directory has the hold, it is not acknowledged
)
ALL: Final = POINTS + ALONE + REVERSE + COMMANDS + INSTANCE


def _nothing(name: str) -> None:
    """Do nothing: no fault was requested."""


def armed(wanted: str) -> Callable[[str], None]:
    """Return the function for `reach` by a value of CROSSFADE_FAULT. Raise ValueError for an unknown name."""
    if not wanted:
        return _nothing
    plan, _, path = wanted.partition("@")
    point, left = _parsed(plan) if plan or not path else ("", 0)

    def again(*_: object) -> None:
        nonlocal point, left
        answer = _ask(path, "plan")
        point, left = _parsed(answer) if answer else ("", 0)

    if path and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR2, again)

    def count(name: str) -> None:
        nonlocal point, left
        if name != point:
            return
        left -= 1
        if left > 0:
            return
        if not path:
            os.kill(os.getpid(), signal.SIGKILL)
            return
        answer = _ask(path, name)
        point, left = _parsed(answer) if answer else ("", 0)

    return count


def _parsed(plan: str) -> tuple[str, int]:
    point, _, nth = plan.partition(":")
    if point not in ALL:
        raise ValueError(f"CROSSFADE_FAULT names {point!r}: the points are {', '.join(ALL)}")
    return point, int(nth or 1)


def _ask(path: str, name: str) -> str:
    """Send a name to the listener and return its answer; the process blocks until then."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.connect(path)
        listener.sendall(name.encode() + b"\n")
        return listener.makefile("r", encoding="ascii").readline().strip()


reach: Callable[[str], None] = armed(os.environ.get("CROSSFADE_FAULT", ""))
