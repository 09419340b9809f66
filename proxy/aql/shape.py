"""The shape (fingerprint) of a query: its text without literals, bind variables, white space and case of keywords."""

from __future__ import annotations

import re
from functools import lru_cache

from proxy.aql.lexer import tokenize

_LIST = re.compile(r"\[ \?(?: , \?)+ (?:, )?\]")
_CALLED = frozenset({"("})


@lru_cache(maxsize=2048)
def shape_of(text: str) -> str:
    """Return the shape of a text: `FOR d IN docs FILTER d . a == ? RETURN d`. A bound collection is `@@`.

    A list of literals of any length is `[ ? ]`. Raise ArangoError 1501 if the text is not a sequence of tokens.
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
