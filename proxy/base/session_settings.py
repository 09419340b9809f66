"""The settings that each of our sessions makes, whatever a role, a database or a server has preset. Pure.

Managed services preset time limits for a role, applications preset a time zone or a search path for theirs, and one
role serves both. A setting belongs here if it changes what a statement means, whether it ends, or whether a commit
lasts; what only makes statements fast or slow (memory, the planner's switches) is left to the operator.

`default_transaction_read_only` is left to the operator too: it is set when there must be no writes (a managed service
whose disk is full). Writes then wait, and continue by themselves once it is off (proxy/base/sqlstates.py).

They are set by statements and not in the startup packet, of which poolers pass on few. Time limits are those of the
callers (`Database.open`): ours cancel a statement and report it.
"""

from __future__ import annotations

from typing import Final

_SETTINGS: Final = {
    # time
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    # transactions
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    # names
    "search_path": "public",
    "quote_all_identifiers": "off",
    "row_security": "on",
    # values
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "array_nulls": "on",
    # results
    "gin_fuzzy_search_limit": "0",
    # small statements of many kinds: compiling them costs more than it saves
    "jit": "off",
}
_SINCE_17: Final = {"transaction_timeout": "0"}

# what was acknowledged must outlive a crash of PostgreSQL; any stronger level stays as it is
_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';"
)


def statements(version: int) -> str:
    """Return the statements for a PostgreSQL of this major version, to be sent as one script."""
    settings = _SETTINGS | (_SINCE_17 if version >= 17 else {})
    return "".join(f"SET {name} = '{value}';" for name, value in settings.items()) + _DURABLE
