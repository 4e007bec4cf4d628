"""What all tests share: asyncio's own event loops for the peers that need one (Playwright, aiortc).

storage/ brings trio-asyncio, which makes loops of its own for everybody outside trio unless a policy was set.
"""

import asyncio

import trio_asyncio  # noqa: F401 (it must patch asyncio first)

asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
