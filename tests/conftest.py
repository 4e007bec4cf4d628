"""What all tests share: asyncio's own event loops for the peers that need one (Playwright, aiortc), in any thread.

storage/ brings trio-asyncio, which from its import on makes loops of its own for everybody, even outside trio.
"""

import asyncio
import asyncio.events

import trio_asyncio  # noqa: F401 (it must patch asyncio first)

asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
asyncio.new_event_loop = asyncio.events.new_event_loop = asyncio.SelectorEventLoop
