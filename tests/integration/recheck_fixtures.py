"""A stack whose peers report their lag."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.ad_hoc import Database
from tests.integration.shadow_fixtures import Stack, ruled, stack_on


@pytest.fixture
async def stack(database: Database) -> AsyncIterator[Stack]:
    """As in test_shadow, with rules from PostgreSQL, and the verdicts noted."""
    made = await stack_on(database)
    made.shadow = ruled(made)
    await made.shadow.start()
    yield made
    await made.close()
