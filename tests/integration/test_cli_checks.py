"""Commands that inspect and name problems: mismatches, doctor, audit, help, missing databases."""

from __future__ import annotations

import asyncio
import json
from importlib.metadata import EntryPoint, version
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import proxy.cli
from tests.ad_hoc import Database
from tests.integration.cli_fixtures import ORDERS, Origin, Shell, fleet, origin, quiet_instances, shell
from tests.integration.control_fixtures import Fleet, until

__all__ = ["fleet", "origin", "quiet_instances", "shell"]  # fixtures


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


async def test_mismatches_are_listed_shown_ignored_and_repaired(
    shell: Shell, database: Database, origin: Origin
) -> None:
    await shell("mirror", "orders")
    assert "no open mismatch" in (await shell("mismatches", "list")).out
    first, second = await _mismatch(database, 1, ["a", "gone"]), await _mismatch(database, 2, [])
    assert "total" in (await shell("mismatches", "list", "orders")).out
    output = (await shell("mismatches", "show", str(first))).out
    assert "GET [x]" in output
    assert '"total": 1' in output
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
    assert "would repair 2 documents" in (await shell("mismatches", "repair", str(first), "--dry-run")).out
    done = await shell("mismatches", "repair", str(first), str(second))
    assert done.code == 0, done.err
    assert "shop/orders: repaired 2 documents" in done.out
    assert "names no document" in done.err
    rows = await database.fetch(f"SELECT key, raw ->> 'total' AS total FROM {relation} ORDER BY key")
    assert [tuple(row) for row in rows] == [("a", "1"), ("gone", None)]
    assert (await shell("mismatches", "list")).out.strip() == "no open mismatches"
    assert (await shell("mismatches", "repair", "99")).code == 1


async def test_doctor_reports_problems_of_databases_and_instances(
    shell: Shell, origin: Origin, fleet: Fleet, tmp_path: Path
) -> None:
    alone = await shell("doctor", "--json")
    found = {check["name"]: check["verdict"] for check in alone.json}
    assert (alone.code, found["PostgreSQL"], found["schema"], found["ArangoDB"]) == (0, "ok", "ok", "ok")
    assert found["instances"] == "warn"
    one = await fleet.start("one")
    await until(lambda: one.lease.may_read_target)
    (one.settings.state_dir / "origin-only").touch()
    await until(lambda: one.lease._diverged_in_row)
    origin.version = "3.11.2"
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "origin-only").touch()
    result = await shell("doctor")
    assert result.code == 1
    for words in ("instance one: diverged", "before 3.12", "origin-only is set"):
        assert words in result.out
    await fleet.crash(one)
    origin.refuse = True
    assert "refuses root: not authorized" in (await shell("doctor")).out
    (tmp_path / "file").touch()
    unreachable = str(tmp_path / "file" / "state")
    shell.environment |= {"CROSSFADE_ORIGIN": "http://127.0.0.1:1", "CROSSFADE_STATE_DIR": unreachable}
    result = await shell("doctor")
    assert "does not answer" in result.out
    assert f"{unreachable} cannot be written" in result.out
    shell.environment |= {"CROSSFADE_DSN": "postgresql://127.0.0.1:1/none"}
    assert (await shell("doctor")).code == 2


@pytest.mark.parametrize("unexpected", [b"<html>", ["a list"]])
async def test_a_server_that_is_not_arangodb_is_reported(shell: Shell, origin: Origin, unexpected: Any) -> None:
    origin.any_answer = unexpected
    result = await shell("doctor")
    assert (result.code, "set CROSSFADE_ORIGIN" in result.out) == (1, True)
    assert (await shell("mirror", "orders")).code == 0  # unreachable: reported, and continued


async def test_a_repair_without_arangodb_fails_and_keeps_the_mismatch_open(
    shell: Shell, database: Database, origin: Origin
) -> None:
    await shell("mirror", "orders")
    number = await _mismatch(database, 1, ["a"])
    origin.refuse = True
    refused = await shell("mismatches", "repair", str(number))
    assert (refused.code, "ArangoDB refused" in refused.err) == (1, True)
    shell.environment["CROSSFADE_ORIGIN"] = "http://127.0.0.1:1"
    unreachable = await shell("mismatches", "repair", str(number), "--json")
    assert (unreachable.code, unreachable.json["error"]["code"]) == (1, 1)
    assert "Set CROSSFADE_ORIGIN" in unreachable.err
    assert len((await shell("mismatches", "list", "--json")).json) == 1  # still open
    assert (await shell("mismatches", "ignore", str(number), "--reason", "x", "--json")).json["ignored"] == [number]


async def test_doctor_prints_human_readable_text(shell: Shell, fleet: Fleet, database: Database) -> None:
    one = await fleet.start("one")
    await until(lambda: one.lease.may_read_target)
    result = await shell("doctor")
    assert result.code == 0, result.out
    assert "ok    instance one: backlog 0, lag 0.0 s" in result.out
    assert "ok    ArangoDB: arango 3.12.4" in result.out
    await database.execute("UPDATE _crossfade.instance SET version = '0.0.1'")
    result = await shell("doctor")
    assert (result.code, "warn  instance one: runs version 0.0.1, this command" in result.out) == (0, True)
    shell.environment["CROSSFADE_HEARTBEAT"] = "soon"
    assert (await shell("doctor")).code == 2


async def test_audit_and_gates_print_json(shell: Shell) -> None:
    assert "no collection is mirrored" in (await shell("gates")).out
    await shell("mirror", "orders")
    assert (await shell("audit", "--json")).json[0]["action"] == "change"
    gates = (await shell("gates", "--json")).json
    assert {gate["name"] for gate in gates[ORDERS]} >= {"backfilled", "verified", "instances in sync"}


async def test_doctor_reports_a_silent_instance(shell: Shell, fleet: Fleet) -> None:
    one = await fleet.start("one", lease=0.2)
    await fleet.crash(one)
    while "instance one: silent" not in (result := await shell("doctor")).out:
        await asyncio.sleep(0.05)
    assert "crossfade instances evict one --confirmed-stopped" in result.out


async def test_an_unmigrated_or_unreachable_postgresql_exits_2(shell: Shell, empty_dsn: str) -> None:
    shell.environment["CROSSFADE_DSN"] = empty_dsn
    for arguments in (["status"], ["mirror", "orders"], ["gates"], ["instances", "--json"], ["doctor"]):
        result = await shell(*arguments)
        assert (result.code, "crossfade migrate" in result.err + result.out) == (2, True)
    planned = await shell("migrate", "--dry-run")
    assert (planned.code, "would apply 0001_pre_control" in planned.out) == (0, True)
    assert "applied 0001_pre_control" in (await shell("migrate")).out
    assert "up to date" in (await shell("migrate", "--phase", "all")).out
    assert (await shell("migrate", "--json")).json["applied"] == []
    assert (await shell("migrate", "--phase", "never")).code == 2
    assert (await shell("status")).code == 0
    shell.environment["CROSSFADE_DSN"] = "postgresql://127.0.0.1:1/none"
    result = await shell("status")
    assert (result.code, "Set CROSSFADE_DSN" in result.err) == (2, True)
    shell.environment["CROSSFADE_HEARTBEAT"] = "soon"
    result = await shell("status", "--json")
    assert (result.code, "CROSSFADE_HEARTBEAT" in result.json["error"]["message"]) == (2, True)
    assert (await shell("doctor")).code == 2
    assert (await shell("proxy", "run")).code == 2


async def test_help_contains_examples(shell: Shell) -> None:
    app, _ = proxy.cli.build()
    own = {"migrate", "doctor", "mirror", "shadow", "flip", "rollback", "stage", "status", "gates", "audit"}
    assert own <= proxy.cli.names(app)
    for name in sorted(own):
        assert "Example" in (await shell(name, "--help")).out
    for name in ("list", "show", "ignore", "repair"):
        assert "Example" in (await shell("mismatches", name, "--help")).out


@pytest.mark.parametrize("module", proxy.cli.COMMANDS)
def test_a_command_is_loaded_without_the_others(module: str) -> None:
    """`COMMANDS` lists exactly what a module registers; `build` returns that alone."""
    for command in proxy.cli.COMMANDS[module]:
        app, broken = proxy.cli.build(command)
        assert broken == ()
        assert proxy.cli.names(app) == set(proxy.cli.COMMANDS[module])


def test_an_unknown_command_lists_all_commands() -> None:
    app, _ = proxy.cli.build("nonsense")
    assert {"status", "backfill", "demo"} <= proxy.cli.names(app)
    found = CliRunner().invoke(app, ["nonsense"])
    assert found.exit_code == 2
    found = CliRunner().invoke(app, ["tolerances"])
    assert "Did you mean 'tolerance'" in found.output


def test_the_version_is_printed() -> None:
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
    with pytest.raises(SystemExit) as exit_info:
        proxy.cli.main()
    assert exit_info.value.code == 0
    assert "no.such.package" in capsys.readouterr().err


def register_another(app: typer.Typer) -> None:
    @app.command()
    def another() -> None:
        typer.echo("here")
