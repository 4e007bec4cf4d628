"""RFC 4780's own notifications: the service began, took up a reload, changed its state; a status came too often.

Looked after once a second from what is counted anyway, so the call path knows nothing of it. The notification for each
single message (sipCommonStatusCodeNotif) is not sent: a flood of calls would be a flood of notifications.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import trio

from ..config.settings import Settings
from ..config.snmp import WatchedStatus
from ..outlets.snmp.mib import label
from ..outlets.snmp.session import Notification
from ..outlets.snmp.value import Oid, Syntax, Variable, oid
from ..proxy.core import SipCore
from .snmp_tables import Box

SIP_COMMON: Final = oid("1.3.6.1.2.1.149")
APPLICATION: Final = 1
"""applIndex: one application."""
THRESHOLD_IN, THRESHOLD_OUT, COLD_START, WARM_START, STATUS_CHANGED = range(2, 7)
"""Their numbers below sipCommonMIBNotifications; 1 would be sipCommonStatusCodeNotif."""

_STATUS: Final = {"starting": 5, "ready": 2, "degraded": 2, "draining": 6}
_CONGESTED: Final = 4
_SERVING: Final = (2, _CONGESTED)
_CONFIG: Final = (*SIP_COMMON, 1, 1, 1, 1)
_STATUS_CODES: Final = (*SIP_COMMON, 1, 5, 1, 1)
_NOTICE_OBJECTS: Final = (*SIP_COMMON, 1, 9)
_MOST_SEQUENCE: Final = 2**31 - 1


def service_status(box: Box, core: SipCore) -> int:
    """sipCommonCfgServiceOperStatus."""
    return _CONGESTED if core.load.sentence else _STATUS[box.state]


@attrs.define
class _Span:
    """One status in one interval: the counts as it began, and whether it was told of, in and out."""

    ends_at: float
    base: tuple[int, int]
    told: list[bool] = attrs.field(factory=lambda: [False, False])


@attrs.define(eq=False)
class SipNotices:
    """`tick` once a second while snmpd is there; what is to be told goes to `tell`. `ticks` makes TimeStamps."""

    box: Box
    core: SipCore
    settings: Callable[[], Settings]
    changed_at: float = attrs.field(factory=trio.current_time)
    """When the service came into the state that it has, by trio's clock."""
    _status: int = 0
    _began: bool = False
    _taken_up: Settings | None = None
    _spans: dict[WatchedStatus, _Span] = attrs.field(factory=dict)
    _sequence: int = 0

    def tick(self, tell: Callable[[Notification], None], ticks: Callable[[float], int], now: float) -> None:
        """Look at everything once; `now` is trio's clock."""
        settings, status = self.settings(), service_status(self.box, self.core)
        if status != self._status:
            before, self._status, self.changed_at = self._status, status, now
            if before:
                tell(self._made(STATUS_CHANGED, self._at(4, ticks), self._config(2, Syntax.INTEGER, status)))
        if not self._began and status in _SERVING:
            self._began = True
            started = self._config(3, Syntax.TIME_TICKS, self.box.started_ticks())
            tell(self._made(COLD_START, started))
        elif self._began and settings is not self._taken_up:
            tell(self._made(WARM_START, self._at(4, ticks)))
        self._taken_up = settings
        self._watch(tell, settings, now)

    def _watch(self, tell: Callable[[Notification], None], settings: Settings, now: float) -> None:
        watched = settings.snmp.watched_statuses
        if self._spans:
            self._spans = {one: span for one, span in self._spans.items() if one in watched}
        for one in watched:
            tally = self.core.layer.tallies[one.method]
            counts = (tally.responses_in.get(one.status, 0), tally.responses_out.get(one.status, 0))
            span = self._spans.get(one)
            if span is None:
                self._spans[one] = _Span(now + settings.snmp.status_interval_s, counts)
                continue
            for way, number in enumerate((THRESHOLD_IN, THRESHOLD_OUT)):
                if not span.told[way] and counts[way] - span.base[way] > one.threshold:
                    span.told[way] = True
                    name = (*_STATUS_CODES, 3 + way, APPLICATION, *label(one.method), one.status)
                    tell(self._made(number, Variable(name, Syntax.COUNTER32, counts[way] & 0xFFFFFFFF)))
            if now >= span.ends_at:
                self._spans[one] = _Span(now + settings.snmp.status_interval_s, counts)

    def _made(self, number: int, *variables: Variable) -> Notification:
        self._sequence = self._sequence % _MOST_SEQUENCE + 1
        objects = (
            Variable((*_NOTICE_OBJECTS, 6, 0), Syntax.GAUGE32, self._sequence),
            Variable((*_NOTICE_OBJECTS, 5, 0), Syntax.GAUGE32, APPLICATION),
            *variables,
        )
        return Notification((*SIP_COMMON, 0, number), objects)

    def _at(self, column: int, ticks: Callable[[float], int]) -> Variable:
        return self._config(column, Syntax.TIME_TICKS, ticks(self.changed_at))

    @staticmethod
    def _config(column: int, syntax: Syntax, value: int) -> Variable:
        """A cell of sipCommonCfgTable."""
        name: Oid = (*_CONFIG, column, APPLICATION)
        return Variable(name, syntax, value)
