"""The pause of a receive loop: as long as it says, and no obstacle to whoever cancels."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from appliance.transport.pause import pause


async def test_it_is_as_long_as_it_says(autojump_clock: trio.testing.MockClock) -> None:
    started = trio.current_time()
    for _ in range(3):
        await pause(0.5)
    assert trio.current_time() - started == pytest.approx(1.5)


async def test_who_is_cancelled_meanwhile_ends_at_once(autojump_clock: trio.testing.MockClock) -> None:
    started = trio.current_time()
    with trio.move_on_after(1) as scope:
        while True:
            await pause(60)
    assert scope.cancelled_caught
    assert trio.current_time() - started == pytest.approx(1)


async def test_others_go_on(autojump_clock: trio.testing.MockClock) -> None:
    ended: list[float] = []

    async def wait(seconds: float) -> None:
        await pause(seconds)
        ended.append(seconds)

    async with trio.open_nursery() as nursery:
        for seconds in (3, 1, 2):
            nursery.start_soon(wait, seconds)
    assert ended == [1, 2, 3]
