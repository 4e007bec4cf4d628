"""The shell around the SIP core: the one task that keeps its timers and the one that empties its inbox."""

from __future__ import annotations

import math
import time

import trio

from appliance.proxy.core import SipCore
from appliance.proxy.load import INTERVAL_S, kept_waiting_s, memory_of_us

_HOUSEKEEPING_S = 1.0
_HELD_UP_S, _HEARING_S = 0.25, 0.02


async def run_core(core: SipCore, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Drive `core` until cancelled. Its clock must be trio's own. What it raises is a bug of ours and rises."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_keep_time, core)
        nursery.start_soon(_empty_inbox, core)
        nursery.start_soon(_sweep, core)
        nursery.start_soon(_watch_load, core)
        task_status.started()


async def _keep_time(core: SipCore) -> None:
    """Run timers when they are due. Where the loop was held up, what came meanwhile is heard before them: nobody is
    given up for a silence that was ours.
    """
    timers = core.timers
    earlier = trio.Event()
    until = math.inf

    def woken(when: float) -> None:
        if when < until:
            earlier.set()

    timers.on_earlier = woken
    while True:
        late_s = trio.current_time() - until
        until = 0.0  # nobody need wake us before we sleep
        if late_s > _HELD_UP_S:
            await trio.sleep(_HEARING_S)
        timers.run_due(trio.current_time())
        next_at = timers.next_at
        until = math.inf if next_at is None else next_at
        earlier = trio.Event()
        with trio.move_on_at(until):
            await earlier.wait()


async def _empty_inbox(core: SipCore) -> None:
    filled = trio.Event()

    def wake() -> None:
        filled.set()

    core.wake = wake
    while True:
        while core.work():
            await trio.lowlevel.checkpoint()  # let the receive loops in: what is inside a dialog goes first
        filled = trio.Event()
        await filled.wait()


async def _watch_load(core: SipCore) -> None:
    started, used, waited = trio.current_time(), time.thread_time(), kept_waiting_s()
    while True:
        due = started + INTERVAL_S
        await trio.sleep_until(due)
        now, cpu_s, waited_s = trio.current_time(), time.thread_time(), kept_waiting_s()
        seconds = now - started
        # Of a core that others use as well, what they took was not to be had.
        ours = max(seconds - (waited_s - waited), cpu_s - used, 0.001)
        share = (cpu_s - used) / ours
        core.load.sample(now, seconds, share * seconds, now - due, memory_of_us(), core.waiting)
        started, used, waited = now, cpu_s, waited_s


async def _sweep(core: SipCore) -> None:
    while True:
        await trio.sleep(_HOUSEKEEPING_S)
        core.sweep()
