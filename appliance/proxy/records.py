"""The records of the box: what of the core leaves one, and the way into the journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio

from appliance.config.settings import Settings
from appliance.proxy.call import Call
from appliance.proxy.call_record import record_of_call, record_of_refusal
from appliance.proxy.core import Refusal, SipCore
from appliance.storage.call_record import line_of
from appliance.storage.journal import Journal
from appliance.storage.recorder import Recorder


class Records:
    """One for the box. `told` hears of a fault in a sentence, and of its end as ''."""

    def __init__(self, core: SipCore, settings: Settings, state_dir: Path, told: Callable[[str], None]) -> None:
        self._core = core
        self._settings = settings
        directory = state_dir / settings.records.directory
        self.recorder = Recorder(Journal(directory / "journal"), self._line, settings.records, told)
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Take new settings."""
        self._settings = settings
        self.recorder.settings = settings.records
        take = self.recorder.take if settings.records.enabled else None
        self._core.calls.record = take
        self._core.record_refusal = take

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until cancelled."""
        await self.recorder.run(task_status=task_status)

    def _line(self, ended: object) -> str:
        """In the writer's thread."""
        if isinstance(ended, Call):
            return line_of(record_of_call(ended, self._settings, self._core.hiding.call_ids))
        assert isinstance(ended, Refusal)
        return line_of(record_of_refusal(ended, self._settings))
