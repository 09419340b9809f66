"""The table of commands: the development server's, except what a server of PostgreSQL does not do (501, by name)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from proxy.devserver.store.command_table import COMMANDS as DEVELOPMENT
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.handlers import unsupported

_LOG: Final = "ArangoDB's write-ahead log on PostgreSQL"
_REPLICATION: Final = "ArangoDB's replication on PostgreSQL"

# what the development server answers and PostgreSQL alone does not: the name in the answer, by endpoint. What neither
# does is in devserver/store/handlers/unsupported
LEFT_OUT: Final[Mapping[str, str]] = {
    "wal.last_tick": _LOG,
    "wal.range": _LOG,
    "wal.tail": _LOG,
    "replication.batch": _REPLICATION,
    "replication": _REPLICATION,
    "dump": _REPLICATION,
}
COMMANDS: Final[Mapping[str, EndpointCommand]] = {
    **DEVELOPMENT,
    **{name: dataclasses.replace(DEVELOPMENT[name], run=unsupported.refused(what)) for name, what in LEFT_OUT.items()},
}
LISTS_INDEXES: Final = COMMANDS["index.list"]
