"""The user of a request: the `Authorization` header read; JSON web tokens made, and their signatures checked.

The proxy only reads them: ArangoDB checks. The development server has passwords and a secret of its own.
Protocol page, section 7: Basic, or `bearer` with an HS256 token (iss `arangodb`, `preferred_username`, exp).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

import msgspec

LIFETIME: Final = 3600  # seconds that a token is valid, ArangoDB's default


class Claims(msgspec.Struct):
    """The claims of a token. exp: seconds since the epoch, 0 if it never expires. server_id: a server's own token."""

    preferred_username: str = ""
    server_id: str = ""
    iss: str = ""
    exp: float = 0


class _Head(msgspec.Struct):
    alg: str = ""


def user_of(authorization: str | None) -> str | None:
    """Return the user that an `Authorization` header names; None if there is none or it cannot be read.

    A superuser's token names a server in the place of a user: that is `root`.
    """
    if not authorization:
        return None
    scheme, _, rest = authorization.partition(" ")
    rest = rest.strip()
    try:
        if scheme.lower() == "basic":
            user, colon, _ = base64.b64decode(rest, validate=True).decode().partition(":")
            return user if colon else None
        if scheme.lower() == "bearer":
            claims = msgspec.json.decode(_unpad(rest.split(".")[1]), type=Claims)
            return claims.preferred_username or ("root" if claims.server_id else None)
    except (binascii.Error, ValueError, IndexError):  # msgspec's errors are ValueErrors
        return None
    return None


def owner_of(authorization: str | None) -> str | None:
    """Return the owner of what a request opens: the user that the header names, or else the header itself."""
    return user_of(authorization) or authorization


def expiry_of(authorization: bytes | None) -> float | None:
    """Return when a bearer token expires, in seconds since the epoch; None if it is not one, or never expires.

    Nothing is checked: who uses it has had the token checked by ArangoDB.
    """
    scheme, _, token = (authorization or b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        return msgspec.json.decode(_unpad(token.strip().split(".")[1]), type=Claims).exp or None
    except (ValueError, IndexError):
        return None


def credentials_of(authorization: str) -> tuple[str, str] | None:
    """Return (user, password) of a Basic header; None if it is not one."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except ValueError:  # binascii.Error and UnicodeDecodeError are
        return None
    return (user, password) if colon else None


def claims_of(authorization: str, secret: bytes) -> Claims | None:
    """Return the claims of a bearer token that was signed with that secret; None if it was not, or is not ArangoDB's.

    Whether it has expired is left to the caller.
    """
    scheme, _, token = authorization.partition(" ")
    parts = token.strip().split(".")
    if scheme.lower() != "bearer" or len(parts) != 3:
        return None
    try:
        signature = hmac.new(secret, f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256).digest()
        if msgspec.json.decode(_unpad(parts[0]), type=_Head).alg != "HS256":
            return None
        if not hmac.compare_digest(signature, _unpad(parts[2])):
            return None
        claims = msgspec.json.decode(_unpad(parts[1]), type=Claims)
    except ValueError:
        return None
    return claims if claims.iss == "arangodb" else None


def make_token(user: str, secret: bytes, now: float, lifetime: int = LIFETIME) -> str:
    """Return a signed token as `/_open/auth` answers it. now: seconds since the epoch."""
    claims = {"preferred_username": user, "iss": "arangodb", "exp": int(now) + lifetime, "iat": int(now)}
    signed = f"{_pad({'alg': 'HS256', 'typ': 'JWT'})}.{_pad(claims)}"
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _pad(value: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()


def _unpad(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
