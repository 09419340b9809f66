"""A stack whose peers report their lag."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.ad_hoc import Database
from tests.integration.shadow_fixtures import Stack, shadow_with_rules, stack_on


@pytest.fixture
async def stack(database: Database) -> AsyncIterator[Stack]:
    """Like the stack of test_shadow, with rules from PostgreSQL; it records the verdicts."""
    created = await stack_on(database)
    created.shadow = shadow_with_rules(created)
    await created.shadow.start()
    yield created
    await created.close()
