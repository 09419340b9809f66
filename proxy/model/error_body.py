"""The body of an error of ArangoDB: its number and its message.

Elements of an answer about several documents have further attributes: each module that reads such an answer declares
its own element type.
"""

from __future__ import annotations

from typing import Final

import msgspec


class ErrorBody(msgspec.Struct):
    """number: `errorNum`, 0 if the body has none."""

    number: int = msgspec.field(name="errorNum", default=0)
    message: str = msgspec.field(name="errorMessage", default="")


class _Number(msgspec.Struct):
    number: int = msgspec.field(name="errorNum", default=0)


_BODY: Final = msgspec.json.Decoder(ErrorBody)
_NUMBER: Final = msgspec.json.Decoder(_Number)


def decode_error(body: bytes) -> ErrorBody:
    """Return the error of an answer's body.

    Raise msgspec.DecodeError (not a JSON object of this form) or UnicodeDecodeError (a message that is not UTF-8).
    """
    return _BODY.decode(body)


def decode_error_number(body: bytes) -> int:
    """Return the number alone, without decoding the message. Raise msgspec.DecodeError as `decode_error` does."""
    return _NUMBER.decode(body).number
