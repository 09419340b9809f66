"""Names of settings: which variables and keys of the file are settings, and what a wrong one was meant to be. Pure.

Messages name variables and keys, never their values: a misspelt name may hold a password.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

PREFIX: Final = "CROSSFADE_"
ADVANCED: Final = "advanced"  # the table of the TOML file
# variables of this program that are not settings: the path of the TOML file, a fault point of tests, the parent of a
# worker process, the default database of the command line
_OTHERS: Final = frozenset({"CONFIG", "FAULT", "PARENT", "DATABASE"})
# what Kubernetes sets in each pod for a service whose name begins with `crossfade`
_KUBERNETES: Final = re.compile(
    r"(\w*_)?SERVICE_(HOST|PORT(_\w+)?)|(\w*_)?PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
KUBERNETES_URL: Final = re.compile(r"(tcp|udp|sctp)://")


def unknown_variables(environment: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Return a line for each variable that begins with `CROSSFADE_` and is not a setting. known: in lower case."""
    lines = []
    for variable, value in sorted(environment.items()):
        upper = variable.upper()
        if not upper.startswith(PREFIX):
            continue
        name = upper.removeprefix(PREFIX)
        if name in _OTHERS or name.lower() in known:
            continue
        if _KUBERNETES.fullmatch(name) or (name.endswith("PORT") and KUBERNETES_URL.match(value)):
            continue
        near = _nearest(name.lower(), known)
        meant = f"do you mean {PREFIX}{near.upper()}?" if near else "docs/settings.md lists the settings"
        lines.append(f"{variable} is not a setting: {meant}")
    return lines


def flattened(
    table: Mapping[str, Any], main: Collection[str], advanced: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of a TOML file, and a line for each key that is unknown or in the wrong place."""
    values: dict[str, Any] = {}
    lines: list[str] = []
    inner = table.get(ADVANCED, {})
    if not isinstance(inner, Mapping):
        inner = {}
        lines.append(f"{ADVANCED} is a table: write [{ADVANCED}]")
    outer = {name: value for name, value in table.items() if name != ADVANCED}
    for given, here, there, place in (
        (outer, main, advanced, f"belongs below [{ADVANCED}]"),
        (inner, advanced, main, f"belongs above [{ADVANCED}], outside of any table"),
    ):
        for name, value in given.items():
            if name in here:
                values[name] = value
            elif name in there:
                lines.append(f"{name} {place}")
            else:
                near = _nearest(name, [*main, *advanced])
                meant = f"do you mean {near}?" if near else "docs/settings.md lists the settings"
                lines.append(f"{name} is not a setting: {meant}")
    return values, lines


def _nearest(name: str, known: Collection[str]) -> str:
    return next(iter(difflib.get_close_matches(name, known, n=1)), "")
