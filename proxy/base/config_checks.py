"""Checks of settings whose values are URLs. Each raises ValueError with a sentence that shows no password. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

# one host of a DSN, which may be empty: a name, an IPv6 address in brackets, a percent-encoded folder; perhaps a port
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.%~-]*)(:\d{0,5})?")


def check_server_url(url: str) -> None:
    """Refuse a URL whose rest would be ignored: usually the host is then a part of an unencoded password."""
    parts = urlsplit(url)
    if parts.query or parts.fragment or "@" in parts.path:
        raise ValueError(
            "a URL of a server has no ?, no # and no @ after its host: write / @ : ? and # of a password as "
            "%2F %40 %3A %3F and %23"
        )


def check_service_paths(prefixes: Iterable[str]) -> None:
    """Refuse paths that belong to ArangoDB's API."""
    for prefix in prefixes:
        if not prefix.startswith("/") or prefix.startswith("/_"):
            raise ValueError(f"{prefix!r} is not a path of a service: it must begin with / and not with /_")


def check_dsn(dsn: str) -> None:
    """Refuse a DSN whose scheme, host or port cannot be read."""
    parts = urlsplit(dsn)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("it must begin with postgresql:// or postgres://")
    hosts = parts.netloc.rpartition("@")[2]
    if not all(_HOST.fullmatch(host) for host in hosts.split(",")):
        raise ValueError("its host or port cannot be read: write / @ : and # of a password as %2F %40 %3A and %23")
