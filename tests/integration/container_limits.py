"""A command under the constraints that `deploy/kubernetes` declares: what a container has, made of mount namespaces.

The root file system is read only, there is no /tmp (one that cannot be written, with nothing in it but this working
copy if it lies there), no capability, and a host name that does not resolve; one folder is writable. Needs root or user
namespaces; `possible` returns whether it works here.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
STATE: Final = "/mnt/state"  # the one folder that the command may write
_SCRIPT: Final = f"""
root=$1; state=$2; code=$3; shift 3
hostname resume-service-0
mount --make-rprivate /
mount --rbind / "$root"
mount -t tmpfs tmpfs "$root/mnt"
mkdir "$root{STATE}"
mount --bind "$state" "$root{STATE}"
mount -o remount,bind,ro "$root/mnt"
for folder in tmp var/tmp usr/tmp; do
    [ -d "$root/$folder" ] || continue
    mount -t tmpfs tmpfs "$root/$folder"
    case "$code" in "/$folder"/*) mkdir -p "$root$code"; mount --bind "$code" "$root$code";; esac
    mount -o remount,bind,ro "$root/$folder"
done
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


@functools.cache
def possible(folder: Path) -> str:
    """Return why containers cannot be emulated on this machine, or an empty text."""
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return "util-linux is not there"
    tried = subprocess.run(command(folder, folder, ["true"]), capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"no mount namespace: {tried.stderr.strip()}"


def command(folder: Path, state: Path, arguments: Sequence[str]) -> list[str]:
    """Return the arguments to run. folder: an empty folder for the file system of the command."""
    spaces = ["--mount", "--uts", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    return ["unshare", *spaces, "sh", "-euc", _SCRIPT, "sh", str(folder), str(state), str(ROOT), *arguments]


def crossfade(folder: Path, state: Path, *arguments: str) -> list[str]:
    """Return the arguments of `crossfade …` in this working copy."""
    return command(folder, state, [sys.executable, "-m", "proxy.cli", *arguments])


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return only the variables that Python needs to find the code."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **given}
