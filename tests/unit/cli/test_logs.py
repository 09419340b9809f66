"""What the command and the proxy log: no variable of a traceback, and nothing below the level that was asked for."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

import proxy.cli
from proxy.app import process
from proxy.base.config import Settings
from proxy.cli import log_to


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_a_traceback_shows_no_variables() -> None:
    """They hold documents and credentials."""
    stream = io.StringIO()
    log_to(stream)

    def fail(document: str) -> None:
        raise ZeroDivisionError

    try:
        fail("-".join(("of", "a", "person")))  # a traceback shows the line itself
    except ZeroDivisionError:
        structlog.get_logger().exception("it failed")
    assert "it failed" in stream.getvalue()
    assert "in fail" in stream.getvalue()
    assert "of-a-person" not in stream.getvalue()


def test_the_proxy_logs_from_the_level_of_its_settings_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    log_to(stream)

    def ran(work: Any) -> None:
        work.close()
        structlog.get_logger().info("quiet")
        structlog.get_logger().warning("loud")

    monkeypatch.setattr("proxy.app.process.uvloop.run", ran)
    process.run(Settings(log_level="warning"))
    assert "loud" in stream.getvalue()
    assert "quiet" not in stream.getvalue()


def test_ctrl_c_while_a_command_is_loaded_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(proxy.cli, "build", load)
    with pytest.raises(SystemExit) as ended:
        proxy.cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "crossfade: interrupted before anything was done\n"
