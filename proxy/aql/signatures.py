"""Sets of functions by what is declared of them in the registry (`proxy.aql.functions.registry`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.aql.functions import FUNCTIONS
from proxy.aql.functions.registry import Function


def _names(test: Callable[[Function], bool]) -> frozenset[str]:
    return frozenset(name for name, function in FUNCTIONS.items() if test(function))


UNSUPPORTED: Final = _names(lambda function: not function.supported)
RANDOM: Final = _names(lambda function: function.random)
# called for each row even if the arguments are constants
UNFOLDED: Final = _names(lambda function: function.random or function.per_row)
EFFECTS: Final = _names(lambda function: function.effect)
FETCHING: Final = _names(lambda function: function.fetches)
TAKES_COLLECTION: Final = _names(lambda function: function.fetches or function.takes_collection)
LINEAR: Final = _names(lambda function: function.linear)
ORDER_FREE: Final = _names(lambda function: function.order_free)
# evaluated neither before a query runs nor ahead of their turn
NOT_AHEAD: Final = EFFECTS | FETCHING | (RANDOM - {"DATE_NOW"}) | _names(lambda function: function.session)
# not evaluated ahead of their turn, for a filter that narrows a scan
NOT_PUSHED: Final = EFFECTS | RANDOM | _names(lambda function: function.large)
