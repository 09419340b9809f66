"""Documents, for every store: keys, handles, system attributes, merging, and their form in jsonb. Pure.

Documents are dictionaries of plain JSON values whose attributes keep their order. Rules: protocol page, section 2.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from proxy.base.errors import ArangoError
from proxy.model.json_values import same, within_quotes

__all__ = [
    "SYSTEM",
    "Merging",
    "assemble",
    "assembled_text",
    "content",
    "escape_text",
    "from_jsonb_text",
    "key_of",
    "merge",
    "normalized",
    "queryable",
    "same",
    "suspected",
    "to_jsonb",
    "unescape_text",
    "valid_collection",
    "valid_database",
    "valid_handle",
    "valid_key",
]

Document = dict[str, Any]
SYSTEM: Final = ("_key", "_id", "_from", "_to", "_rev")  # in the order in which ArangoDB prints them
_SYSTEM_SET: Final = frozenset(SYSTEM)
_KEY: Final = re.compile(r"[A-Za-z0-9_\-:.@()+,=;$!*'%]{1,254}")
_NO_NAME: Final = re.compile(r"[\x00-\x1f\x7f/]")  # characters that no name of a collection or database may contain
_LONGEST_COLLECTION: Final = 256  # bytes
_LONGEST_DATABASE: Final = 128
_ESCAPE: Final = "\ufdd0"  # a noncharacter, rare in text; if it occurs, it is escaped as well


# ---- keys and handles


def valid_key(key: object) -> bool:
    """Return True if ArangoDB accepts it as a `_key`: 1 to 254 bytes of its alphabet."""
    return isinstance(key, str) and _KEY.fullmatch(key) is not None


def valid_collection(name: object, *, system: bool = True) -> bool:
    """Return True for a valid name of a collection. system: accept a leading underscore."""
    return isinstance(name, str) and _valid_name(name, _LONGEST_COLLECTION) and (system or name[0] != "_")


def valid_database(name: object) -> bool:
    """Return True for a valid name of a new database (so not for `_system`)."""
    return isinstance(name, str) and _valid_name(name, _LONGEST_DATABASE) and name[0] != "_" and ":" not in name


def normalized(name: str) -> bool:
    """Return True if a name is in Unicode normal form C; ArangoDB neither accepts nor finds any other."""
    return name.isascii() or unicodedata.is_normalized("NFC", name)


def _valid_name(name: str, longest: int) -> bool:
    """Check an extended name, as 3.12 accepts by default: NFC, no digit or dot in front, no blank at either end."""
    if not name or name[0] in "0123456789." or name[0] == " " or name[-1] == " " or _NO_NAME.search(name):
        return False
    try:
        return len(name.encode()) <= longest and normalized(name)
    except UnicodeEncodeError:
        return False


def valid_handle(handle: object) -> bool:
    """Return True if it has the form of an `_id`, as `_from` and `_to` must. The document need not exist."""
    if not isinstance(handle, str):
        return False
    collection, slash, key = handle.partition("/")
    return bool(slash) and valid_collection(collection) and valid_key(key)


def key_of(item: object) -> str | None:
    """Return the key that an element of an array request names: a key, a handle (its collection is ignored, as in
    ArangoDB), or an object with `_key` (`_id` alone is not enough). None if it names none (1205 in ArangoDB).
    """
    if isinstance(item, dict):
        item = item.get("_key")
    elif isinstance(item, str) and "/" in item:
        item = item.partition("/")[2]
    return item if isinstance(item, str) and item else None


# ---- system attributes and content


def content(document: Document) -> Document:
    """Return the document without its system attributes, in the same order."""
    return {name: value for name, value in document.items() if name not in _SYSTEM_SET}


def assemble(collection: str, key: str, rev: str, body: Document, *, edge: bool) -> Document:
    """Return a document as ArangoDB stores and prints it: system attributes, then those of the body in their order.

    `_key`, `_id` and `_rev` of the body are ignored. An edge needs `_from` and `_to` (ArangoError 1233); elsewhere
    they are dropped. Other attributes that begin with an underscore are kept, and so are nested `_key`s.
    """
    document: Document
    if not edge:
        if _has_only_a_key(body, key):
            return {"_key": key, "_id": f"{collection}/{key}", "_rev": rev, **body}
        document = {"_key": key, "_id": f"{collection}/{key}", "_rev": rev}
    else:
        start, end = body.get("_from"), body.get("_to")
        if not valid_handle(start) or not valid_handle(end):
            raise ArangoError(1233)
        document = {"_key": key, "_id": f"{collection}/{key}", "_from": start, "_to": end, "_rev": rev}
    for name, value in body.items():
        if name not in _SYSTEM_SET:
            document[name] = value
    return document


def _has_only_a_key(body: Document, key: str) -> bool:
    """Return True if no system attribute of a body is other than that of its document: it has none, or that key."""
    return not ("_id" in body or "_rev" in body or "_from" in body or "_to" in body) and body.get("_key", key) == key


def assembled_text(collection: str, key: str, rev: str, body: Document, text: bytes) -> bytes | None:
    """Return the text of a document, no edge, as `assemble` and `dump` make it, from that of its body; None if the body
    has system attributes other than a `_key` in front.
    """
    if not _has_only_a_key(body, key):
        return None
    if "_key" in body:
        start = f'{{"_key":"{key}"'.encode()
        if not text.startswith(start):
            return None
        rest = text[len(start) :]
    else:
        rest = b"}" if len(text) == 2 else b"," + text[1:]
    system = f'{{"_key":"{key}","_id":"{within_quotes(collection)}/{key}","_rev":"{rev}"'
    return system.encode() + rest


# ---- merging (PATCH, overwriteMode=update, AQL's UPDATE)


@dataclass(frozen=True, slots=True)
class Merging:
    """keep_null: store nulls of the patch (else they delete). merge_objects: merge objects into objects."""

    keep_null: bool = True
    merge_objects: bool = True


def merge(old: Document, patch: Document, merging: Merging, *, edge: bool) -> Document | None:
    """Return the body of the new version: `old` with `patch` merged into it, without system attributes but `_from/_to`.

    None if the patch is empty (or has system attributes only): ArangoDB then keeps the revision. The special cases of
    protocol section 2, "PATCH merge": with keep_null=False a null deletes an attribute that merging reaches; a new
    top-level object loses its nulls, one level deep; an object that is new at a deeper level, or that replaces a value
    which is not an object, is stored unchanged; arrays are never merged.
    """
    changes = {
        name: value for name, value in patch.items() if name not in _SYSTEM_SET or (edge and name in ("_from", "_to"))
    }
    if not changes:
        return None
    result = {
        name: value for name, value in old.items() if name not in _SYSTEM_SET or (edge and name in ("_from", "_to"))
    }
    for name, value in changes.items():
        present = name in result
        if value is None and not merging.keep_null:
            result.pop(name, None)
        elif isinstance(value, dict) and merging.merge_objects and isinstance(result.get(name), dict):
            result[name] = _merge_object(result[name], value, keep_null=merging.keep_null)
        elif isinstance(value, dict) and not present and not merging.keep_null:
            result[name] = {inner: child for inner, child in value.items() if child is not None}
        else:
            result[name] = value
    return result


def _merge_object(old: Document, patch: Document, *, keep_null: bool) -> Document:
    result = dict(old)
    for name, value in patch.items():
        if value is None and not keep_null:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = _merge_object(result[name], value, keep_null=keep_null)
        else:
            result[name] = value
    return result


# ---- jsonb: PostgreSQL's jsonb can hold neither U+0000 nor lone surrogates: they are escaped, reversibly

_SUSPECT: Final = re.compile(rb"\\u(?:0000|[fF][dD][dD]0|[dD][89a-fA-F])|\xef\xb7\x90|\xed[\xa0-\xbf]|\x00")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_UNIT: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_NEEDS: Final = re.compile("[\x00\ufdd0\ud800-\udfff]")
_ESCAPED: Final = re.compile("\ufdd0(0|1|s[0-9a-f]{4})")
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def escape_text(text: str) -> str:
    """Return text for jsonb: U+0000 becomes U+FDD0 '0', U+FDD0 becomes U+FDD0 '1', a lone surrogate U+FDD0 's' hhhh."""
    if _NEEDS.search(text) is None:
        return text
    return _NEEDS.sub(lambda match: _escape_char(match[0]), text)


def unescape_text(text: str) -> str:
    """Undo `escape_text`."""
    if _ESCAPE not in text:
        return text
    return _ESCAPED.sub(lambda match: _unescape_char(match[1]), text)


def _escape_char(char: str) -> str:
    if char == "\x00":
        return _ESCAPE + "0"
    if char == _ESCAPE:
        return _ESCAPE + "1"
    return f"{_ESCAPE}s{ord(char):04x}"


def _unescape_char(code: str) -> str:
    if code == "0":
        return "\x00"
    if code == "1":
        return _ESCAPE
    return chr(int(code[1:], 16))


def suspected(raw: bytes) -> bool:
    """Return True if `_SUSPECT` may match. Searching for single bytes is fifty times as fast as the pattern."""
    if not raw.isascii() and (b"\xed" in raw or b"\xef" in raw):
        return True
    return b"\0" in raw or (b"\\" in raw and b"\\u" in raw)


def to_jsonb(raw: bytes) -> str | None:
    """Return the queryable form of a document that jsonb cannot hold unescaped: JSON text without _key, _id, _rev.

    None if PostgreSQL makes the same from `raw` itself (`_crossfade.queryable(raw)`), which is nearly always so.
    Numbers keep their digits. Raise ValueError if `raw` is not UTF-8, lone surrogates allowed, or not a JSON object.
    """
    if not suspected(raw) or _SUSPECT.search(raw) is None:
        return None
    text = raw.decode("utf-8", "surrogatepass")
    escaped = _STRING.sub(_escape_token, text)
    if escaped == text:
        return None
    try:
        members = msgspec.json.decode(escaped, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        raise ValueError(f"not a JSON object: {error}") from error
    parts = [
        f"{msgspec.json.encode(name).decode()}:{bytes(value).decode()}"
        for name, value in members.items()
        if name not in ("_key", "_id", "_rev")
    ]
    return "{" + ",".join(parts) + "}"


def queryable(raw: bytes, key: str) -> bytes:
    """Return a document without _key, _id and _rev: its queryable form, unless `to_jsonb` returns another one.

    raw: begins with its system attributes, as `assemble` orders them: up to `_rev` no value contains a quote, and only
    handles contain a slash.
    """
    begin = raw.index(b"/") + len(key) + 3  # after `_id`
    rev = raw.index(b'"_rev":"', begin)
    ends, rest = raw[begin:rev], raw[raw.index(b'"', rev + 8) + 1 :]  # `_from` and `_to`, with commas
    return b"{" + ends[:-1] + rest if rest == b"}" else b"{" + ends + rest[1:]


def from_jsonb_text(value: Any) -> Any:
    """Return a parsed jsonb value with the escape undone, in strings and attribute names."""
    if isinstance(value, str):
        return unescape_text(value)
    if isinstance(value, list):
        return [from_jsonb_text(item) for item in value]
    if isinstance(value, dict):
        return {unescape_text(name): from_jsonb_text(item) for name, item in value.items()}
    return value


def _escape_token(match: re.Match[str]) -> str:
    token = match[0]
    if "\\u" not in token and _NEEDS.search(token) is None:
        return token
    # the escapes of a surrogate pair give two units, which are joined here
    text = _PAIR.sub(_join_pair, _UNIT.sub(_unit, token[1:-1]))
    if _NEEDS.search(text) is None:
        return token
    return msgspec.json.encode(escape_text(text)).decode()


def _unit(match: re.Match[str]) -> str:
    if match[1] is not None:
        return chr(int(match[1], 16))
    return _SHORT.get(match[2], match[2])


def _join_pair(match: re.Match[str]) -> str:
    return match[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")
