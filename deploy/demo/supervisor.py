"""Runs one command and ends it when whoever started the warden goes, a SIGKILL included. Standard library only.

    python warden.py OPTIONS-AS-JSON COMMAND [ARGUMENT...]

The one who starts it holds the other end of the warden's standard input. `K` there kills the command (SIGKILL), any
other letter is the first of a signal's name (`T`erm, `I`nt, `Q`uit). When the pipe ends, the holder is gone: the
command gets the stop signal and, after the grace, SIGKILL. The warden is the command's parent, so that the process
id that it signals is never somebody else's. It prints the command's process id on a line, and exits with its code.

Options: log (file that the output goes to), stop (name of the stop signal), grace (seconds), user and group (ids, or
null), remove (a folder to delete if the holder went without a word; or null).
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
    """Runs the command to its end; the exit code is its own, or 128 and the number of the signal that ended it."""
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
    # whoever ends the warden ends the command with it
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
