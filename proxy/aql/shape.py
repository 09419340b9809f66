"""The shape of a query: its text with literals and bind variables out, stable across white space and keywords' case."""

from __future__ import annotations

import re
from functools import lru_cache

from proxy.aql.lexer import tokenize

_LIST = re.compile(r"\[ \?(?: , \?)+ (?:, )?\]")
_CALLED = frozenset({"("})


@lru_cache(maxsize=2048)
def shape_of(text: str) -> str:
    """The shape of a text: `FOR d IN docs FILTER d . a == ? RETURN d`. Collections given by bind stay `@@`.

    A list of literals is `[ ? ]` whatever its length. Raises ArangoError 1501 for what is no sequence of tokens.
    """
    words: list[str] = []
    tokens = tokenize(text)
    for index, token in enumerate(tokens):
        kind = token.kind
        if kind in ("str", "num", "bind", "TRUE", "FALSE"):
            named = kind == "str" and tokens[index + 1].kind == ":" and index and tokens[index - 1].kind in ("{", ",")
            words.append(f'"{token.value}"' if named else "?")
        elif kind == "source":
            words.append("@@")
        elif kind == "id":
            words.append(token.value.upper() if tokens[index + 1].kind in _CALLED else token.value)
        elif kind != "end":
            words.append(kind)
    return _LIST.sub("[ ? ]", " ".join(words))
