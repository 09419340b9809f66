"""Settings: environment variables `CROSSFADE_*`, a TOML file, defaults. A wrong one stops the start with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AnyHttpUrl, Field, UrlConstraints, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from proxy.errors import ConfigurationError

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
HttpUrl = Annotated[AnyHttpUrl, UrlConstraints(allowed_schemes=["http", "https"])]


class Settings(BaseSettings):
    """What an operator can set. `CROSSFADE_CONFIG` names a TOML file with the same names; the environment wins."""

    model_config = SettingsConfigDict(env_prefix="CROSSFADE_", env_nested_delimiter="__", extra="forbid")

    origin: HttpUrl = Field(default=HttpUrl("http://127.0.0.1:8529"), description="URL of ArangoDB")
    origin_user: str = Field(default="root", description="account that the proxy itself reads ArangoDB with")
    origin_password: str = ""
    dsn: str = Field(
        default="postgresql://127.0.0.1:5432/crossfade", description="PostgreSQL: target and control plane"
    )
    listen_host: str = "127.0.0.1"
    listen_port: int = Field(default=8530, ge=0, le=65535)
    admin_host: str = "127.0.0.1"
    admin_port: int = Field(default=8531, ge=0, le=65535)
    services: dict[str, HttpUrl] = Field(
        default_factory=dict, description="path prefix -> URL of a document service, the longest prefix wins"
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
        default=8, ge=1, description="connections to PostgreSQL for reads of clients; beyond, ArangoDB answers"
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
        import os

        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        file = os.environ.get("CROSSFADE_CONFIG")
        if file:
            sources += (TomlConfigSettingsSource(settings_cls, Path(file)),)
        return sources


def load(**overrides: object) -> Settings:
    """Settings from the environment and the file. Raises ConfigurationError that names each wrong one and why."""
    import os
    import tomllib

    file = os.environ.get("CROSSFADE_CONFIG")
    if file and not Path(file).is_file():
        raise ConfigurationError(f"CROSSFADE_CONFIG names {file}, and there is no such file")
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
        name = "SERVICES" if '"services"' in str(error) else "*"
        raise ConfigurationError(
            f"set CROSSFADE_{name} to a JSON object, as in "
            """{"/resumes": "http://127.0.0.1:8000"}: """ + str(error.__cause__ or error)
        ) from error
    except ValidationError as error:
        lines = []
        for item in error.errors():
            name = "__".join(str(part) for part in item["loc"])
            lines.append(f"set CROSSFADE_{name.upper()} (or {name} in the file): {item['msg']}, got {item['input']!r}")
        raise ConfigurationError("; ".join(lines)) from error
