"""What all tests share: asyncio's own event loops for the peers that need one, and repeatable examples in CI.

storage/ brings trio-asyncio, which from its import on makes loops of its own for everybody, even outside trio;
Playwright and aiortc need asyncio's. Where CI is set, hypothesis draws the same examples each time, so that a run which
fails there has to do with the change; everywhere else it goes on searching. How long an example takes says more about
the machine than about us.
"""

import asyncio
import asyncio.events
import gc
import os
from collections.abc import Iterator

import pytest
import trio_asyncio  # noqa: F401 (it must patch asyncio first)
from hypothesis import HealthCheck, settings

from appliance.logs import log

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("patient"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "patient")

asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
asyncio.new_event_loop = asyncio.events.new_event_loop = asyncio.SelectorEventLoop


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """No test finds the log at a level, or at the limit of lines a second, that another one left behind."""
    level, rooms = log.level, log.rooms
    log._floods.clear()
    yield
    log.set_levels(level, rooms)


def pytest_unconfigure() -> None:
    """Boxes that ran in this process froze what there was; the last line shall be pytest's, not that of a leak."""
    gc.unfreeze()
