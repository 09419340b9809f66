"""Servers of this machine are reached directly, whatever HTTP proxy the environment names."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Final

_HERE: Final = ("127.0.0.1", "localhost")


def reach_directly(environment: MutableMapping[str, str]) -> None:
    """Add this machine to the hosts that HTTP clients reach without a proxy.

    Both spellings are set: clients read the one in lower case first, and some read only the other.
    """
    present = [*environment.get("no_proxy", "").split(","), *environment.get("NO_PROXY", "").split(",")]
    hosts = ",".join(dict.fromkeys(host.strip() for host in (*present, *_HERE) if host.strip()))
    environment["no_proxy"] = environment["NO_PROXY"] = hosts
