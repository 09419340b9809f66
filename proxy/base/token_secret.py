"""The secret that signs tokens, as the settings have it: a text, or a file as ArangoDB reads one."""

from __future__ import annotations

from proxy.base.config import Settings
from proxy.base.errors import ConfigurationError


def token_secret(settings: Settings) -> bytes | None:
    """Return the secret; None if none is set. Raise ConfigurationError, which does not show it."""
    given, file = settings.jwt_secret.get_secret_value(), settings.jwt_secret_file
    if given and file is not None:
        raise ConfigurationError("set CROSSFADE_JWT_SECRET or CROSSFADE_JWT_SECRET_FILE, not both")
    if file is None:
        return given.encode() or None
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"CROSSFADE_JWT_SECRET_FILE cannot be read: {error.strerror}") from None
    if not secret:
        raise ConfigurationError("the file that CROSSFADE_JWT_SECRET_FILE names is empty")
    return secret
