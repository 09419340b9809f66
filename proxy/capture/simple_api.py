"""`/_api/simple` writes: the collection, and the keys if there are any, are in the body. Pure.

Which documents an example picks, and in which order under a limit, no answer shows, and AQL only if every rule of the
old comparison is the same. So what an update or a replacement by example wrote is found by its revisions, and after a
removal by example the whole collection is compared.
"""

from __future__ import annotations

from typing import Final

import msgspec


class _Body(msgspec.Struct):
    keys: list[str] = []


_BODY: Final = msgspec.json.Decoder(_Body)


def keys_of(body: bytes) -> tuple[str, ...] | None:
    """Return the keys that a removal by keys names, by themselves or in handles; None if the body cannot be read."""
    try:
        return tuple(dict.fromkeys(key.rpartition("/")[2] for key in _BODY.decode(body).keys))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
