"""Mutants of what PostgreSQL takes over from ArangoDB: accounts, numbers of keys."""

from typing import Final

from tests.faults.mutations import Mutant

_ACCOUNTS: Final = "tests/integration/test_accounts_copied.py::"

MUTANTS = (
    Mutant(
        "an inactive user is let in",
        "proxy/devserver/store/state/user_documents.py",
        'hashed, data["active"], extra',
        "hashed, True, extra",
        f"{_ACCOUNTS}test_users_keep_their_passwords_and_levels",
    ),
    Mutant(
        "a user that ArangoDB no longer has stays",
        "proxy/carryover/account_plan.py",
        "    gone = [name for name in before if name not in origin.accounts]\n",
        "    gone: list[str] = []\n",
        f"{_ACCOUNTS}test_a_running_proxy_notices_what_changed_and_who_is_gone",
    ),
    Mutant(
        "running proxies do not notice copied accounts",
        "proxy/carryover/account_copy.py",
        "            if await session.fetchrow(sql.complete.RAISE_VERSION, stored.version):\n",
        "            if stored.entries is not None:\n",
        f"{_ACCOUNTS}test_a_running_proxy_notices_what_changed_and_who_is_gone",
    ),
    Mutant(
        "keys that only PostgreSQL has do not count for the generator",
        "proxy/carryover/collection_handover.py",
        "else max(last, found),\n",
        "else last,\n",
        "tests/unit/carryover/test_collection_handover.py::test_generated_keys_continue_above_both",
    ),
    Mutant(
        "new things get numbers that ArangoDB has given",
        "proxy/complete/catalog_cache.py",
        "        self.ticks.clear()\n",
        "        await self.refill()\n",
        "tests/integration/test_complete_proxies.py::test_numbers_that_came_from_arangodb_are_not_given_again",
    ),
)
