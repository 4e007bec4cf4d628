"""The self-test as the running box sees it: permissions for whoever may use the control socket, and the last report.

At the start, where `[selftest] at-start` says so, and when a page asks for it, the box tests itself, one test at a
time; a failure is an alarm until a test passes.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable
from typing import Final

import attrs
import trio

from .. import alarm_kinds
from ..alarms import Alarms
from ..config import Settings
from ..config.sections import ListenerSettings
from ..identity import Identity
from ..interfaces import local_names
from ..logs import log
from ..metrics import Metrics
from ..proxy.core import SipCore
from ..selftest.course import run
from ..selftest.permission import Door, Permission
from ..selftest.report import Report, Step
from ..transport.transports import Transports
from ..web.inside import TestLook, TestStep
from .asking import Answer, Json

SUBJECT: Final = "the box"
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (that is where nothing is bound)


@attrs.define(eq=False)
class SelfTest:
    """`last` is the report of the last test, whoever ran it."""

    core: SipCore
    transports: Transports
    settings: Callable[[], Settings]
    identity: Callable[[], Identity]
    alarms: Alarms
    last: Report | None = None
    runs: int = 0
    failures: int = 0
    _permission: Permission | None = None
    _steps: list[Step] | None = None
    """Both of the test that the box runs just now."""
    _asked: trio.Event = attrs.field(factory=trio.Event)

    def show(self, metrics: Metrics) -> None:
        """Hang the figures into the catalogue."""
        metrics.selftest_runs.read = lambda: {
            ("passed",): self.runs - self.failures,
            ("failed",): self.failures,
        }
        metrics.selftest_passed.read = lambda: 1.0 if self.last is not None and self.last.passed else 0.0

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """As a service: test at the start, where wanted, and whenever `begin` was asked to."""
        task_status.started("at the start" if self.settings().selftest.at_start else "when asked")
        if self.settings().selftest.at_start and not self.begin().get("ok"):
            log.warning("selftest.refused")
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            permission, steps = self._permission, self._steps
            assert permission is not None
            assert steps is not None
            try:
                self.take(await run(permission, steps.append))
            finally:
                self.core.guests.dismiss(permission.user)
                self._permission = self._steps = None

    def begin(self) -> Answer:
        """Let the box test itself; refused while it does."""
        if self._steps is not None:
            return {"ok": False, "error": "A self-test runs already. Its steps are shown as they come."}
        try:
            self._permission = self.permit()
        except ValueError as error:
            return {"ok": False, "error": str(error)}
        self._steps = []
        self._asked.set()
        return {"ok": True}

    def permit(self) -> Permission:
        """A throwaway account, and where to call. Raises `ValueError` where too many have one."""
        guest = self.core.guests.invite()
        settings = self.settings()
        domain = next(iter(settings.appliance.domains or ()), "localhost")
        names = (*(settings.appliance.domains or ()), *settings.appliance.advertise)
        return Permission(guest.name, guest.password, domain, names or local_names(), tuple(self._doors(settings)))

    def take(self, report: Report) -> None:
        """A report of a test that is over."""
        self.last = report
        self.runs += 1
        self.failures += not report.passed
        sentence = "" if report.passed else report.sentence
        self.alarms.show(alarm_kinds.SELFTEST, SUBJECT, sentence)
        tell = log.info if report.passed else log.warning
        tell("selftest.done", passed=report.passed, sentence=report.sentence, took_s=round(report.took_s, 1))

    async def command(self, word: str = "last", more: str = "") -> Answer:
        """`permit` gives a permission, `done USER` ends it, `report JSON` hands in what was found, `last` shows it."""
        match word:
            case "permit":
                try:
                    return {"ok": True, "permission": self.permit().as_json()}
                except ValueError as error:
                    return {"ok": False, "error": str(error)}
            case "done":
                self.core.guests.dismiss(more)
            case "report":
                try:
                    self.take(Report.from_json(json.loads(more)))
                except (ValueError, KeyError, TypeError, AttributeError):
                    return {"ok": False, "error": "that is no report"}
            case "last":
                pass
            case _:
                return {"ok": False, "error": "known are permit, done, report and last"}
        return {"ok": True, "last": self.shown()}

    def look(self) -> TestLook:
        """For the pages."""
        if self._steps is not None:
            return TestLook(running=True, at=None, passed=None, sentence="", steps=_looks(self._steps))
        last = self.last
        if last is None:
            return TestLook(running=False, at=None, passed=None, sentence="", steps=())
        return TestLook(False, last.at, last.passed, last.sentence, _looks(last.steps))

    def shown(self) -> Json:
        return None if self.last is None else self.last.as_json()

    def _doors(self, settings: Settings) -> list[Door]:
        """The listeners that take calls as they come, loopback and IPv4 first."""
        found = []
        for one in self.transports.snapshot():
            listener = settings.listeners.get(one.name)
            if listener is None or listener.stateless or not one.addresses:
                continue
            hosts = sorted((_WILDCARDS.get(host, host) for host, _ in one.addresses), key=_rank)
            port = one.addresses[0][1]
            found.append(self._door(listener, hosts[0], port))
        return found

    def _door(self, listener: ListenerSettings, host: str, port: int) -> Door:
        certificate, origin = "", ""
        if listener.transport.secure:
            certificate = str((listener.certificate or self.identity().certificate).absolute())
        if listener.require_origin:
            shown = f"[{host}]" if ":" in host else host
            origin = next((one for one in listener.origins if "://" in one), f"https://{shown}")
        return Door(listener.name, listener.transport.value, host, port, listener.ws_path, origin, certificate)


def _looks(steps: Iterable[Step]) -> tuple[TestStep, ...]:
    return tuple(TestStep(one.name, one.verdict.value, one.sentence, one.remedy, one.figures) for one in steps)


def _rank(host: str) -> tuple[int, bool]:
    address = ipaddress.ip_address(host.partition("%")[0])
    return address.version, not address.is_loopback
