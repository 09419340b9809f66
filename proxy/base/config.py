"""Settings: environment variables `CROSSFADE_*`, a TOML file, defaults. A wrong one stops the start with a sentence.

Three rules. An unknown variable or key is refused, never ignored. What may hold a password is a `Secret`, so that no
`repr`, log or status shows it, and messages never show a value. Variables that Kubernetes makes for a service called
`crossfade` are not settings.

docs/settings.md is generated from the descriptions here (proxy/operator/reference.py): settings that most installations
set, and those that are `advanced`, which are below [advanced] in the file.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AnyHttpUrl,
    Field,
    Secret,
    SecretStr,
    UrlConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from proxy.base import config_checks
from proxy.base.config_messages import not_json, wrong_settings
from proxy.base.config_names import ADVANCED, KUBERNETES_URL, PREFIX, flattened, unknown_variables
from proxy.base.errors import ConfigurationError

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})

HttpUrl = Annotated[AnyHttpUrl, UrlConstraints(allowed_schemes=["http", "https"])]
SecretUrl = Secret[HttpUrl]  # a URL may carry a user and a password


def _advanced(default: Any = ..., description: str = "", **more: Any) -> Any:
    """Return a field that is below [advanced] in the TOML file."""
    return Field(default, description=description, json_schema_extra={ADVANCED: True}, **more)


class Settings(BaseSettings):
    """All settings. `CROSSFADE_CONFIG` names a TOML file with the same names; the environment wins."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    # ---- what most installations set

    mode: Literal["migration", "complete"] = Field(
        "migration",
        description="`migration`: ArangoDB and PostgreSQL, by the stage of each collection. `complete`: PostgreSQL "
        "alone answers every request, and ArangoDB is never contacted; refused while ArangoDB takes the writes of a "
        "collection",
    )
    origin: SecretUrl = Field(SecretUrl(HttpUrl("http://127.0.0.1:8529")), description="URL of ArangoDB")
    origin_user: str = Field(
        "root", description="account of Crossfade in ArangoDB: for comparisons, repair and backfill"
    )
    origin_password: SecretStr = Field(SecretStr(""), description="password of that account")
    dsn: SecretStr = Field(
        SecretStr("postgresql://127.0.0.1:5432/crossfade"),
        description="URL of PostgreSQL, target and control plane: the primary, directly or through a pooler in session "
        "mode",
    )
    listen_host: str = Field("127.0.0.1", min_length=1, description="address of the traffic listener")
    listen_port: int = Field(8530, ge=0, le=65535, description="port of the traffic listener")
    admin_host: str = Field(
        "127.0.0.1", min_length=1, description="address of the admin listener: metrics, health, status"
    )
    admin_port: int = Field(8531, ge=0, le=65535, description="port of the admin listener")
    services: dict[str, SecretUrl] = Field(
        default_factory=dict,
        description="from path prefix to URL of a document service; the longest matching prefix is used. The prefix "
        "stays in the path, and the path of the URL is put before it: "
        '`{"/api": "http://host/v1"}` sends `/api/x` to `/v1/api/x`',
        examples=['{"/resumes": "http://127.0.0.1:8000"}'],
    )
    state_dir: Path = Field(
        Path("var/crossfade"),
        description="folder of the journal, the instance id, large bodies in transit and the file `origin-only`; the "
        "proxy writes nowhere else. Put it on a disk that survives a restart",
    )
    sample_percent: float = Field(
        100.0,
        ge=0,
        le=100,
        description="percentage of reads that are compared; `crossfade sampling` sets it for a collection or a shape",
    )
    redact: bool = Field(default=False, description="do not store values of documents in samples")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged: `debug`, `info`, `warning` or `error`"
    )

    # ---- advanced: listeners and services

    admin_advertise: str = _advanced(
        "",
        "host or IP address by which other machines reach the admin listener; by default `admin_host`, or the name of "
        "the machine if that is a wildcard address. In Kubernetes: `status.podIP`",
    )
    admin_names: list[str] = _advanced(
        description="host names that the admin listener accepts in requests. It always accepts IP addresses, "
        "`localhost`, the name of the machine and `*.svc`, and refuses all other names",
        default_factory=list,
        examples=['["crossfade.example"]'],
    )
    service_forwarded: Literal["append", "replace", "off"] = _advanced(
        "append",
        "`X-Forwarded-For`, `-Proto` and `-Host` for services: `append` to what another proxy has set, `replace` it, "
        "or `off`: do not change these headers",
    )

    # ---- advanced: mode `complete`

    authentication: bool = _advanced(
        default=True,
        description="mode `complete`, and promoted collections: requests must authenticate, and rights are enforced; "
        "the accounts are in PostgreSQL. Set it as ArangoDB's `--server.authentication`",
    )
    root_password: SecretStr = _advanced(
        SecretStr(""),
        "mode `complete` only: password of the account `root`, which the first start creates; ignored later",
    )
    jwt_secret: SecretStr = _advanced(
        SecretStr(""),
        "secret that signs tokens in mode `complete`: with ArangoDB's own, tokens that ArangoDB issued stay valid. A "
        "proxy that starts with it, or `crossfade accounts copy`, shares it with all proxies; by default a new one",
    )
    jwt_secret_file: Path | None = _advanced(
        None, "file with that secret, such as the one of ArangoDB's `--server.jwt-secret-keyfile`"
    )

    # ---- advanced: connections and bodies

    origin_connections: int = _advanced(256, "greatest number of connections to ArangoDB", ge=1)
    read_connections: int = _advanced(
        8,
        "connections to PostgreSQL for reads of clients. If all are in use, a read waits at most 5 s, then gets 503, "
        "as from ArangoDB with a full queue",
        ge=1,
    )
    write_connections: int = _advanced(
        8, "mode `complete` only: connections to PostgreSQL for everything but reads; a request waits at most 5 s", ge=1
    )
    stream_transactions: int = _advanced(
        32,
        "mode `complete` only: open stream transactions, each with a connection to PostgreSQL; a further one gets 503",
        ge=1,
    )
    stream_transaction_seconds: float = _advanced(
        600.0, "mode `complete` only: seconds after which a stream transaction is aborted, however it is used", gt=0
    )
    connect_timeout: float = _advanced(5.0, "seconds to connect to ArangoDB or a service", gt=0)
    request_timeout: float = _advanced(120.0, "seconds within which an answer of ArangoDB must begin", gt=0)
    max_body: int = _advanced(1 << 30, "greatest size of a request body in bytes; ArangoDB's own limit is 1 GiB", ge=1)
    max_buffered_body: int = _advanced(
        4 << 20,
        "bytes; a larger body is streamed and not compared. In mode `complete` a larger array of documents or import "
        "is kept in `state_dir`, and carried out in parts",
        ge=1,
    )
    max_query_body: int = _advanced(16 << 20, "mode `complete`: bytes of a query and its variables, at most", ge=1)
    max_captured_body: int = _advanced(
        64 << 20,
        "bytes; a larger write or query is not captured, and the collections that it may change become unverified",
        ge=1,
    )
    capture_memory: int = _advanced(
        256 << 20,
        "bytes of memory for all bodies above `max_buffered_body` that are being captured; further ones wait",
        ge=1,
    )
    workers: int = _advanced(
        2,
        "worker processes for expensive queries, each with one connection to PostgreSQL; the same number again for "
        "comparisons",
        ge=1,
    )

    # ---- advanced: journal and mirror

    on_journal_error: Literal["forward", "refuse"] = _advanced(
        "forward",
        "if the journal cannot record a write: `forward` it, and its collection becomes unverified, or `refuse` it "
        "with 503",
    )
    lost_request_timeout: float = _advanced(
        10.0, "seconds after which a request whose answer was lost can no longer run in ArangoDB", ge=0
    )
    queue_documents: int = _advanced(
        20_000, "documents in memory that wait for PostgreSQL; further ones are in the journal only", ge=1
    )
    queue_bytes: int = _advanced(48 << 20, "bytes of documents in memory that wait for PostgreSQL", ge=1)
    batch: int = _advanced(100, "greatest number of documents in one statement of the mirror", ge=1, le=1000)
    apply_connections: int = _advanced(2, "connections to PostgreSQL for the mirror", ge=1)
    tombstone_seconds: float = _advanced(
        3600, "seconds for which PostgreSQL keeps the tombstone of a deletion; a longer time saves repeated reads", gt=0
    )

    reverse: Literal["async", "sync"] = _advanced(
        "async",
        "when a write of a promoted collection is answered: `async`, as soon as PostgreSQL has it, or `sync`, when "
        "ArangoDB has it as well, so that nothing that was acknowledged is lost without PostgreSQL; while ArangoDB is "
        "away, such writes get 503 after 10 s",
    )

    # ---- advanced: comparison of reads

    baseline_percent: float = _advanced(
        0.0,
        "percentage of compared reads for which ArangoDB is read twice and compared with itself (baseline check)",
        ge=0,
        le=100,
    )
    shadow_concurrency: int = _advanced(8, "concurrent comparisons", ge=1)
    shadow_queue: int = _advanced(
        4000, "greatest number of reads that wait for a comparison; further ones are skipped and counted", ge=1
    )
    recheck_timeout: float = _advanced(
        10.0, "seconds for which a difference is read again; after that the comparison counts as *undecided*", gt=0
    )
    examples: int = _advanced(
        20,
        "reads (keys, bind variables) that are stored of each shape for `crossfade shadow replay`; none with `redact`",
        ge=0,
        le=1000,
    )
    redact_paths: list[str] = _advanced(
        description="patterns of paths whose values are not stored in samples",
        default_factory=list,
        examples=['["*.email", "items[].name"]'],
    )
    sample_days: float = _advanced(30.0, "days after which samples and resolved mismatches are deleted", gt=0)

    rehearsal_share: float = _advanced(
        5.0,
        "percentage of writes that are rehearsed: decided a second time by the rules of PostgreSQL alone, and compared "
        "with ArangoDB's answer; the first 20 of each shape are in any case. 0 switches that off",
        ge=0,
        le=100,
    )

    # ---- advanced: control plane

    heartbeat: float = _advanced(0.25, "seconds between two heartbeats", gt=0)
    lease: float = _advanced(1.0, "seconds for which a proxy may read PostgreSQL after its last heartbeat", gt=0)
    flip_hold_timeout: float = _advanced(10.0, "seconds that a request waits at most during a flip or promotion", gt=0)
    start_without_postgresql: Literal["forward", "refuse"] = _advanced(
        "forward",
        "if PostgreSQL is down at the start and no stages are remembered: `forward` requests and record every write "
        "until the proxy can join, or `refuse` to start. A proxy that had promoted collections refuses in any case",
    )
    dev_auto_flip: bool = _advanced(
        default=False,
        description="for `crossfade dev --stage flipped` only: flip new collections immediately, without gates; "
        "refused unless ArangoDB is on this machine",
    )

    @property
    def origin_url(self) -> str:
        """The URL of ArangoDB, with its password if it has one: for clients, not for messages."""
        return str(self.origin.get_secret_value())

    @property
    def origin_address(self) -> str:
        """Host and port of ArangoDB, for messages."""
        url = self.origin.get_secret_value()
        return f"{url.host}:{url.port}"

    @property
    def origin_account(self) -> tuple[str, str]:
        """User and password that Crossfade itself reads ArangoDB with."""
        return self.origin_user, self.origin_password.get_secret_value()

    @property
    def postgresql_dsn(self) -> str:
        """The DSN, with its password: for clients, not for messages."""
        return self.dsn.get_secret_value()

    @field_validator("origin", "services")
    @classmethod
    def _whole_urls(cls, value: SecretUrl | dict[str, SecretUrl]) -> SecretUrl | dict[str, SecretUrl]:
        """Refuse URLs whose rest would be ignored: usually the host is then a part of an unencoded password."""
        for url in value.values() if isinstance(value, dict) else (value,):
            config_checks.check_server_url(str(url.get_secret_value()))
        return value

    @field_validator("listen_port", "admin_port", mode="before")
    @classmethod
    def _not_of_kubernetes(cls, value: object, info: ValidationInfo) -> object:
        """Ignore what Kubernetes sets in each pod for a service called `crossfade-admin` or `crossfade-listen`."""
        if isinstance(value, str) and KUBERNETES_URL.match(value):
            return cls.model_fields[str(info.field_name)].default
        return value

    @field_validator("state_dir", mode="before")
    @classmethod
    def _named_folder(cls, value: object) -> object:
        """Refuse an empty path, which would be the working directory."""
        if value == "":
            raise ValueError("it names no folder")
        return value

    @field_validator("services")
    @classmethod
    def _paths_of_services(cls, value: dict[str, SecretUrl]) -> dict[str, SecretUrl]:
        config_checks.check_service_paths(value)
        return value

    @field_validator("dsn")
    @classmethod
    def _readable_dsn(cls, value: SecretStr) -> SecretStr:
        config_checks.check_dsn(value.get_secret_value())
        return value

    @field_validator("lease")
    @classmethod
    def _longer_than_heartbeats(cls, value: float, info: ValidationInfo) -> float:
        heartbeat = info.data.get("heartbeat")
        if heartbeat is not None and value < 2 * heartbeat:  # else it would run out between two of them
            raise ValueError(f"a lease lasts two heartbeats at least (CROSSFADE_HEARTBEAT is {heartbeat:g})")
        return value

    @field_validator("dev_auto_flip")
    @classmethod
    def _local_only(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's interface
        origin = info.data.get("origin")
        if value and origin is not None and origin.get_secret_value().host not in _LOOPBACK:
            raise ValueError("it passes every gate: only for a local stack, whose ArangoDB is on this machine")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - passed by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - passed by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get("CROSSFADE_CONFIG")
        if not file:
            return init_settings, env_settings
        return init_settings, env_settings, InitSettingsSource(settings_cls, _of_file(Path(file)))


def is_advanced(field: FieldInfo) -> bool:
    """Return True if the setting is below [advanced] in the TOML file."""
    return isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get(ADVANCED) is True


def _of_file(path: Path) -> dict[str, Any]:
    """Return the settings of a TOML file. Raise ConfigurationError, TOMLDecodeError."""
    fields = Settings.model_fields.items()
    values, wrong = flattened(
        tomllib.loads(path.read_text("utf-8")),
        [name for name, field in fields if not is_advanced(field)],
        [name for name, field in fields if is_advanced(field)],
    )
    if wrong:
        raise ConfigurationError(f"{path}: " + "; ".join(wrong))
    return values


def load(**overrides: object) -> Settings:
    """Return the settings of the environment and the file. Raise ConfigurationError, which names each wrong one."""
    file = os.environ.get("CROSSFADE_CONFIG")
    if file and not os.path.isfile(file):
        raise ConfigurationError(f"CROSSFADE_CONFIG names {file}, and there is no such file")
    unknown = unknown_variables(os.environ, Settings.model_fields.keys())
    if unknown:
        raise ConfigurationError("; ".join(unknown))
    # the names that services and other tools use already; Crossfade's own win
    fallback = {"dsn": os.environ.get("POSTGRES_DSN"), "origin": os.environ.get("ARANGO_URL")}
    for name, value in fallback.items():
        if value and f"{PREFIX}{name.upper()}" not in os.environ:
            overrides.setdefault(name, value)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    # causes are left out: they hold what was given, which may be a password
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"{file}, which CROSSFADE_CONFIG names, cannot be read: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not TOML: {error}") from None
    except SettingsError as error:  # a variable that should hold JSON, and does not
        raise ConfigurationError(not_json(error, Settings.model_fields)) from None
    except ValidationError as error:
        raise ConfigurationError("; ".join(wrong_settings(error))) from None
