"""A wrong configuration prevents the start, with a message that states what to set."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from proxy.base.config import Settings, is_advanced, load
from proxy.base.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CROSSFADE_CONFIG", "POSTGRES_DSN", "ARANGO_URL", "CROSSFADE_DSN", "CROSSFADE_ORIGIN"):
        monkeypatch.delenv(name, raising=False)


def test_defaults_bind_to_loopback() -> None:
    settings = load()
    assert (settings.listen_host, settings.admin_host) == ("127.0.0.1", "127.0.0.1")


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "crossfade.toml"
    file.write_text('listen_port = 1\n[advanced]\nbatch = 7\n[services]\n"/resumes" = "http://127.0.0.1:8000"\n')
    monkeypatch.setenv("CROSSFADE_CONFIG", str(file))
    monkeypatch.setenv("CROSSFADE_LISTEN_PORT", "2")
    settings = load()
    assert (settings.listen_port, settings.batch) == (2, 7)
    assert str(settings.services["/resumes"].get_secret_value()) == "http://127.0.0.1:8000/"


def test_the_usual_names_of_both_servers_are_taken_where_crossfades_own_are_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://a/b")
    monkeypatch.setenv("ARANGO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CROSSFADE_ORIGIN", "http://127.0.0.1:2")
    settings = load()
    assert (settings.postgresql_dsn, settings.origin_url) == ("postgresql://a/b", "http://127.0.0.1:2/")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CROSSFADE_ORIGIN", "ftp://x", "set CROSSFADE_ORIGIN"),
        ("CROSSFADE_LISTEN_PORT", "99999", "set CROSSFADE_LISTEN_PORT"),
        ("CROSSFADE_SAMPLE_PERCENT", "many", "set CROSSFADE_SAMPLE_PERCENT"),
        ("CROSSFADE_SERVICES", "resumes", "set CROSSFADE_SERVICES to a JSON object"),
        ("CROSSFADE_REDACT_PATHS", "foo", "set CROSSFADE_REDACT_PATHS to a JSON array"),
        ("CROSSFADE_SERVICES", '{"resumes": "http://127.0.0.1:1"}', "'resumes' is not a path of a service"),
        ("CROSSFADE_ADMIN_NAMES", "proxy", r'set CROSSFADE_ADMIN_NAMES to a JSON array, as in \["crossfade.example"\]'),
        ("CROSSFADE_LEASE", "0.3", "set CROSSFADE_LEASE .*: .*a lease lasts two heartbeats"),
        ("CROSSFADE_CONFIG", "/nonexistent.toml", "no such file"),
        ("CROSSFADE_LISTEN_HOST", "", "set CROSSFADE_LISTEN_HOST"),  # every interface, in the socket API
        ("CROSSFADE_ADMIN_HOST", "", "set CROSSFADE_ADMIN_HOST"),
        ("CROSSFADE_STATE_DIR", "", "set CROSSFADE_STATE_DIR .*names no folder"),
        ("CROSSFADE_LEASE", "inf", "set CROSSFADE_LEASE .*finite"),
        ("CROSSFADE_TOMBSTONE_SECONDS", "nan", "set CROSSFADE_TOMBSTONE_SECONDS .*finite"),
        ("CROSSFADE_ORIGIN", "http://127.0.0.1:8529?x=1", "set CROSSFADE_ORIGIN .*has no"),
        ("CROSSFADE_SERVICES", '{"/a": "http://127.0.0.1:1/x#y"}', "set CROSSFADE_SERVICES .*has no"),
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
    with pytest.raises(ConfigurationError, match="listen_prot is not a setting: do you mean listen_port"):
        load()
    file.write_bytes(b"listen_port = 1 # \xff\n")
    with pytest.raises(ConfigurationError, match="cannot be read: it is not UTF-8"):
        load()
    file.write_text("listen_port = = 1\n")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("CROSSFADE_HEARTBET", "CROSSFADE_HEARTBET is not a setting: do you mean CROSSFADE_HEARTBEAT?"),
        (
            "crossfade_origin_pasword",
            "crossfade_origin_pasword is not a setting: do you mean CROSSFADE_ORIGIN_PASSWORD?",
        ),
        ("CROSSFADE_ADMIN_PRT", "do you mean CROSSFADE_ADMIN_PORT?"),
        ("CROSSFADE_COLOUR", "CROSSFADE_COLOUR is not a setting: docs/settings.md lists the settings"),
        ("CROSSFADE_ORIGINS__X", "CROSSFADE_ORIGINS__X is not a setting"),
        ("CROSSFADE_ORIGIN__PASSWORD", "CROSSFADE_ORIGIN__PASSWORD is not a setting: do you mean CROSSFADE_ORIGIN_"),
        ("CROSSFADE_LISTEN_PORT__X", "CROSSFADE_LISTEN_PORT__X is not a setting: do you mean CROSSFADE_LISTEN_PORT?"),
    ],
)
def test_a_misspelt_variable_is_refused_and_the_near_one_named(
    name: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "s3cret")
    with pytest.raises(ConfigurationError) as refused:
        load()
    assert says in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CROSSFADE_SERVICE_HOST", "10.0.0.1"),
        ("CROSSFADE_SERVICE_PORT", "8531"),
        ("CROSSFADE_SERVICE_PORT_ADMIN", "8531"),
        ("CROSSFADE_PORT", "tcp://10.0.0.1:8531"),
        ("CROSSFADE_PORT_8531_TCP", "tcp://10.0.0.1:8531"),
        ("CROSSFADE_PORT_8531_TCP_ADDR", "10.0.0.1"),
        ("CROSSFADE_PROXY_SERVICE_HOST", "10.0.0.1"),
        ("CROSSFADE_LISTEN_PORT", "tcp://10.0.0.1:8531"),
        ("CROSSFADE_ADMIN_PORT", "tcp://10.0.0.1:8531"),
        ("CROSSFADE_FAULT", ""),
        ("CROSSFADE_DATABASE", "shop"),
    ],
)
def test_what_kubernetes_sets_for_a_service_of_that_name_is_let_through(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert load().listen_port == 8530


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CROSSFADE_ORIGIN", "ftp://root:s3cret@host"),
        ("CROSSFADE_ORIGIN", "http://root:s3cret@host:99999999"),
        ("CROSSFADE_ORIGIN", "http://root:s@ec/s3cret@host:80"),
        ("CROSSFADE_ORIGIN", "http://root:5#s3cret@host:80"),
        ("CROSSFADE_ORIGIN", "http://root:5?s3cret@host:80"),
        ("CROSSFADE_SERVICES", '{"/a": "ftp://u:s3cret@host"}'),
        ("CROSSFADE_SERVICES", '{"/a": "s3cret'),
        ("CROSSFADE_LISTEN_PORT", "s3cret"),
        ("CROSSFADE_LOG_LEVEL", "s3cret"),
        ("CROSSFADE_DSN", "postgresql://u:s3cret/x@host/db"),
        ("CROSSFADE_DSN", "postgresql://u:s3cret@host:99x/db"),
        ("CROSSFADE_DSN", "s3cret"),
        ("CROSSFADE_SERVICES__A", "s3cret"),
    ],
)
def test_no_message_shows_what_may_hold_a_password(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refused:
        load()
    shown = "".join(traceback.format_exception(refused.value))
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("batch = 7", r"batch belongs below \[advanced\]"),
        ("[advanced]\nlisten_port = 7", r"listen_port belongs above \[advanced\]"),
        ("[advanced]\nbach = 7", "bach is not a setting: do you mean batch?"),
        ("colour = 7", "colour is not a setting: docs/settings.md lists the settings"),
        ("advanced = 7", r"advanced is a table: write \[advanced\]"),
        (
            "[advanced]\nbatch = 0",
            "set CROSSFADE_BATCH .or batch in the file.: .* greater than or equal to 1",
        ),
    ],
)
def test_a_key_of_the_file_that_is_wrong_or_in_the_wrong_place_is_named(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "crossfade.toml"
    file.write_text(text)
    monkeypatch.setenv("CROSSFADE_CONFIG", str(file))
    with pytest.raises(ConfigurationError, match=says):
        load()


def test_about_a_dozen_settings_are_not_advanced() -> None:
    main = [name for name, field in Settings.model_fields.items() if not is_advanced(field)]
    assert 10 <= len(main) <= 14, main
    assert all(field.description for field in Settings.model_fields.values())


def test_a_misspelt_password_in_the_file_is_named_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "crossfade.toml"
    file.write_text('origin_pasword = "s3cret"\n')
    monkeypatch.setenv("CROSSFADE_CONFIG", str(file))
    with pytest.raises(
        ConfigurationError, match="origin_pasword is not a setting: do you mean origin_password"
    ) as refused:
        load()
    assert "s3cret" not in str(refused.value)


def test_the_representation_of_settings_holds_no_password() -> None:
    settings = load(
        origin="http://root:s3cret@127.0.0.1:8529",
        origin_password="s3cret",
        dsn="postgresql://app:s3cret@127.0.0.1/app",
        services={"/a": "http://u:s3cret@127.0.0.1:1"},
    )
    for shown in (
        repr(settings),
        str(settings),
        str(settings.model_dump()),
        settings.model_dump_json(),
        settings.origin_address,
    ):
        assert "s3cret" not in shown
    assert settings.origin_url == "http://root:s3cret@127.0.0.1:8529/"
    assert settings.origin_account == ("root", "s3cret")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://127.0.0.1:5432/crossfade",
        "postgres://app:p%2Fw@db.example:5432,db2.example:5433/app?sslmode=verify-full",
        "postgresql://app@[::1]:5432/app",
        "postgresql:///app?host=/var/run/postgresql",
        "postgresql://app@%2Fvar%2Frun%2Fpostgresql/app",
    ],
)
def test_every_usual_form_of_a_dsn_is_taken(dsn: str) -> None:
    assert load(dsn=dsn).postgresql_dsn == dsn
