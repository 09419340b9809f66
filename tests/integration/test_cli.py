"""The command line against a real PostgreSQL, with leases as instances: what it prints, and its exit codes."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import EntryPoint, version
from pathlib import Path
from typing import Any

import pytest
import structlog
import typer
from typer.testing import CliRunner

import proxy.cli
from proxy.base.database import Database
from proxy.base.errors import RefusedError
from proxy.model.stages import Phase, Stage
from tests.integration.cutover_kit import Application, Fleet, pass_gates, until

ORDERS = "shop/orders"


@dataclass
class Origin:
    """An ArangoDB as far as the command line asks one. documents: by key, of every collection."""

    url: str = ""
    refuse: bool = False
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: str = "3.12.4"

    odd: Any = None  # answered to everything, where it is set

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        if self.odd is not None:
            return 200, self.odd
        if self.refuse:
            return 401, {"error": True, "code": 401, "errorNum": 11, "errorMessage": "not authorized"}
        if path == "/_api/version":
            return 200, {"server": "arango", "version": self.version}
        if path == "/_api/database/user":
            return 200, {"result": ["_system", "shop"]}
        if path == "/_db/shop/_api/collection":
            names = [("orders", 2, False), ("knows", 3, False), ("_users", 2, True)]
            return 200, {"result": [{"name": n, "type": t, "isSystem": s} for n, t, s in names]}
        if path.startswith("/_db/shop/_api/document/"):
            absent = {"error": True, "errorNum": 1202, "errorMessage": "document not found"}
            return 200, [self.documents.get(key, absent) for key in json.loads(body)]
        return 404, {"error": True, "code": 404, "errorNum": 1228, "errorMessage": "database not found"}


@pytest.fixture
def origin() -> Iterator[Origin]:
    made = Origin()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("content-length", 0))
            status, value = made.answer(self.path.partition("?")[0], self.rfile.read(length))
            text = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = _serve

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _quiet_instances() -> Iterator[None]:
    """What the instances of this process log is no output of the commands."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Shell:
    """`crossfade …` in a thread, beside the instances of the test's own loop."""

    environment: dict[str, str]

    async def __call__(self, *arguments: str) -> Result:
        app, broken = proxy.cli.build()
        assert all("proxy" not in sentence.split("(")[0] for sentence in broken)
        done = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=self.environment)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Result(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
async def fleet(database: Database, tmp_path: Path) -> AsyncIterator[Fleet]:
    made = Fleet(database, tmp_path)
    yield made
    await made.close()


@pytest.fixture
def shell(dsn: str, origin: Origin, tmp_path: Path) -> Shell:
    return Shell(
        {
            "CROSSFADE_DSN": dsn,
            "CROSSFADE_ORIGIN": origin.url,
            "CROSSFADE_STATE_DIR": str(tmp_path / "state"),
            "CROSSFADE_GATE_COMPARISONS": "10",
            "CROSSFADE_DATABASE": "shop",
            "COLUMNS": "220",
        }
    )


async def test_the_operators_walk(shell: Shell, fleet: Fleet, database: Database) -> None:
    await fleet.start("one", admin=True)
    assert "no collection is known yet" in (await shell("status")).out
    shown = await shell("mirror", "orders", "--dry-run")
    assert (shown.code, "nothing was changed; it would go through: begin" in shown.out) == (0, True)
    assert "one: reached at http://127.0.0.1:" in shown.out
    assert "both databases answer it, backlog 0" in shown.out
    mirrored = await shell("mirror", "orders", "shop/knows", "--reason", "the move")
    assert mirrored.code == 0, mirrored.err
    assert "shop/orders: off -> mirror" in mirrored.out
    assert await database.fetchval("SELECT edge FROM _crossfade.collection WHERE name = 'knows'")
    assert "already" in (await shell("mirror", "orders")).out
    assert (await shell("shadow", "orders")).code == 0
    refused = await shell("flip", "orders")
    assert refused.code == 1
    assert "backfilled is fail (no backfill is done): `crossfade backfill shop/orders`" in refused.err
    judged = await shell("gates", "orders")
    assert (judged.code, "crossfade verify shop/orders" in judged.out) == (1, True)
    dry = await shell("flip", "orders", "--dry-run", "--json")
    assert (dry.code, dry.json["would_be_refused"]) == (1, True)
    await pass_gates(database, ORDERS)
    assert (await shell("gates", "orders")).code == 0
    assert (await shell("gates")).code == 1  # shop/knows is not ready
    flipped = await shell("flip", "orders", "--percent", "10", "--json")
    assert flipped.json["moves"][0]["after"] == {"stage": "flipped", "weight": 10}
    assert {gate["verdict"] for gate in flipped.json["gates"][ORDERS]} == {"pass"}
    told = (await shell("status")).out
    assert "flipped 10 %" in told
    assert "done (0 differ)" in told
    assert (await shell("flip", "shop/*")).code == 0
    back = await shell("rollback", "orders", "--reason", "enough")
    assert (back.code, "flipped 100 % -> shadow" in back.out) == (0, True)
    took = re.search(r"done in (\d+\.\d+) s: .*; 1 proxy behaves by it", back.out)
    assert took is not None
    again = await shell("rollback", "orders")
    assert (again.code, "nothing to take back" in again.err) == (0, True)
    assert (await shell("audit", "--verify")).code == 0
    walked = (await shell("audit")).out
    assert "enough" in walked
    assert "shop/orders flipped -> shadow" in walked
    await database.execute("UPDATE _crossfade.audit SET reason = 'nothing happened' WHERE id = 2")
    broken = await shell("audit", "--verify")
    assert (broken.code, "broken at row 2" in broken.out) == (1, True)
    assert (await shell("audit", "--verify", "--json")).json["broken"] == 2


async def test_a_whole_database(shell: Shell, fleet: Fleet, database: Database) -> None:
    assert (await shell("mirror", "shop/*")).code == 0
    found = (await shell("status", "--json")).json
    assert {one["collection"]: one["standing"]["stage"] for one in found["collections"]} == {
        "shop/orders": "mirror",
        "shop/knows": "mirror",
    }
    assert found["defaults"] == {"shop": "mirror"}
    assert (await shell("shadow", "shop/*")).code == 0
    assert (await shell("status", "--json")).json["defaults"] == {"shop": "shadow"}
    none = await shell("flip", "other/*")
    assert (none.code, "no collection of other/* is at stage shadow or flipped" in none.err) == (1, True)
    assert (await shell("rollback", "shop/*", "--to", "off")).code == 0
    assert (await shell("status", "--json")).json["defaults"] == {"shop": "off"}
    assert (await shell("default-stage", "*", "mirror")).code == 0
    assert "*: mirror" in (await shell("status")).out
    wrong = await shell("rollback", "orders", "--to", "flipped")
    assert (wrong.code, "goes the other way" in wrong.err) == (1, True)


async def test_names_that_are_wrong(shell: Shell) -> None:
    typo = await shell("mirror", "ordres")
    assert (typo.code, "ArangoDB has no collection shop/ordres" in typo.err) == (1, True)
    assert (await shell("mirror", "a/b/c")).code == 1
    assert (await shell("mirror")).code == 2
    assert (await shell("default-stage", "shop", "nowhere")).code == 2
    assert (await shell("mirror", "orders")).code == 0
    unknown = await shell("gates", "ordres")
    assert (unknown.code, "shop/ordres is not known: did you mean shop/orders?" in unknown.err) == (1, True)


async def test_without_the_origin_the_mirror_begins_all_the_same(shell: Shell, origin: Origin) -> None:
    origin.refuse = True
    begun = await shell("mirror", "orders")
    assert (begun.code, "could not be asked" in begun.err) == (0, True)


async def test_who_does_not_acknowledge_is_named_and_the_code_is_3(shell: Shell, fleet: Fleet) -> None:
    await fleet.start("slow", Application(uncaptured=2))
    late = await shell("mirror", "orders", "--timeout", "0.3")
    assert late.code == 3
    assert "slow has not met the phase's conditions" in late.err
    assert "begin: waiting for slow" in late.err
    told = await shell("mirror", "orders", "--timeout", "0.3", "--json")
    assert told.json["error"]["code"] == 3


async def test_rollback_aborts_an_open_epoch(shell: Shell, fleet: Fleet) -> None:
    slow = await fleet.start("slow", Application(uncaptured=2))
    waiting = asyncio.create_task(fleet.to(Stage.MIRROR, ORDERS))  # two shells in one process would share their output
    await until(lambda: slow.lease.snapshot.phase is Phase.BEGIN)
    assert "epoch 1 is open: phase begin" in (await shell("status")).out
    assert (await shell("rollback", "orders")).code == 0
    with pytest.raises(RefusedError, match="aborted by somebody else"):
        await waiting


async def test_instances(shell: Shell, fleet: Fleet, database: Database) -> None:
    assert "no instance is registered" in (await shell("instances")).out
    await shell("mirror", "orders")
    dead = await fleet.start("dead")
    while (await shell("instances", "--json")).json[0]["state"] != "live":  # a lease may run out on a busy machine
        await asyncio.sleep(0.05)
    await fleet.crash(dead)
    while (await shell("instances", "--json")).json[0]["state"] != "silent":
        await asyncio.sleep(0.05)
    assert (await shell("instances", "evict", "dead")).code == 1
    while (gone := await shell("instances", "evict", "dead", "--confirmed-stopped")).code:
        assert "lives" in gone.err  # its last heartbeat is not a second old
        await asyncio.sleep(0.05)
    assert (gone.code, "next: crossfade verify shop/orders" in gone.out) == (0, True)
    assert "1 unverified" in (await shell("status")).out
    assert (await shell("instances", "evict", "dead", "--confirmed-stopped", "--json")).code == 1
    assert "stopped" in (await shell("instances")).out
    await fleet.start("other")
    await fleet.crash(fleet.instances[0])
    limit = asyncio.get_running_loop().time() + 30
    while (told := await shell("instances", "evict", "other", "--confirmed-stopped", "--json")).code:
        assert asyncio.get_running_loop().time() < limit
        await asyncio.sleep(0.05)
    assert told.json == {"evicted": "other", "unverified": ["shop/orders"]}


async def _mismatch(database: Database, number: int, keys: list[str]) -> int:
    return int(
        await database.fetchval(
            "INSERT INTO _crossfade.mismatch (collection, fingerprint, class, paths, keys, samples) "
            "VALUES ($1, $2, 'value', '{total}', $3, $4::text::jsonb) RETURNING id",
            ORDERS,
            f"print-{number}",
            keys,
            json.dumps([{"request": "GET [x]", "origin": {"total": 1}, "explanation": "total: 1 -> 2"}]),
        )
    )


async def test_mismatches(shell: Shell, database: Database, origin: Origin) -> None:
    await shell("mirror", "orders")
    assert "no open mismatch" in (await shell("mismatches", "list")).out
    first, second = await _mismatch(database, 1, ["a", "gone"]), await _mismatch(database, 2, [])
    assert "total" in (await shell("mismatches", "list", "orders")).out
    told = (await shell("mismatches", "show", str(first))).out
    assert "GET [x]" in told
    assert '"total": 1' in told
    assert (await shell("mismatches", "show", str(first), "--json")).json["keys"] == ["a", "gone"]
    assert (await shell("mismatches", "show", "99")).code == 1
    assert (await shell("mismatches", "ignore", str(second))).code == 1  # no reason
    assert (await shell("mismatches", "ignore", str(second), "--reason", "unsorted list")).code == 0
    assert [row["id"] for row in (await shell("mismatches", "list", "--json")).json] == [first]
    assert len((await shell("mismatches", "list", "--all", "--json")).json) == 2

    relation = await database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", ORDERS)
    text = '{"_key": "%s", "_id": "orders/%s", "_rev": "_", "total": 2}'
    for key in ("a", "gone"):
        await database.execute(
            f"INSERT INTO {relation} (key, rev, raw, doc) VALUES ($1, 1, $2::text::json, '{{\"total\": 2}}')",
            key,
            text % (key, key),
        )
    origin.documents = {"a": {"_key": "a", "_id": "orders/a", "_rev": "_iabc---", "total": 1}}
    assert "would be read again" in (await shell("mismatches", "repair", str(first), "--dry-run")).out
    done = await shell("mismatches", "repair", str(first), str(second))
    assert done.code == 0, done.err
    assert "shop/orders: 2 documents read again" in done.out
    assert "names no document" in done.err
    rows = await database.fetch(f"SELECT key, raw ->> 'total' AS total FROM {relation} ORDER BY key")
    assert [tuple(row) for row in rows] == [("a", "1"), ("gone", None)]
    assert (await shell("mismatches", "list")).out.strip() == "no open mismatch"
    assert (await shell("mismatches", "repair", "99")).code == 1


async def test_doctor(shell: Shell, origin: Origin, fleet: Fleet, tmp_path: Path) -> None:
    alone = await shell("doctor", "--json")
    found = {check["name"]: check["verdict"] for check in alone.json}
    assert (alone.code, found["PostgreSQL"], found["schema"], found["ArangoDB"]) == (0, "ok", "ok", "ok")
    assert found["instances"] == "warn"
    one = await fleet.start("one")
    await until(lambda: one.lease.may_read_target)
    one.application.diverged = True
    await until(lambda: one.lease._diverged_in_row)
    origin.version = "3.11.2"
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "origin-only").touch()
    told = await shell("doctor")
    assert told.code == 1
    for words in ("instance one: diverged", "before 3.12", "origin-only is set"):
        assert words in told.out
    await fleet.crash(one)
    origin.refuse = True
    assert "refuses root: not authorized" in (await shell("doctor")).out
    (tmp_path / "file").touch()
    nowhere = str(tmp_path / "file" / "state")
    shell.environment |= {"CROSSFADE_ORIGIN": "http://127.0.0.1:1", "CROSSFADE_STATE_DIR": nowhere}
    told = await shell("doctor")
    assert "does not answer" in told.out
    assert f"{nowhere} cannot be written" in told.out
    shell.environment |= {"CROSSFADE_DSN": "postgresql://127.0.0.1:1/none"}
    assert (await shell("doctor")).code == 2


@pytest.mark.parametrize("odd", [b"<html>", ["a list"]])
async def test_what_is_not_arangodb(shell: Shell, origin: Origin, odd: Any) -> None:
    origin.odd = odd
    told = await shell("doctor")
    assert (told.code, "set CROSSFADE_ORIGIN" in told.out) == (1, True)
    assert (await shell("mirror", "orders")).code == 0  # it could not be asked: said, and gone on


async def test_repair_of_what_arangodb_does_not_give(shell: Shell, database: Database, origin: Origin) -> None:
    await shell("mirror", "orders")
    number = await _mismatch(database, 1, ["a"])
    origin.refuse = True
    refused = await shell("mismatches", "repair", str(number))
    assert (refused.code, "ArangoDB refused" in refused.err) == (1, True)
    shell.environment["CROSSFADE_ORIGIN"] = "http://127.0.0.1:1"
    away = await shell("mismatches", "repair", str(number), "--json")
    assert (away.code, away.json["error"]["code"]) == (1, 1)
    assert "Set CROSSFADE_ORIGIN" in away.err
    assert len((await shell("mismatches", "list", "--json")).json) == 1  # still open
    assert (await shell("mismatches", "ignore", str(number), "--reason", "x", "--json")).json["ignored"] == [number]


async def test_doctor_for_people(shell: Shell, fleet: Fleet) -> None:
    one = await fleet.start("one")
    await until(lambda: one.lease.may_read_target)
    told = await shell("doctor")
    assert told.code == 0, told.out
    assert "ok    instance one: backlog 0, lag 0.0 s" in told.out
    assert "ok    ArangoDB: arango 3.12.4" in told.out
    shell.environment["CROSSFADE_HEARTBEAT"] = "soon"
    assert (await shell("doctor")).code == 2


async def test_audit_and_gates_for_machines(shell: Shell) -> None:
    assert "no collection is mirrored" in (await shell("gates")).out
    await shell("mirror", "orders")
    assert (await shell("audit", "--json")).json[0]["action"] == "change"
    gates = (await shell("gates", "--json")).json
    assert {gate["name"] for gate in gates[ORDERS]} >= {"backfilled", "verified", "instances in sync"}


async def test_doctor_sees_silence(shell: Shell, fleet: Fleet) -> None:
    one = await fleet.start("one", lease=0.2)
    await fleet.crash(one)
    while "instance one: silent" not in (told := await shell("doctor")).out:
        await asyncio.sleep(0.05)
    assert "crossfade instances evict one --confirmed-stopped" in told.out


async def test_postgresql_that_is_not_there_or_not_migrated(shell: Shell, empty_dsn: str) -> None:
    shell.environment["CROSSFADE_DSN"] = empty_dsn
    for arguments in (["status"], ["mirror", "orders"], ["gates"], ["instances", "--json"], ["doctor"]):
        told = await shell(*arguments)
        assert (told.code, "crossfade migrate" in told.err + told.out) == (2, True)
    planned = await shell("migrate", "--dry-run")
    assert (planned.code, "would apply 0001_pre_control" in planned.out) == (0, True)
    assert "applied 0001_pre_control" in (await shell("migrate")).out
    assert "up to date" in (await shell("migrate", "--phase", "all")).out
    assert (await shell("migrate", "--json")).json["applied"] == []
    assert (await shell("migrate", "--phase", "never")).code == 2
    assert (await shell("status")).code == 0
    shell.environment["CROSSFADE_DSN"] = "postgresql://127.0.0.1:1/none"
    told = await shell("status")
    assert (told.code, "Set CROSSFADE_DSN" in told.err) == (2, True)
    shell.environment["CROSSFADE_HEARTBEAT"] = "soon"
    told = await shell("status", "--json")
    assert (told.code, "CROSSFADE_HEARTBEAT" in told.json["error"]["message"]) == (2, True)
    assert (await shell("doctor")).code == 2
    assert (await shell("proxy", "run")).code == 2


async def test_help_teaches_by_example(shell: Shell) -> None:
    app, _ = proxy.cli.build()
    own = {"migrate", "doctor", "mirror", "shadow", "flip", "rollback", "default-stage", "status", "gates", "audit"}
    assert own <= proxy.cli.names(app)
    for name in sorted(own):
        assert "Example" in (await shell(name, "--help")).out
    for name in ("list", "show", "ignore", "repair"):
        assert "Example" in (await shell("mismatches", name, "--help")).out


@pytest.mark.parametrize("module", proxy.cli.COMMANDS)
def test_a_command_is_loaded_without_the_others(module: str) -> None:
    """What `COMMANDS` says of a module is what it registers; `build` gives that and nothing else."""
    for command in proxy.cli.COMMANDS[module]:
        app, broken = proxy.cli.build(command)
        assert broken == ()
        assert proxy.cli.names(app) == set(proxy.cli.COMMANDS[module])


def test_a_command_that_nobody_knows_is_met_by_all_of_them() -> None:
    app, _ = proxy.cli.build("nonsense")
    assert {"status", "backfill", "demo"} <= proxy.cli.names(app)
    found = CliRunner().invoke(app, ["nonsense"])
    assert found.exit_code == 2
    assert "Did you mean 'noise'?" in found.output


def test_the_version_is_told() -> None:
    app, _ = proxy.cli.build()
    assert CliRunner().invoke(app, ["--version"]).output == f"crossfade {version('crossfade')}\n"


def test_a_broken_package_does_not_break_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [
        EntryPoint("gone", "no.such.package:register", "crossfade.commands"),
        EntryPoint("own", "proxy.cli:register", "crossfade.commands"),
        EntryPoint("works", f"{__name__}:register_another", "crossfade.commands"),
    ]
    monkeypatch.setattr(proxy.cli, "entry_points", lambda group: entries)
    app, broken = proxy.cli.build()
    assert len(broken) == 1
    assert "the commands of 'gone' (no.such.package:register) are missing: ModuleNotFoundError" in broken[0]
    assert CliRunner().invoke(app, ["another"]).stdout == "here\n"
    monkeypatch.setattr("sys.argv", ["crossfade", "another"])
    with pytest.raises(SystemExit) as left:
        proxy.cli.main()
    assert left.value.code == 0
    assert "no.such.package" in capsys.readouterr().err


def register_another(app: typer.Typer) -> None:
    @app.command()
    def another() -> None:
        typer.echo("here")
