"""Configuration with hidden secrets, and versions. Pure, except that it reads which packages are installed."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from pydantic import Secret, SecretStr

from backfill.migration_report.facts import SettingFacts
from proxy import __version__
from proxy.base.config import Settings

HIDDEN: Final = "***"
_SECRET: Final = re.compile(r"password|passwd|secret|token|private|credential|(^|_)key$", re.IGNORECASE)
_ACCOUNT: Final = re.compile(r"(?<=://)([^/@\s:]*)(:[^/@\s]*)?@")
_OPTION: Final = re.compile(r"([?&](?:password|passfile|sslpassword|sslkey|token)=)[^&\s]*", re.IGNORECASE)
_LIBRARIES: Final = (
    "asyncpg", "httptools", "msgspec", "orjson", "pyicu-wheels", "python-arango", "uvloop", "zstandard",
)  # fmt: skip


def settings_facts(settings: Settings) -> tuple[SettingFacts, ...]:
    """Return every setting as text, sorted by name."""
    values = settings.model_dump()
    fields = Settings.model_fields
    found = []
    for name in sorted(values):
        default = fields[name].get_default(call_default_factory=True, validated_data={})
        found.append(SettingFacts(name, _shown(name, values[name]), values[name] != default))
    return tuple(found)


def versions(postgresql: str | None, arangodb: str | None) -> tuple[tuple[str, str], ...]:
    """Return the versions of Crossfade, its libraries and both databases (None: not reached)."""
    found = [
        ("Crossfade", __version__),
        ("ArangoDB", arangodb or "not reached"),
        ("PostgreSQL", postgresql or "not reached"),
        ("Python", platform.python_version()),
    ]
    for library in _LIBRARIES:
        try:
            found.append((library, version(library)))
        except PackageNotFoundError:
            found.append((library, "not installed"))
    return tuple(found)


def masked(text: str) -> str:
    """Return the text with passwords in URLs hidden."""
    text = _ACCOUNT.sub(lambda match: match[1] + (f":{HIDDEN}" if match[2] else "") + "@", text)
    return _OPTION.sub(lambda match: match[1] + HIDDEN, text)


def _shown(name: str, value: Any) -> str:
    if _SECRET.search(name):
        return HIDDEN if value else ""
    if isinstance(value, Secret | SecretStr):
        value = value.get_secret_value()
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_shown(str(key), child)}" for key, child in sorted(value.items()))
    return masked(str(value))
