"""Timers on a loop that was held up: what came meanwhile is heard first."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace

import pytest
import trio
import trio.testing

from appliance.proxy.service import _keep_time
from appliance.sip.timers import TimerHeap


@pytest.mark.parametrize("attempt", range(8))  # in which order trio wakes two tasks is left to chance
async def test_nobody_is_given_up_for_a_silence_that_was_ours(attempt: int) -> None:
    order: list[str] = []
    timers = TimerHeap()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)

        async def hear() -> None:
            await trio.lowlevel.wait_readable(ours)
            order.append("answer")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear)
            nursery.start_soon(_keep_time, SimpleNamespace(timers=timers))
            timers.schedule(trio.current_time() + 0.1, lambda now: order.append("timeout"))
            await trio.testing.wait_all_tasks_blocked()
            theirs.send(b"SIP/2.0 100 Trying")
            time.sleep(0.5)  # noqa: ASYNC251 (that is what is tried)
            while "timeout" not in order:  # noqa: ASYNC110 (a timer has no event)
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert order == ["answer", "timeout"]


async def test_a_timer_that_is_due_runs_when_it_is() -> None:
    timers, ran = TimerHeap(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_keep_time, SimpleNamespace(timers=timers))
        await trio.testing.wait_all_tasks_blocked()
        timers.schedule(trio.current_time() + 3600, lambda now: None)
        timers.schedule(trio.current_time() + 0.02, lambda now: ran.set())
        with trio.fail_after(60):
            await ran.wait()
        nursery.cancel_scope.cancel()
