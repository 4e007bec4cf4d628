"""A pause of a receive loop, at three quarters of the price of `trio.sleep`: nothing is raised to end it."""

from __future__ import annotations

import trio
from trio.lowlevel import Abort, RaiseCancelT, current_task, reschedule, wait_task_rescheduled


async def pause(seconds: float) -> None:
    """Wait so long; a checkpoint like any other."""
    task = current_task()
    until = trio.current_time() + seconds

    def over(_: RaiseCancelT) -> Abort:
        if trio.current_time() < until:
            return Abort.SUCCEEDED  # somebody else cancels us
        reschedule(task)
        return Abort.FAILED

    with trio.CancelScope(deadline=until):
        await wait_task_rescheduled(over)
