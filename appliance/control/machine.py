"""The machine under the running box, where it is our image: what boxd is told at a start, by a reload or a page."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import trio

from ..box.asking import ask_box
from ..box.machine import Machine, NotOurImage, Refused
from ..config import Settings
from ..logs import log
from .asking import Answer
from .backup import ENGINE


@attrs.define(eq=False)
class MachineControl:
    """For one running box."""

    machine: Machine
    state_dir: Path
    _due: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def is_ours(self) -> bool:
        return self.machine.version is not None

    def prepare(self, settings: Settings) -> None:
        """A reload has taken up new settings: ports, time servers and the name may be others."""
        self._due.set()

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell boxd at the start and after each reload."""
        task_status.started(str(self.machine.socket))
        await self._give_engine_back()
        while True:
            self._due = trio.Event()
            answer = await self.ask("take-up")
            if not answer["ok"]:
                log.error("machine.not_told", why=answer["error"])
            await self._due.wait()

    async def _give_engine_back(self) -> None:
        """After a restore: snmpd becomes again whom the backup says."""
        file = self.state_dir / ENGINE
        try:
            said = json.loads(await trio.to_thread.run_sync(file.read_bytes))
            words = {name: str(said[name]) for name in ("engine_id", "engine_boots")}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.error("machine.engine", error)
            return
        answer = await self.ask("snmp-state-put", **words)
        if answer["ok"]:
            file.unlink(missing_ok=True)
        else:
            log.error("machine.engine_refused", why=answer["error"])

    async def ask(self, verb: str, **words: str) -> Answer:
        """What boxd answers, its refusals as `error`."""

        def work() -> Answer:
            try:
                return ask_box(verb, machine=self.machine, deadline_s=90.0, **words)
            except (NotOurImage, Refused) as refused:
                return {"ok": False, "error": str(refused)}

        return await trio.to_thread.run_sync(work)
