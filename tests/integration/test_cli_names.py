"""Every command refuses an unknown name; the emergency rollback is the strictest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

import proxy.cli
from proxy.base.errors import PreconditionFailed
from proxy.model.stages import Phase, Stage
from tests.ad_hoc import Database
from tests.integration.cli_fixtures import ORDERS, Shell, origin, quiet_instances, shell
from tests.integration.control_fixtures import Application, Fleet, pass_gates, until

__all__ = ["origin", "quiet_instances", "shell"]  # fixtures

# metavar in the help -> an unknown name of something in PostgreSQL or ArangoDB
UNKNOWN_NAMES: Final = {
    "COLLECTION": "shop/ordres",
    "COLLECTION/KEY": "shop/ordres/1",
    "DATABASE": "shopp",
    "ID": "99",
    "SHAPE": "0000",
    "FINGERPRINT": "nothing",
    "LIMIT": "patience",
}
COLLECTIONS: Final = {kind for kind in UNKNOWN_NAMES if "COLLECTION" in kind}
# texts, files, numbers; and keys, which belong to a collection that is named beside them
NOT_NAMES: Final = {"AQL", "DIR", "BUNDLE", "PATH", "VALUE", "STAGE", "KEY"}
# other arguments that a command needs
OTHER_ARGUMENTS: Final[dict[str, tuple[str, ...]]] = {
    "stage default": ("mirror",),
    "tolerance add": ("total", "--ignore", "--reason", "x"),
    "gates limits set": ("1", "--reason", "x"),
    "mismatches ignore": ("--reason", "x"),
    "instances evict": ("--confirmed-stopped",),
    "queries exempt": ("--reason", "x"),
    "archive export": ("--to", "archive"),
}
# options whose value is a name, and the arguments before them
OPTION_CALLS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("queries exempt", "--collection"): ("0000", "--reason", "x", "--collection", "shop/ordres"),
    ("queries unexempt", "--collection"): ("0000", "--collection", "shop/ordres"),
    ("sampling", "--shape"): ("shop/orders", "--percent", "5", "--shape", "0000"),
    ("backfill worker", "--run"): ("--run", "99"),
    ("explain", "--database"): ("RETURN 1", "--database", "shopp"),
    ("explain", "of the query"): ("FOR o IN ordres RETURN o", "--database", "shop"),
}
NAME_OPTIONS: Final = {"--collection", "--shape", "--run"}
# they read an archive, which has its own collections: tests/unit/archive
ARCHIVE_COMMANDS: Final = {"archive import", "archive verify"}


@pytest.fixture
async def fleet(database: Database, tmp_path: Path) -> AsyncIterator[Fleet]:
    instances = Fleet(database, tmp_path)
    yield instances
    await instances.close()


def commands() -> Iterator[tuple[str, Any]]:
    """Return every command of every package by its words."""
    app, broken = proxy.cli.build()
    assert not broken

    def below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        inner: dict[str, Any] = getattr(command, "commands", {})
        if not inner or getattr(command, "invoke_without_command", False):
            yield words, command
        for name, one in inner.items():
            yield from below(f"{words} {name}", one)

    for name, one in typer.main.get_group(app).commands.items():
        yield from below(name, one)


def calls() -> Iterator[tuple[str, ...]]:
    """Yield a call with an unknown name for each argument and option of every command that takes a name."""
    for words, command in commands():
        if words in ARCHIVE_COMMANDS:
            continue
        kinds = [one.metavar or one.name.upper() for one in command.params if one.param_type_name == "argument"]
        unheard = [kind for kind in kinds if kind not in UNKNOWN_NAMES and kind not in NOT_NAMES]
        assert not unheard, (
            f"{words} takes {unheard}: add an unknown name for it to this test, or that it is not a name"
        )
        options = {name for one in command.params if one.param_type_name == "option" for name in one.opts}
        additional = OTHER_ARGUMENTS.get(words, ())
        for kind in kinds:
            if kind in UNKNOWN_NAMES:
                yield (*words.split(), UNKNOWN_NAMES[kind], *additional)
            if kind in COLLECTIONS and "--database" in options:
                other = "orders/1" if kind == "COLLECTION/KEY" else "orders"
                yield (*words.split(), other, *additional, "--database", "shopp")
        unheard = [name for name in options & NAME_OPTIONS if (words, name) not in OPTION_CALLS]
        assert not unheard, f"{words} has {unheard}: add to this test how to pass an unknown one"
    for (words, _), arguments in OPTION_CALLS.items():
        yield (*words.split(), *arguments)


async def test_every_command_refuses_a_name_that_it_does_not_know(
    shell: Shell, fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 and an error with the known names: a typing error never results in success."""
    monkeypatch.chdir(tmp_path)
    for module in ("backfill.cli_runtime", "backfill.archive.cli"):  # signals are the main thread's alone
        monkeypatch.setattr(f"{module}.stop_on_signals", lambda _: contextlib.nullcontext())
    await fleet.to(Stage.MIRROR, ORDERS)
    tried = set()
    for call in calls():
        result = await shell(*call)
        assert result.code == 1, f"{call} ended with {result.code}: {result.out} {result.err}"
        assert result.err.startswith("crossfade: "), call
        if "shop/ordres" in call:
            assert "ordres" in result.err, call
        if "shop/ordres" in call and call[0] != "archive":  # ArangoDB itself is asked by that
            assert "shop/orders" in result.err, (call, result.err)
        tried.add(call[0])
    assert {"rollback", "auto-rollback", "trace", "stage", "sampling", "tolerance", "mismatches", "queries"} <= tried
    assert {"repair", "verify", "backfill", "gates", "explain", "instances", "report"} <= tried


async def test_unknown_names_are_reported_as_json(shell: Shell, fleet: Fleet) -> None:
    await fleet.to(Stage.MIRROR, ORDERS)
    result = await shell("rollback", "shop/ordres", "--json")
    assert (result.code, result.json["error"]["code"]) == (1, 1)
    assert "did you mean shop/orders" in result.json["error"]["message"]


async def flipped(fleet: Fleet, *collections: str) -> None:
    for stage in (Stage.MIRROR, Stage.SHADOW):
        await fleet.to(stage, *collections)
    for collection in collections:
        await pass_gates(fleet.database, collection)
    await fleet.to(Stage.FLIPPED, *collections)


async def stages(database: Database) -> dict[str, str]:
    rows = await database.fetch("SELECT collection, stage FROM _crossfade.collection ORDER BY collection")
    return {row["collection"]: row["stage"] for row in rows}


async def test_a_rollback_of_a_wrong_name_says_what_is_flipped(shell: Shell, fleet: Fleet, database: Database) -> None:
    await fleet.start("one")
    await flipped(fleet, ORDERS)
    typo = await shell("rollback", "shop/ordres")
    assert (typo.code, "did you mean shop/orders" in typo.err) == (1, True)
    assert "flipped now: shop/orders 100 %" in typo.err
    elsewhere = await shell("rollback", "orders", "--database", "_system")
    assert (elsewhere.code, "_system/orders is not known: did you mean shop/orders" in elsewhere.err) == (1, True)
    pattern = await shell("rollback", "shopp/*")
    assert (pattern.code, "shop" in pattern.err) == (1, True)
    assert await stages(database) == {ORDERS: "flipped"}
    both = await shell("rollback", "ordres", "orders", "--json")
    assert (both.code, both.json["unknown"], len(both.json["transitions"])) == (1, ["shop/ordres"], 1)
    assert "nothing is flipped" in both.err
    assert await stages(database) == {ORDERS: "shadow"}, (
        "the collection that was named correctly is rolled back all the same"
    )


async def test_one_command_rolls_everything_back(shell: Shell, fleet: Fleet, database: Database) -> None:
    await fleet.start("one")
    await flipped(fleet, ORDERS, "blog/posts")
    assert (await shell("rollback")).code == 2
    assert (await shell("rollback", "orders", "--all")).code == 2
    assert "2 proxies" not in (await shell("rollback", "--all", "--dry-run")).out
    back = await shell("rollback", "--all", "--json")
    assert (back.code, {move["collection"] for move in back.json["transitions"]}) == (0, {ORDERS, "blog/posts"})
    assert set((await stages(database)).values()) == {"shadow"}
    repeated = await shell("rollback", "--all")
    assert (repeated.code, "Already at shadow, or before" in repeated.err) == (0, True)
    assert (await shell("rollback", "--all", "--to", "off")).code == 0
    assert set((await stages(database)).values()) == {"off"}


async def test_a_rollback_of_everything_aborts_open_epochs(shell: Shell, fleet: Fleet) -> None:
    slow = await fleet.start("slow", Application(uncaptured=2))
    waiting = asyncio.create_task(fleet.to(Stage.MIRROR, ORDERS))
    await until(lambda: slow.lease.snapshot.phase is Phase.BEGIN)
    assert (await shell("rollback", "--all")).code == 0
    with pytest.raises(PreconditionFailed, match="aborted by another command"):
        await waiting


async def test_without_postgresql_a_rollback_states_who_serves_reads(shell: Shell) -> None:
    """It is not needed then: proxies answer from ArangoDB, and a file forces each of them to."""
    shell.environment["CROSSFADE_DSN"] = "postgresql://127.0.0.1:1/none"
    result = await shell("rollback", "--all")
    assert result.code == 2
    assert "reads from ArangoDB by itself" in result.out
    assert f"touch {shell.environment['CROSSFADE_STATE_DIR']}/origin-only" in result.out
    machine = await shell("rollback", "orders", "--json")
    assert any("origin-only" in line for line in machine.json["error"]["meanwhile"])
