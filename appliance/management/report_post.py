"""Reports by mail, each once a day, week or month: what is due, the questions to the records, and the way out.

What has been sent stands in a file of the state directory, written after the mail server has taken the mail. A box that
is killed between the two sends it again, under the same Message-ID.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import trio

from ..config import Settings
from ..config.report import ReportSettings
from ..logs import log
from ..outlets.alarm_post import Undelivered
from ..outlets.mail import MailCourier
from ..proxy.records import Records
from ..proxy.report_sheets import ReportSpan, report_sheets
from ..storage.whole_file import write_whole
from .report_mail import report_mail
from .report_times import Period, last_period, midnight

REPORTS_FILE: Final = "reports.json"
LOOK_S: Final = 20.0
"""How often it is looked whether one is due."""
_PAUSE_S: Final = 60.0, 1800.0


class ReportPost:
    """`told` hears what is wrong with a report, by its section, and '' once it is well."""

    def __init__(
        self,
        records: Records,
        state_dir: Path,
        settings: Callable[[], Settings],
        told: Callable[[str, str], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.sent = 0
        self._records = records
        self._file = state_dir / REPORTS_FILE
        self._settings = settings
        self._told = told
        self._wall = wall
        self._done: dict[str, str] = {}
        """The period that each report was last sent for, or that had passed when it was first seen."""
        self._again: dict[str, tuple[float, float]] = {}
        """Of those that failed: when they are tried again, and the pause after that."""
        self._faulty: set[str] = set()

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """A leaf service; until cancelled."""
        await trio.to_thread.run_sync(self._load)
        task_status.started(", ".join(self._settings().reports))
        while True:
            await self.look()
            await trio.sleep(LOOK_S)

    async def look(self) -> None:
        """Send what is due."""
        reports = self._settings().reports
        for name in self._faulty - set(reports):
            self._show(name, "")
        known = set(self._done)
        for name, one in reports.items():
            period = last_period(one, datetime.fromtimestamp(self._wall(), UTC))
            mark = f"{period.every} {period.first}"
            if name not in known:
                self._done[name] = mark  # a report begins with the first period that ends while it is there
                await self._save()
            elif self._done[name] != mark and self._again.get(name, (0.0, 0.0))[0] <= trio.current_time():
                await self._send(one, period, mark)

    async def _send(self, one: ReportSettings, period: Period, mark: str) -> None:
        try:
            await self.post(one, period)
        except (Undelivered, ValueError) as error:
            _, pause_s = self._again.get(one.name, (0.0, _PAUSE_S[0]))
            self._again[one.name] = trio.current_time() + pause_s, min(2 * pause_s, _PAUSE_S[1])
            self._show(one.name, f"the report about {period.name} was not sent: {error}")
            return
        self._again.pop(one.name, None)
        self._done[one.name] = mark
        await self._save()
        self._show(one.name, "")
        self.sent += 1
        log.info("report.sent", report=one.name, about=period.name)

    async def post(self, one: ReportSettings, period: Period) -> None:
        """Make it and hand it to the mail server. Raises `Undelivered`, and `ValueError` where there are no figures."""
        settings = self._settings()
        mail = settings.mails[one.mail]
        span = ReportSpan(
            since=midnight(one, period.first),
            until=midnight(one, period.end),
            trunk=one.trunk or "",
            tenant=one.tenant or "",
            digits=one.digits,
        )
        sheets = await report_sheets(self._records, tuple(map(str, one.reports)), span, ZoneInfo(one.zone), one.rows)
        box = settings.appliance.name
        message = await trio.to_thread.run_sync(report_mail, one, mail, period, sheets, box)
        try:
            with trio.fail_after(mail.timeout_s):
                await MailCourier(mail, box).post(message)
        except trio.TooSlowError:
            raise Undelivered(f"no answer within {mail.timeout_s:g} s") from None

    def _show(self, name: str, fault: str) -> None:
        if fault or name in self._faulty:
            self._told(name, fault)
        (self._faulty.add if fault else self._faulty.discard)(name)

    def _load(self) -> None:
        try:
            kept = json.loads(self._file.read_bytes())
            if not isinstance(kept, Mapping):
                raise ValueError("it holds no object")
            self._done = {str(name): str(mark) for name, mark in kept.items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.error("reports.unreadable", error, file=str(self._file))

    async def _save(self) -> None:
        kept = json.dumps({name: mark for name, mark in self._done.items() if name in self._settings().reports})
        try:
            await trio.to_thread.run_sync(write_whole, self._file, kept.encode())
        except OSError as error:
            log.error("reports.unsaved", error, file=str(self._file))
