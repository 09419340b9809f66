"""Digests and encodings of text. CRC32 is Castagnoli's, FNV64 is 1a: in upper case, as in ArangoDB."""

from __future__ import annotations

import base64
import hashlib
import string
import uuid
from functools import lru_cache

from proxy.aql.functions.registry import function
from proxy.aql.printing import to_string
from proxy.aql.query_context import QueryContext
from proxy.aql.values import Value, to_integer

_TOKEN_LETTERS = string.ascii_letters + string.digits


def _bytes(value: Value) -> bytes:
    return to_string(value).encode("utf-8", "surrogatepass")


@function("MD5", arguments=1)
def md5(_context: QueryContext, value: Value) -> Value:
    """MD5(text)"""
    return hashlib.md5(_bytes(value), usedforsecurity=False).hexdigest()


@function("SHA1", arguments=1)
def sha1(_context: QueryContext, value: Value) -> Value:
    """SHA1(text)"""
    return hashlib.sha1(_bytes(value), usedforsecurity=False).hexdigest()


@function("SHA256", arguments=1)
def sha256(_context: QueryContext, value: Value) -> Value:
    """SHA256(text)"""
    return hashlib.sha256(_bytes(value)).hexdigest()


@function("SHA512", arguments=1)
def sha512(_context: QueryContext, value: Value) -> Value:
    """SHA512(text)"""
    return hashlib.sha512(_bytes(value)).hexdigest()


@lru_cache(maxsize=1)
def _crc_table() -> tuple[int, ...]:
    table: list[int] = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


@function("CRC32", arguments=1)
def crc32(_context: QueryContext, value: Value) -> Value:
    """CRC32(text)"""
    table, result = _crc_table(), 0xFFFFFFFF
    for byte in _bytes(value):
        result = result >> 8 ^ table[(result ^ byte) & 255]
    return f"{result ^ 0xFFFFFFFF:X}"


@function("FNV64", arguments=1)
def fnv64(_context: QueryContext, value: Value) -> Value:
    """FNV64(text)"""
    result = 0xCBF29CE484222325
    for byte in _bytes(value):
        result = (result ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{result:X}"


@function("TO_BASE64", arguments=1)
def to_base64(_context: QueryContext, value: Value) -> Value:
    """TO_BASE64(text)"""
    return base64.b64encode(_bytes(value)).decode()


@function("TO_HEX", arguments=1)
def to_hex(_context: QueryContext, value: Value) -> Value:
    """TO_HEX(text)"""
    return _bytes(value).hex()


@function("RANDOM_TOKEN", arguments=1, random=True)
def random_token(context: QueryContext, length: Value) -> Value:
    """RANDOM_TOKEN(length): error 1542 for a length outside 0 to 65536"""
    size = to_integer(length)
    if not 0 <= size <= 65536:
        raise context.argument_error("RANDOM_TOKEN")
    return "".join(context.random.choices(_TOKEN_LETTERS, k=size))


@function("UUID", arguments=0, random=True)
def new_uuid(context: QueryContext) -> Value:
    """UUID()"""
    return str(uuid.UUID(int=context.random.getrandbits(128), version=4))
