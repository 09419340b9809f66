"""Run one command, and end it when the process that started the supervisor ends, by SIGKILL too. Standard library only.

    python supervisor.py OPTIONS-AS-JSON COMMAND [ARGUMENT...]

The starting process holds the other end of the supervisor's standard input. `K` there kills the command (SIGKILL), any
other letter is the first of a signal's name (`T`erm, `I`nt, `Q`uit). When the pipe ends, the starting process has
ended: the command gets the stop signal and, after the grace period, SIGKILL. The supervisor is the command's parent, so
that the process id that it signals cannot belong to another process. It prints the command's process id on a line,
and exits with its code.

Options: log (file that the output goes to), stop (name of the stop signal), grace (seconds), user and group (ids, or
null), remove (a folder to delete if the starting process ended without stopping the command; or null).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

_LETTERS = {b"K": signal.SIGKILL, b"T": signal.SIGTERM, b"I": signal.SIGINT, b"Q": signal.SIGQUIT}


def main(arguments: list[str]) -> int:
    """Run the command to its end; return its exit code, or 128 and the number of the signal that ended it."""
    options = json.loads(arguments[0])
    with Path(options["log"]).open("ab") as log:
        child = subprocess.Popen(
            arguments[1:],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=options.get("cwd"),
            user=options["user"],
            group=options["group"],
            extra_groups=None if options["user"] is None else [],
        )
    orphaned = threading.Event()
    # a signal that ends the supervisor ends the command too
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: _end(child, options))
    os.write(1, b"%d\n" % child.pid)
    threading.Thread(target=_obey, args=(child, options, orphaned), daemon=True).start()
    code = child.wait()
    if orphaned.is_set() and options["remove"]:
        shutil.rmtree(options["remove"], ignore_errors=True)
    return code if code >= 0 else 128 - code


def _obey(child: subprocess.Popen[bytes], options: dict[str, object], orphaned: threading.Event) -> None:
    while letter := os.read(0, 1):
        child.send_signal(_LETTERS.get(letter, signal.SIGTERM))
    orphaned.set()
    _end(child, options)


def _end(child: subprocess.Popen[bytes], options: dict[str, object]) -> None:
    child.send_signal(signal.Signals[str(options["stop"])])
    grace = threading.Timer(float(str(options["grace"])), child.kill)
    grace.daemon = True
    grace.start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
