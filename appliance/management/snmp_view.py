"""What SNMP shows of the box, and what it tells: Jackfield's own MIB, the standard ones, notifications of alarms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, cast

import attrs
import trio

from .. import __version__
from ..alarm_kinds import CATALOGUE, AlarmKind
from ..alarms import Alarm, Alarms, Change
from ..config.settings import Settings
from ..config.snmp import EXAMPLE_ENTERPRISE, SnmpSettings
from ..metrics import Metrics
from ..outlets.snmp.mib import Group
from ..outlets.snmp.mib_text import Module, Notice
from ..outlets.snmp.service import SnmpAgent, View
from ..outlets.snmp.session import Notification
from ..outlets.snmp.tree import Branch
from ..outlets.snmp.value import Oid, Variable, bounded, oid
from ..proxy.core import SipCore
from ..supervisor import ServiceHealth
from .snmp_sip import SUBTREES, StandardSources, branches
from .snmp_sip_notices import SipNotices
from .snmp_tables import NOTICED, Sources, alarm_table, groups

ENTERPRISES: Final = oid("1.3.6.1.4.1")
UPDATED: Final = "202611220000Z"
"""When the MIB last changed."""

_ABOUT: Final = """Jackfield, a SIP network appliance: its figures, services, alarms, trunks, limits and calls.

It is read by way of the machine's own SNMP agent, to which Jackfield is a sub-agent (AgentX). Nothing can be set.

{enterprise}

The tables of one group are read at one moment and kept for a second, so that a walk sees rows that belong together; \
scalars and alarms are read when they are asked for. All counters begin at zero: see jfDiscontinuityTime."""

_EXAMPLE: Final = """Jackfield has no enterprise number of its own yet. It hangs under 32473, the number that RFC 5612 \
keeps for examples and documentation, and moves when it has one. A house with a number of its own can have it there: \
enterprise-number in [snmp] of the configuration, and the module as jackfield snmp mib prints it."""

_OWN: Final = "This copy was written for the enterprise {number}, as its configuration says."


def module(enterprise: int = EXAMPLE_ENTERPRISE) -> Module:
    """The MIB module as a whole."""
    nothing = cast(SipCore, None)  # only asked when rows are
    sources = Sources(cast(LivingBox, None), Metrics(), Alarms(), nothing, list)
    said = _EXAMPLE if enterprise == EXAMPLE_ENTERPRISE else _OWN.format(number=enterprise)
    notices = []
    for kind in CATALOGUE.values():
        begins = f"An alarm {kind.name} begins, or its severity changed. {kind.about}"
        notices.append(Notice(notice_number(kind, over=False), kind.raised_as, begins))
        ends = f"An alarm {kind.name} is over; its number is that of the notification {kind.raised_as}."
        notices.append(Notice(notice_number(kind, over=True), kind.cleared_as, ends))
    return Module(enterprise, groups(sources), tuple(notices), NOTICED, _ABOUT.format(enterprise=said), UPDATED)


def notice_number(kind: AlarmKind, *, over: bool) -> int:
    """The number of a kind's notification: odd where it begins, even where it ends."""
    return kind.number * 2 - (0 if over else 1)


@attrs.define(eq=False)
class LivingBox:
    """The box as a whole. `ticks` makes a TimeStamp of a time of trio's clock."""

    name_of: Callable[[], str]
    state_of: Callable[[], str]
    degraded_now: Callable[[], tuple[str, ...]]
    services: Mapping[str, ServiceHealth]
    ticks: Callable[[float], int] = attrs.field(default=lambda at: 0)
    version: str = __version__
    began: float = attrs.field(factory=trio.current_time)

    @property
    def name(self) -> str:
        return self.name_of()

    @property
    def state(self) -> str:
        return self.state_of()

    @property
    def degraded(self) -> tuple[str, ...]:
        return self.degraded_now()

    def started_ticks(self) -> int:
        return self.ticks(self.began)


class SnmpView:
    """Makes what the sub-agent offers, and hands it the alarms."""

    def __init__(self, sources: Sources, box: LivingBox, settings: Callable[[], Settings]) -> None:
        self._groups: tuple[Group, ...] = groups(sources)
        self._notices = SipNotices(box, sources.core, settings)
        self._standard = StandardSources(
            box, sources.core, settings, sources.listeners, self._notices, lambda at: box.ticks(at)
        )
        self._sources = sources
        self._box = box

    def __call__(self, settings: SnmpSettings, agent: SnmpAgent) -> View:
        self._box.ticks = agent.ticks
        base = (*ENTERPRISES, settings.enterprise_number, 1)
        found: list[Branch] = branches(self._standard)
        for group in self._groups:
            found += group.branches((*base, 1), trio.current_time)
        return View([base, *SUBTREES], found)

    def tell(self, agent: SnmpAgent) -> None:
        """Notifications for the alarms there are, for each change from now on, and RFC 4780's own."""
        metrics, alarms = self._sources.metrics, self._sources.alarms
        metrics.snmp_variables.read = lambda: agent.variables_answered
        metrics.snmp_notifications.read = lambda: {("handed over",): agent.notified, ("lost",): agent.lost}

        def changed(change: Change, alarm: Alarm) -> None:
            agent.notify(notification(alarm, agent.settings.enterprise_number))

        for alarm in reversed(alarms.active):
            changed(Change.RAISED, alarm)
        alarms.subscribe(changed)
        agent.each_second = lambda now: self._notices.tick(agent.notify, agent.ticks, now)


_ALARM_COLUMNS: Final = {one.name: (number, one) for number, one in alarm_table(Alarms()).numbered()}


def notification(alarm: Alarm, enterprise: int) -> Notification:
    """What is told of an alarm as it is now; its objects are those of its row, be the row gone already."""
    base = (*ENTERPRISES, enterprise, 1)
    variables = []
    for noticed in NOTICED:
        number, column = _ALARM_COLUMNS[noticed]
        instance: Oid = (*base, 1, 4, 1, 1, number, alarm.number)
        value = column.read(alarm)
        assert value is not None
        variables.append(Variable(instance, column.kind.syntax, bounded(column.kind.syntax, value)))
    own = (*base, 0, notice_number(alarm.kind, over=alarm.cleared_at is not None))
    return Notification(own, tuple(variables))
