"""A write without its literals: endpoint, the parameters that change what it means, and conditions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from proxy.model.endpoint import Effect, Verb
from proxy.model.operations import Operation
from proxy.routing.query_shapes import Shape, shape_of_operation
from proxy.semantics.request_params import flag

_FLAGS: Final = (
    *("complete", "details", "ignoreMissing", "ignoreRevs", "isRestore", "keepNull", "mergeObjects", "overwrite"),
    *("overwriteCollectionPrefix", "returnNew", "returnOld", "silent", "skipDocumentValidation", "waitForSync"),
)
_WORDS: Final = {
    "overwriteMode": ("conflict", "ignore", "replace", "update"),
    "onDuplicate": ("error", "ignore", "replace", "update"),
    "type": ("array", "auto", "documents", "list"),
}
_NAMED: Final = ("fromPrefix", "toPrefix", "versionAttribute")  # their values are the client's
_SMALL: Final = 16  # parameters of a request whose shape is cached


def shape_of_write(operation: Operation) -> Shape:
    """Return the shape of a write, which is bounded in number: values of clients are not part of it."""
    if operation.effect is Effect.QUERY:
        return shape_of_operation(operation)
    array = operation.endpoint.verb is Verb.INSERT and operation.body[:1] == b"["  # others have a row of their own
    condition = "if-match" in operation.headers
    params = tuple(operation.params.items())
    if len(params) <= _SMALL:
        return _shape(operation.endpoint.name, params, array=array, condition=condition)
    return _shape.__wrapped__(operation.endpoint.name, params, array=array, condition=condition)


@lru_cache(maxsize=1024)
def _shape(endpoint: str, params: tuple[tuple[str, str], ...], *, array: bool, condition: bool) -> Shape:
    given = dict(params)
    parts = sorted(_parts(given))
    text = endpoint + (" array" if array else "") + (f" {' '.join(parts)}" if parts else "")
    text += " If-Match" if condition else ""
    return Shape(text, text)


def _parts(given: Mapping[str, str]) -> list[str]:
    parts = [f"{name}={'true' if flag(given, name) else 'false'}" for name in _FLAGS if name in given]
    parts += [
        f"{name}={given[name] if given[name] in words else '?'}" for name, words in _WORDS.items() if name in given
    ]
    return parts + [name for name in _NAMED if given.get(name)]
