"""Reports of the server about itself, and its settings."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import access
from proxy.devserver.store.answers import done
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.server import VERSION, ServerState
from proxy.model.operations import Operation, Outcome
from proxy.semantics.key_generator import KINDS
from proxy.semantics.request_params import body_object, flag
from proxy.wire.encode import json_outcome

Document = dict[str, Any]
_MODES: Final = ("default", "readonly")


def version(_server: ServerState, operation: Operation) -> Outcome:
    shown: Document = {
        "server": "arango",
        "license": "community",
        "version": VERSION,
        "apiVersions": ["v0"],
        "deprecatedApiVersions": [],
        "requestedApiVersion": "v0",
    }
    if flag(operation.params, "details"):
        shown["details"] = {
            "architecture": "64bit",
            "mode": "server",
            "server-version": VERSION,
            "host": "",
            "maintainer-mode": "false",
            "platform": "linux",
            "endianness": "little",
        }
    return json_outcome(200, shown)


def engine(_server: ServerState, _operation: Operation) -> Outcome:
    kinds = ["primary", "edge", "hash", "skiplist", "ttl", "persistent", "geo", "fulltext", "mdi", "mdi-prefixed"]
    supports = {"indexes": kinds, "aliases": {"indexes": {"skiplist": "persistent", "hash": "persistent"}}}
    return json_outcome(200, {"name": "rocksdb", "supports": supports, "endianness": "little"})


def status(server: ServerState, _operation: Operation) -> Outcome:
    return json_outcome(
        200,
        {
            "server": "arango",
            "license": "community",
            "version": VERSION,
            "mode": "server",
            "operationMode": "server",
            "foxxApi": False,
            "host": "",
            "pid": 0,
            "serverInfo": {
                "progress": {"phase": "in wait", "feature": "", "recoveryTick": 0},
                "maintenance": False,
                "role": "SINGLE",
                "writeOpsEnabled": not server.accounts.read_only,
                "readOnly": server.accounts.read_only,
                "serverId": server.id,
            },
        },
    )


def clock(server: ServerState, operation: Operation) -> Outcome:
    return done(operation, {"time": round(server.now(), 6)})


def role(_server: ServerState, operation: Operation) -> Outcome:
    return done(operation, {"mode": "default", "role": "SINGLE"})


def availability(server: ServerState, operation: Operation) -> Outcome:
    server.database(operation)
    return done(operation, {"mode": _shown_mode(server)})


def mode(server: ServerState, operation: Operation) -> Outcome:
    """`/_admin/server/mode`: read-only or not; administrators change it."""
    server.database(operation)
    if operation.method == "PUT":
        access.require_admin(server, operation)
        wanted = body_object(operation).get("mode")
        if wanted not in _MODES:
            raise ArangoError(400, "mode invalid" if isinstance(wanted, str) else "mode must be a string")
        server.accounts.read_only = wanted == "readonly"
    return done(operation, {"mode": _shown_mode(server)})


def _shown_mode(server: ServerState) -> str:
    return _MODES[server.accounts.read_only]


def identity(_server: ServerState, _operation: Operation) -> Outcome:
    raise ArangoError(500, "not a cluster member")


def endpoints(_server: ServerState, _operation: Operation) -> Outcome:
    raise ArangoError(403, "only callable on coordinators", status=403)


def metrics(server: ServerState, _operation: Operation) -> Outcome:
    text = (
        "# HELP arangodb_server_statistics_server_uptime_total Number of seconds elapsed since server start.\n"
        "# TYPE arangodb_server_statistics_server_uptime_total counter\n"
        f"arangodb_server_statistics_server_uptime_total {server.now() - server.started:.6f}\n"
    )
    return Outcome(200, text.encode(), (), b"text/plain; version=0.0.4")


def license_of(_server: ServerState, _operation: Operation) -> Outcome:
    usage = {
        "bytesUsed": 0,
        "bytesLimit": 107374182400,
        "limitReached": False,
        "secondsUntilReadOnly": 315569520,
        "secondsUntilShutDown": 315569520,
        "status": "good",
    }
    return json_outcome(200, {"diskUsage": usage, "upgrading": False})


def options(server: ServerState, operation: Operation) -> Outcome:
    """`/_admin/options` and `/_admin/options-description`: the settings of this server that ArangoDB has too."""
    access.require_admin(server, operation)
    shown = {
        "server.authentication": server.accounts.enforced,
        "database.extended-names": True,
        "http.compress-response-threshold": 0,
        "query.tracking": True,
    }
    if operation.path[-1] == "options":
        return json_outcome(200, shown)
    described = {
        name: {"section": name.partition(".")[0], "category": "option", "default": value, "type": _type_name(value)}
        for name, value in shown.items()
    }
    return json_outcome(200, described)


def _type_name(value: object) -> str:
    return "boolean" if isinstance(value, bool) else "uint64"


def support_info(server: ServerState, operation: Operation) -> Outcome:
    """Return what a single server reports about its deployment."""
    access.require_admin(server, operation)
    now = datetime.fromtimestamp(server.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    host = {"role": "SINGLE", "maintenance": False, "readOnly": False, "version": VERSION, "os": "linux"}
    engine_of = {"type": "single", "arangod": VERSION}
    return json_outcome(200, {"deployment": {"type": "single", **engine_of}, "host": host, "date": now})


def wal(server: ServerState, operation: Operation) -> Outcome:
    """`/_admin/wal/flush`: everything is written already.

    The other endpoints of it belonged to another storage engine.
    """
    access.require_admin(server, operation)
    if operation.method == "PUT" and operation.path[2:] == ("flush",):
        return done(operation, {})
    raise ArangoError(501, "not implemented")


def tls(server: ServerState, operation: Operation) -> Outcome:
    """`/_admin/server/tls`: no certificate is used."""
    access.require_admin(server, operation)
    return done(operation, {"result": {"keyfile": {}, "clientCA": {}}})


def jwt(server: ServerState, operation: Operation) -> Outcome:
    """`/_admin/server/jwt`: the checksums of the secrets that tokens are signed with, for superusers."""
    if not access.identity(server, operation).superuser:
        raise ArangoError(11, "only superusers may access server secrets")
    checksum = hashlib.sha256(server.accounts.secret).hexdigest()
    return done(operation, {"result": {"active": {"sha256": checksum}, "passive": []}})


def target_version(server: ServerState, operation: Operation) -> Outcome:
    """Return the version that databases must have."""
    server.database(operation)
    major, minor, _ = VERSION.split(".")
    return done(operation, {"version": f"{major}{minor}00"})


def deployment(server: ServerState, operation: Operation) -> Outcome:
    """`/_admin/deployment/id`: constant as long as the server keeps its number."""
    server.database(operation)
    return json_outcome(200, {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, server.id))})


def engine_statistics(server: ServerState, _operation: Operation) -> Outcome:
    keys = sum(collection.count() for _, collection in server.collections())
    return json_outcome(200, {"rocksdb.estimate-num-keys": keys, "columnFamilies": {}})


def statistics(server: ServerState, _operation: Operation) -> Outcome:
    """Return the only figure that this server has: its uptime."""
    shown = {
        "time": server.now(),
        "enabled": False,
        "server": {"uptime": server.now() - server.started},
        "system": {},
        "client": {},
        "http": {},
    }
    return json_outcome(200, {**shown, "error": False, "code": 200})


def statistics_described(server: ServerState, operation: Operation) -> Outcome:
    """`/_admin/statistics-description`: the groups of figures, and those that `statistics` has."""
    server.database(operation)
    groups = [
        {"group": group, "name": f"{name} Statistics", "description": f"Statistics about {what}."}
        for group, name, what in _FIGURES
    ]
    uptime = {
        "group": "server",
        "identifier": "uptime",
        "name": "Server Uptime",
        "description": "Number of seconds elapsed since server start.",
        "type": "current",
        "units": "seconds",
    }
    return done(operation, {"groups": groups, "figures": [uptime]})


_FIGURES: Final = (
    ("system", "Process", "the ArangoDB process"),
    ("client", "Client Connection", "the connections"),
    ("http", "HTTP Request", "the HTTP requests"),
    ("server", "Server", "the ArangoDB server"),
)


def log(server: ServerState, operation: Operation) -> Outcome:
    """`/_admin/log`: nothing is logged; levels are kept and shown."""
    server.database(operation)
    below, method = operation.path[2:], operation.method
    if below == ("level",) and method in ("GET", "PUT", "DELETE"):
        if method == "DELETE":
            server.settings.pop("log", None)
        levels = server.settings.setdefault("log", {"general": "INFO", "queries": "INFO", "requests": "FATAL"})
        if method == "PUT":
            levels.update({name: str(level).upper() for name, level in body_object(operation).items()})
        return json_outcome(200, levels)
    if below == ("structured",) and method in ("GET", "PUT"):
        shown = server.settings.setdefault("structured log", {})
        wanted = body_object(operation) if method == "PUT" else {}
        for name, value in wanted.items():
            shown.pop(name, None)
            if value is True:  # only those that are switched on are shown
                shown[name] = True
        return json_outcome(200, shown)
    if method == "GET" and below == ("entries",):
        return json_outcome(200, {"total": 0, "messages": []})
    if method == "GET" and not below:
        return json_outcome(200, {"totalAmount": 0, "lid": [], "topic": [], "level": [], "timestamp": [], "text": []})
    if method == "DELETE" and not below:
        return done(operation, {})
    raise ArangoError(405)


def routing(server: ServerState, operation: Operation) -> Outcome:
    """`/_admin/routing/reload`: no service is mounted, so that there is nothing to reload."""
    server.database(operation)
    return done(operation, {})


def compact(server: ServerState, operation: Operation) -> Outcome:
    """Do nothing: there is nothing to compact."""
    server.database(operation)
    return json_outcome(200, {})


def echo(server: ServerState, operation: Operation) -> Outcome:
    """Return what the server has understood of a request."""
    database = server.database(operation)
    path = "/" + "/".join(operation.path)
    who = access.identity(server, operation)
    shown = {
        "authorized": True,
        "user": who.user,
        "isAdminUser": server.accounts.admin(who),
        "database": database.name,
        "url": path,
        "protocol": "http",
        "requestType": operation.method,
        "requestBody": operation.body.decode("utf-8", "replace"),
        "rawRequestBody": {"type": "Buffer", "data": list(operation.body)},
        "parameters": dict(operation.params),
        "cookies": {},
        "suffix": [],
        "rawSuffix": [],
        "path": path,
    }
    return json_outcome(200, {**shown, "error": False, "code": 200})


def key_generators(server: ServerState, operation: Operation) -> Outcome:
    server.database(operation)
    return json_outcome(200, {"keyGenerators": list(KINDS)})


COMMANDS: Final = {
    "version": EndpointCommand(version),
    "engine": EndpointCommand(engine),
    "engine.stats": EndpointCommand(engine_statistics),
    "key_generators": EndpointCommand(key_generators),
    "admin.statistics": EndpointCommand(statistics),
    "admin.statistics_description": EndpointCommand(statistics_described),
    "admin.license": EndpointCommand(license_of),
    "admin.options": EndpointCommand(options),
    "admin.support_info": EndpointCommand(support_info),
    "admin.wal": EndpointCommand(wal),
    "admin.tls": EndpointCommand(tls),
    "admin.jwt": EndpointCommand(jwt),
    "admin.target_version": EndpointCommand(target_version),
    "admin.log": EndpointCommand(log, access.administrator),
    "admin.deployment": EndpointCommand(deployment),
    "admin.compact": EndpointCommand(compact, access.database_write),
    "admin.routing": EndpointCommand(routing),
    "admin.echo": EndpointCommand(echo),
    "admin.status": EndpointCommand(status),
    "admin.time": EndpointCommand(clock),
    "admin.role": EndpointCommand(role),
    "admin.availability": EndpointCommand(availability, access.anyone),
    "admin.mode": EndpointCommand(mode, changes_accounts=True),
    "admin.id": EndpointCommand(identity),
    "admin.metrics": EndpointCommand(metrics),
    "cluster.endpoints": EndpointCommand(endpoints, access.authenticated),
}
