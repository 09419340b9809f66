"""Keys that the server generates: the four generators of ArangoDB (protocol page, section 2, "Keys")."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.model.documents import valid_key
from proxy.semantics.attributes import whole

KINDS: Final = ("autoincrement", "padded", "traditional", "uuid")
_LARGEST: Final = (1 << 64) - 1


def new_uuid() -> str:
    """Return a key of the generator `uuid`."""
    return str(uuid.uuid4())


class KeyGenerator:
    """Makes and checks the keys of one collection. new_uuid: may be replaced, to make the same keys again.

    options: `keyOptions` of the collection (type, allowUserKeys, offset, increment). tick: the server's next number.
    """

    def __init__(self, options: dict[str, Any], tick: Callable[[], int]) -> None:
        self.kind = str(options.get("type", "traditional"))
        if self.kind not in KINDS:
            raise ArangoError(1232, "invalid key generator type")
        self.user_keys = bool(options.get("allowUserKeys", True))
        self.offset = whole(options, "offset", 0)
        self.increment = self._increment(options)
        self.last = whole(options, "lastValue", 0)
        if self.offset < 0:
            raise ArangoError(1232, "offset value must not be negative")
        self._tick = tick
        self.new_uuid = new_uuid

    @staticmethod
    def _increment(options: dict[str, Any]) -> int:
        if options.get("increment", 1) == 0 or (value := whole(options, "increment", 1)) < 1:
            raise ArangoError(1232, "increment value must be greater than zero")
        return value

    def options(self) -> dict[str, Any]:
        """Return `keyOptions` as the collection's properties show them."""
        shown: dict[str, Any] = {"allowUserKeys": self.user_keys, "type": self.kind}
        if self.kind == "autoincrement":
            shown |= {"offset": self.offset, "increment": self.increment}
        if self.kind != "uuid":
            shown["lastValue"] = self.last
        return shown

    def make(self) -> str:
        """Return a new key, above every numeric key that the collection has seen.

        Raise ArangoError 1225 if all are used.
        """
        if self.kind == "uuid":
            return self.new_uuid()
        if self.kind == "autoincrement":
            behind = self.last < self.offset
            value = self.offset if behind else self.last + self.increment - (self.last - self.offset) % self.increment
        else:
            value = max(self._tick(), self.last + 1)
        if value > _LARGEST:
            raise ArangoError(1225, "out of keys")
        self.last = value
        return f"{value:016x}" if self.kind == "padded" else str(value)

    def check(self, key: object, *, restore: bool = False) -> str:
        """Return a client's key if it is valid, else raise ArangoError 1221 or 1222. restore: ignore allowUserKeys."""
        if not isinstance(key, str) or not valid_key(key):
            raise ArangoError(1221)
        if not self.user_keys and not restore:
            raise ArangoError(1222)
        self._observe(key)
        return key

    def _observe(self, key: str) -> None:
        if self.kind == "padded":
            if len(key) == 16 and all(char in "0123456789abcdef" for char in key):
                self.last = max(self.last, int(key, 16))
        elif self.kind != "uuid" and key.isdigit() and len(key) <= 19:
            self.last = max(self.last, int(key))
