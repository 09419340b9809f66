"""Who asks: the `Authorization` header read, JSON web tokens made. Nothing is checked here; ArangoDB does that.

Protocol page, section 7: Basic, or `bearer` with an HS256 token (iss `arangodb`, `preferred_username`, exp).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

import msgspec

LIFETIME: Final = 3600  # seconds that a token holds, ArangoDB's default


class _Claims(msgspec.Struct):
    preferred_username: str = ""
    server_id: str = ""


def user_of(authorization: str | None) -> str | None:
    """The user that an `Authorization` header names; None where there is none or it cannot be read.

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
            claims = msgspec.json.decode(_unpad(rest.split(".")[1]), type=_Claims)
            return claims.preferred_username or ("root" if claims.server_id else None)
    except (binascii.Error, ValueError, IndexError):  # msgspec's errors are ValueErrors
        return None
    return None


def make_token(user: str, secret: bytes, now: float, lifetime: int = LIFETIME) -> str:
    """A signed token as `/_open/auth` answers it. now: seconds since the epoch."""
    claims = {"preferred_username": user, "iss": "arangodb", "exp": int(now) + lifetime, "iat": int(now)}
    signed = f"{_pad({'alg': 'HS256', 'typ': 'JWT'})}.{_pad(claims)}"
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _pad(value: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()


def _unpad(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
