"""Settings: environment variables `CROSSFADE_*`, a TOML file, defaults. A wrong one stops the start with a sentence.

Three rules. A misspelt variable is refused, never ignored. What may hold a password (`_SECRET`, and every name that is
not a setting) is never shown, neither in a message nor in `repr`. Variables that Kubernetes makes for a service called
`crossfade` are not settings.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AnyHttpUrl, Field, UrlConstraints, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from proxy.base.errors import ConfigurationError

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
HttpUrl = Annotated[AnyHttpUrl, UrlConstraints(allowed_schemes=["http", "https"])]

_PREFIX: Final = "CROSSFADE_"
# settings whose value may hold a password: a URL may carry one
_SECRET: Final = frozenset({"origin", "origin_password", "dsn", "services"})
# variables of this program that are not settings: the file of settings, a fault point of tests, the parent of a worker
# process, the database that the command line means
_OTHERS: Final = frozenset({"CONFIG", "FAULT", "PARENT", "DATABASE"})
# what Kubernetes sets in each pod for a service whose name begins with `crossfade`
_KUBERNETES: Final = re.compile(
    r"(\w*_)?SERVICE_(HOST|PORT(_\w+)?)|(\w*_)?PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
# one host of a DSN, which may be empty: a name, an IPv6 address in brackets, a percent-encoded folder; perhaps a port
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.%~-]*)(:\d{0,5})?")
_KUBERNETES_URL: Final = re.compile(r"(tcp|udp|sctp)://")


class Settings(BaseSettings):
    """What an operator can set. `CROSSFADE_CONFIG` names a TOML file with the same names; the environment wins."""

    model_config = SettingsConfigDict(
        env_prefix="CROSSFADE_", env_nested_delimiter="__", extra="forbid", hide_input_in_errors=True
    )

    origin: HttpUrl = Field(default=HttpUrl("http://127.0.0.1:8529"), description="URL of ArangoDB", repr=False)
    origin_user: str = Field(default="root", description="account that the proxy itself reads ArangoDB with")
    origin_password: str = Field(default="", repr=False)
    dsn: str = Field(
        default="postgresql://127.0.0.1:5432/crossfade",
        description="PostgreSQL: target and control plane",
        repr=False,
    )
    listen_host: str = "127.0.0.1"
    listen_port: int = Field(default=8530, ge=0, le=65535)
    admin_host: str = "127.0.0.1"
    admin_names: list[str] = Field(
        default_factory=list, description="names that the admin listener is reached by, beside IP addresses and its own"
    )
    admin_advertise: str = Field(
        default="", description="host or IP address by which other machines reach the admin listener: registered"
    )
    admin_port: int = Field(default=8531, ge=0, le=65535)
    services: dict[str, HttpUrl] = Field(
        default_factory=dict,
        description="path prefix -> URL of a document service, the longest prefix wins",
        repr=False,
    )
    service_forwarded: Literal["append", "replace", "off"] = Field(
        default="append", description="X-Forwarded-For, -Proto and -Host for services"
    )
    state_dir: Path = Field(default=Path("var/crossfade"), description="journal, instance id, the file origin-only")

    # the pool to the origin
    origin_connections: int = Field(default=256, ge=1)
    connect_timeout: float = Field(default=5.0, gt=0)
    request_timeout: float = Field(default=120.0, gt=0, description="seconds for an answer of the origin to begin")
    max_body: int = Field(default=1 << 30, ge=1, description="bytes; ArangoDB's own limit is 1 GiB")
    buffer_body: int = Field(default=4 << 20, ge=1, description="bytes; a body above streams and is not compared")
    capture_body: int = Field(
        default=64 << 20, ge=1, description="bytes; a write or query above goes on unseen and marks what it may touch"
    )
    capture_memory: int = Field(
        default=256 << 20, ge=1, description="bytes of such bodies at a time; further ones wait"
    )

    # mirror
    queue_documents: int = Field(default=20_000, ge=1, description="documents in memory; beyond: the journal alone")
    queue_bytes: int = Field(default=48 << 20, ge=1)
    batch: int = Field(default=100, ge=1, le=1000)
    apply_connections: int = Field(default=2, ge=1)
    late_request: float = Field(
        default=10.0, ge=0, description="seconds after which a request whose answer was lost can no longer run"
    )
    tombstone_seconds: float = Field(default=3600, gt=0)
    journal_full: Literal["forward", "refuse"] = Field(
        default="forward", description="writes that cannot be journaled: forward and mark unverified, or refuse by 503"
    )

    # shadow
    sample_percent: float = Field(
        default=100.0, ge=0, le=100, description="share of reads that is compared; `crossfade sampling` refines it"
    )
    twice_percent: float = Field(
        default=0.0, ge=0, le=100, description="share of compared reads for which ArangoDB is compared with itself"
    )
    shadow_concurrency: int = Field(default=8, ge=1)
    shadow_queue: int = Field(default=4000, ge=1)
    settle_seconds: float = Field(
        default=10.0, gt=0, description="how long a difference is re-checked before it is unsettled"
    )
    examples: int = Field(
        default=20,
        ge=0,
        le=1000,
        description="reads kept of each shape, for `crossfade shadow replay`; none if redacted",
    )
    redact: bool = Field(default=False, description="keep no values of documents in stored samples")
    redact_paths: list[str] = Field(
        default_factory=list, description="patterns of paths whose values no sample keeps: `*.email`, `items[].name`"
    )
    sample_days: float = Field(
        default=30.0, gt=0, description="days after which samples, and mismatches that are done with, are forgotten"
    )

    # control plane
    heartbeat: float = Field(default=0.25, gt=0)
    lease: float = Field(default=1.0, gt=0, description="seconds; L of DESIGN section 9")
    read_connections: int = Field(
        default=8, ge=1, description="connections to PostgreSQL for reads of clients; further reads wait for one"
    )
    start_without_postgresql: Literal["forward", "refuse"] = Field(
        default="forward",
        description="a start with no PostgreSQL and no memory of its stages: forward and note every write, or end",
    )
    workers: int = Field(
        default=2, ge=1, description="processes for queries that may take long; as many again for comparing"
    )
    hold_limit: float = Field(default=10.0, gt=0, description="seconds that a query may wait in a flip")
    gate_comparisons: int = Field(default=3000, ge=1, description="comparisons a collection needs for a flip")
    gate_shape_comparisons: int = Field(default=300, ge=1, description="comparisons that each shape of it needs")
    gate_lag_seconds: float = Field(default=5.0, gt=0)
    gate_unsettled_share: float = Field(default=0.001, ge=0, le=1)
    gate_slowdown: float = Field(default=1.5, ge=1, description="p99 of PostgreSQL against that of ArangoDB")
    gate_fast_seconds: float = Field(default=0.005, ge=0, description="a p99 of PostgreSQL below is fast enough")
    gate_watch_seconds: float = Field(default=30.0, gt=0, description="how far behind the watch for bypass may be")
    flip_new: bool = Field(
        default=False, description="local stacks alone: new collections are flipped at once, past every gate"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("services")
    @classmethod
    def _paths_of_services(cls, value: dict[str, HttpUrl]) -> dict[str, HttpUrl]:
        for prefix in value:
            if not prefix.startswith("/") or prefix.startswith("/_"):
                raise ValueError(f"{prefix!r} is no path of a service: it begins with / and not with /_")
        return value

    @field_validator("dsn")
    @classmethod
    def _readable_dsn(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("postgresql", "postgres"):
            raise ValueError("it begins with postgresql:// or postgres://")
        hosts = parts.netloc.rpartition("@")[2]
        if not all(_HOST.fullmatch(host) for host in hosts.split(",")):
            raise ValueError("its host or port cannot be read: write / @ : and # of a password as %2F %40 %3A and %23")
        return value

    @field_validator("lease")
    @classmethod
    def _longer_than_heartbeats(cls, value: float, info: ValidationInfo) -> float:
        heartbeat = info.data.get("heartbeat")
        if heartbeat is not None and value < 2 * heartbeat:  # else it would run out between two of them
            raise ValueError(f"a lease lasts two heartbeats at least (CROSSFADE_HEARTBEAT is {heartbeat:g})")
        return value

    @field_validator("flip_new")
    @classmethod
    def _local_alone(cls, value: bool, info: ValidationInfo) -> bool:
        origin = info.data.get("origin")
        if value and origin is not None and origin.host not in _LOOPBACK:
            raise ValueError("it waives every gate: only for a local stack, whose ArangoDB is on this machine")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        file = os.environ.get("CROSSFADE_CONFIG")
        if file:
            sources += (TomlConfigSettingsSource(settings_cls, Path(file)),)
        return sources


def misspelt(environment: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """Names of variables that begin with `CROSSFADE_` and are no setting. known: names of settings, in lower case."""
    fields = frozenset(known)
    found = []
    for variable, value in environment.items():
        upper = variable.upper()
        if not upper.startswith(_PREFIX):
            continue
        name = upper.removeprefix(_PREFIX)
        if name in _OTHERS or name.partition("__")[0].lower() in fields:
            continue
        if _KUBERNETES.fullmatch(name) or (name.endswith("PORT") and _KUBERNETES_URL.match(value)):
            continue
        found.append(variable)
    return sorted(found)


def _refuse_misspelt() -> None:
    fields = Settings.model_fields.keys()
    lines = []
    for variable in misspelt(os.environ, fields):
        near = difflib.get_close_matches(variable.upper().removeprefix(_PREFIX), [name.upper() for name in fields], n=1)
        meant = f": do you mean {_PREFIX}{near[0]}?" if near else ": docs/settings.md lists the settings"
        lines.append(f"{variable} is not a setting{meant}")
    if lines:
        raise ConfigurationError("; ".join(lines))


def _shown(name: str, value: object) -> str:
    """`, got …` for a message; nothing where the value may hold a password."""
    known = name.partition("__")[0] in Settings.model_fields
    return f", got {value!r}" if known and name.partition("__")[0] not in _SECRET else ""


def load(**overrides: object) -> Settings:
    """Settings from the environment and the file. Raises ConfigurationError that names each wrong one and why."""
    file = os.environ.get("CROSSFADE_CONFIG")
    if file and not Path(file).is_file():
        raise ConfigurationError(f"CROSSFADE_CONFIG names {file}, and there is no such file")
    _refuse_misspelt()
    # the names that services and other tools use already; Crossfade's own win
    fallback = {"dsn": os.environ.get("POSTGRES_DSN"), "origin": os.environ.get("ARANGO_URL")}
    for name, value in fallback.items():
        if value and f"CROSSFADE_{name.upper()}" not in os.environ:
            overrides.setdefault(name, value)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not TOML: {error}") from error
    except SettingsError as error:  # a variable that should hold JSON, and does not
        raise ConfigurationError(f"{_expected_json(error)}: {error.__cause__ or error}") from error
    except ValidationError as error:
        lines = []
        for item in error.errors():
            name = "__".join(str(part) for part in item["loc"])
            shown = _shown(name, item["input"])
            lines.append(f"set CROSSFADE_{name.upper()} (or {name} in the file): {item['msg']}{shown}")
        raise ConfigurationError("; ".join(lines)) from error


def _expected_json(error: SettingsError) -> str:
    """Which variable should hold JSON, and in which form. pydantic-settings names the field in its message alone."""
    examples = {
        "services": """object, as in {"/resumes": "http://127.0.0.1:8000"}""",
        "admin_names": """array, as in ["crossfade.example"]""",
        "redact_paths": """array, as in ["*.email"]""",
    }
    name = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "*")
    return f"set CROSSFADE_{name.upper()} to a JSON {examples.get(name, 'value')}"
