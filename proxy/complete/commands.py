"""The table of commands: the development server's, except what a server of PostgreSQL does not do (501, by name)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxy.devserver.store import access
from proxy.devserver.store.command_table import COMMANDS as DEVELOPMENT
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.handlers import unsupported

_LOG: Final = unsupported.refused("ArangoDB's write-ahead log on PostgreSQL")
_REPLICATION: Final = unsupported.refused("ArangoDB's replication on PostgreSQL")

COMMANDS: Final[Mapping[str, EndpointCommand]] = {
    **DEVELOPMENT,
    "wal.last_tick": EndpointCommand(_LOG, access.administrator),
    "wal.range": EndpointCommand(_LOG, access.administrator),
    "wal.tail": EndpointCommand(_LOG, access.administrator),
    "replication.batch": EndpointCommand(_REPLICATION),
    "replication": EndpointCommand(_REPLICATION, access.collection_read),
    "dump": EndpointCommand(_REPLICATION),
}
LISTS_INDEXES: Final = COMMANDS["index.list"]
