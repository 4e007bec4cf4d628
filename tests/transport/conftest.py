from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from appliance.transport.options import TransportOptions
from appliance.transport.transports import Transports
from tests.transport.core import Core


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
async def transports(core: Core) -> AsyncIterator[Transports]:
    async with trio.open_nursery() as nursery:
        yield Transports(core.on_message, core.on_closed, TransportOptions(), nursery)
        nursery.cancel_scope.cancel()
