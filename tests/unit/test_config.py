"""A wrong configuration stops at start with a sentence that says what to set."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import load
from proxy.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CROSSFADE_CONFIG", "POSTGRES_DSN", "ARANGO_URL", "CROSSFADE_DSN", "CROSSFADE_ORIGIN"):
        monkeypatch.delenv(name, raising=False)


def test_defaults_bind_to_loopback() -> None:
    settings = load()
    assert (settings.listen_host, settings.admin_host) == ("127.0.0.1", "127.0.0.1")


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "crossfade.toml"
    file.write_text('listen_port = 1\nbatch = 7\n[services]\n"/resumes" = "http://127.0.0.1:8000"\n')
    monkeypatch.setenv("CROSSFADE_CONFIG", str(file))
    monkeypatch.setenv("CROSSFADE_LISTEN_PORT", "2")
    settings = load()
    assert (settings.listen_port, settings.batch) == (2, 7)
    assert str(settings.services["/resumes"]) == "http://127.0.0.1:8000/"


def test_the_usual_names_of_both_servers_are_taken_where_crossfades_own_are_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://a/b")
    monkeypatch.setenv("ARANGO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CROSSFADE_ORIGIN", "http://127.0.0.1:2")
    settings = load()
    assert (settings.dsn, str(settings.origin)) == ("postgresql://a/b", "http://127.0.0.1:2/")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CROSSFADE_ORIGIN", "ftp://x", "set CROSSFADE_ORIGIN"),
        ("CROSSFADE_LISTEN_PORT", "99999", "set CROSSFADE_LISTEN_PORT"),
        ("CROSSFADE_SAMPLE_PERCENT", "many", "set CROSSFADE_SAMPLE_PERCENT"),
        ("CROSSFADE_SERVICES", "resumes", "set CROSSFADE_SERVICES to a JSON object"),
        ("CROSSFADE_SERVICES", '{"resumes": "http://127.0.0.1:1"}', "'resumes' is no path of a service"),
        ("CROSSFADE_LEASE", "0.3", "set CROSSFADE_LEASE .*: .*a lease lasts two heartbeats"),
        ("CROSSFADE_CONFIG", "/nonexistent.toml", "no such file"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=says):
        load()


def test_an_unknown_setting_or_a_broken_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "crossfade.toml"
    monkeypatch.setenv("CROSSFADE_CONFIG", str(file))
    file.write_text("listen_prot = 1\n")
    with pytest.raises(ConfigurationError, match="LISTEN_PROT"):
        load()
    file.write_text("listen_port = = 1\n")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load()
