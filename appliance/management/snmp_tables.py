"""Jackfield's own MIB: its groups of objects, with where each value comes from at the moment when somebody asks.

Everything is declared here once: the agent answers from it, and the MIB file is written from it. Numbers are for
ever: what goes away leaves a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, Protocol, TypeVar

import attrs

from ..alarms import Alarm, Alarms
from ..metrics import Metrics
from ..outlets.snmp.mib import (
    COUNTER64,
    DATE,
    GAUGE,
    LABEL,
    NAME,
    NUMBER,
    TEXT,
    TIME_STAMP,
    TRUTH,
    UNSIGNED,
    Field,
    Group,
    Index,
    TableKind,
    date_and_time,
    label,
    name,
    truth,
    words,
)
from ..outlets.snmp.tree import MOST_ROWS
from ..outlets.snmp.value import Oid
from ..proxy import overview
from ..proxy.call import Call
from ..proxy.core import SipCore
from ..proxy.overview import CapacityOverview, GatewayOverview, TrunkOverview
from ..supervisor import ServiceHealth
from ..transport.counters import ListenerSnapshot
from .snmp_figures import figure_tables, figures
from .snmp_media import media_table

R = TypeVar("R")

SEVERITY: Final = words(cleared=1, indeterminate=2, critical=3, major=4, minor=5, warning=6)
"""ITU perceived severities, numbered as in RFC 3877."""
STATE: Final = words(starting=1, ready=2, degraded=3, draining=4)
SERVICE_STATE: Final = words(starting=1, ready=2, degraded=3, stopped=4)


class Box(Protocol):
    """What is shown of the box as a whole."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def degraded(self) -> tuple[str, ...]: ...
    @property
    def services(self) -> Mapping[str, ServiceHealth]: ...
    def started_ticks(self) -> int: ...


@attrs.frozen
class Sources:
    """Where all values come from."""

    box: Box
    metrics: Metrics
    alarms: Alarms
    core: SipCore
    listeners: Callable[[], list[ListenerSnapshot]]


def groups(sources: Sources) -> tuple[Group, ...]:
    """Every group of the MIB."""
    return (
        Group(1, "jackfieldFigures", scalars=figures(sources.metrics)),
        Group(2, "jackfieldFigureTables", tables=figure_tables(sources.metrics)),
        Group(3, "jackfieldBox", scalars=_box(sources.box), tables=(_services(sources.box), _listeners(sources))),
        Group(4, "jackfieldAlarms", tables=(alarm_table(sources.alarms),)),
        Group(5, "jackfieldRouting", tables=(_trunks(sources.core), _gateways(sources.core))),
        Group(6, "jackfieldAdmission", tables=(_limits(sources.core),)),
        Group(7, "jackfieldCalls", tables=(_calls(sources.core),)),
        Group(8, "jackfieldMedia", tables=(media_table(sources.core),)),
    )


# The box


def _box(box: Box) -> tuple[tuple[int, Field[None]], ...]:
    return (
        (1, Field("jfName", TEXT, "The name of the box, as its configuration says.", lambda _: box.name)),
        (2, Field("jfVersion", TEXT, "The version of Jackfield.", lambda _: box.version)),
        (3, Field("jfState", STATE, "How the box does as a whole.", lambda _: STATE.words[box.state])),
        (
            4,
            Field(
                "jfDegraded",
                TEXT,
                "What does not work just now, in words; empty where all is well.",
                lambda _: "; ".join(box.degraded),
            ),
        ),
        (
            5,
            Field(
                "jfDiscontinuityTime",
                TIME_STAMP,
                "sysUpTime when the process began: the one moment at which every counter of this module, and of the "
                "standard SIP modules beside it, was zero. It is zero if that was before sysUpTime began.",
                lambda _: box.started_ticks(),
            ),
        ),
    )


def _services(box: Box) -> TableKind[ServiceHealth]:
    return TableKind(
        6,
        "jfService",
        "The services inside the box.",
        "One service.",
        (Index("jfServiceName", LABEL, "Its name."),),
        (
            Field("jfServiceState", SERVICE_STATE, "How it does.", lambda one: SERVICE_STATE.words[one.state.value]),
            Field("jfServiceWhere", TEXT, "Where it serves.", lambda one: one.where),
            Field("jfServiceFault", TEXT, "Why it does not run, empty where it does.", lambda one: one.fault),
            Field("jfServiceRestartCount", COUNTER64, "How often it was restarted.", lambda one: one.restarts),
        ),
        lambda: {label(one.name): one for one in box.services.values()},
    )


def _listeners(sources: Sources) -> TableKind[ListenerSnapshot]:
    return TableKind(
        7,
        "jfListener",
        "The listeners for SIP.",
        "One listener.",
        (Index("jfListenerName", NAME, "Its name in the configuration."),),
        (
            Field("jfListenerTransport", TEXT, "UDP, TCP, TLS, WS or WSS.", lambda one: one.transport),
            Field(
                "jfListenerAddresses",
                TEXT,
                "Where it listens.",
                lambda one: ", ".join(
                    f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in one.addresses
                ),
            ),
            Field("jfListenerAccepting", TRUTH, "Whether it takes new ones.", lambda one: truth(one.accepting)),
            Field("jfListenerOpen", GAUGE, "Connections open now.", lambda one: one.connections),
            Field("jfListenerAccepted", COUNTER64, "Connections that were taken.", lambda one: one.accepted),
            Field("jfListenerMessagesIn", COUNTER64, "SIP messages received.", lambda one: one.messages_in),
            Field("jfListenerMessagesOut", COUNTER64, "SIP messages sent.", lambda one: one.messages_out),
            Field("jfListenerBytesIn", COUNTER64, "Bytes received.", lambda one: one.bytes_in, "bytes"),
            Field("jfListenerBytesOut", COUNTER64, "Bytes sent.", lambda one: one.bytes_out, "bytes"),
            Field("jfListenerDropped", COUNTER64, "Dropped or closed.", lambda one: sum(one.drops.values())),
        ),
        lambda: {name(one.name): one for one in sources.listeners() if one.name},
    )


# Alarms

NOTICED: Final = (
    "jfAlarmKind",
    "jfAlarmSubject",
    "jfAlarmSeverity",
    "jfAlarmSentence",
    "jfAlarmRaisedAt",
    "jfAlarmChangedAt",
)
"""The objects of every notification."""


def alarm_table(alarms: Alarms) -> TableKind[Alarm]:
    return TableKind(
        1,
        "jfAlarm",
        "What is wrong just now. An alarm's row is gone when the alarm is over.",
        "One active alarm.",
        (Index("jfAlarmNumber", NUMBER, "Its own for as long as the process lives."),),
        (
            Field("jfAlarmKind", TEXT, "What is wrong: the kind as the manual lists it.", lambda one: one.kind.name),
            Field("jfAlarmSubject", TEXT, "With what it is wrong: a trunk, a limit.", lambda one: one.subject),
            Field("jfAlarmSeverity", SEVERITY, "How bad it is; cleared in the notification of its end.", severity),
            Field("jfAlarmSentence", TEXT, "What is wrong, in a sentence.", lambda one: one.sentence),
            Field("jfAlarmRaisedAt", DATE, "When it began.", lambda one: date_and_time(one.raised_at)),
            Field(
                "jfAlarmChangedAt", DATE, "When it last changed or ended.", lambda one: date_and_time(one.changed_at)
            ),
            Field("jfAlarmCount", GAUGE, "How often it was raised since it began.", lambda one: one.count),
            Field("jfAlarmRemedy", TEXT, "What to do about it.", lambda one: one.kind.remedy),
        ),
        lambda: {(one.number,): one for one in alarms.active},
        kept_s=0.0,  # who was just notified finds the row
    )


def severity(one: Alarm) -> int:
    return SEVERITY.words["cleared" if one.cleared_at is not None else one.severity.value]


# Trunks, limits, calls


def _trunks(core: SipCore) -> TableKind[TrunkOverview]:
    return TableKind(
        1,
        "jfTrunk",
        "The trunks: carriers and PBXs.",
        "One trunk.",
        (Index("jfTrunkName", NAME, "Its name in the configuration."),),
        (
            Field("jfTrunkGateways", GAUGE, "How many gateways it has.", lambda one: len(one.gateways)),
            Field(
                "jfTrunkUsableGateways",
                GAUGE,
                "How many of them take new calls; none is what the alarm trunk-down tells.",
                lambda one: sum(gateway.usable for gateway in one.gateways),
            ),
            Field("jfTrunkCalls", GAUGE, "Calls that it carries now, either way.", lambda one: one.calls),
            Field("jfTrunkAccount", TEXT, "The address registered there, if any.", lambda one: one.account),
            Field("jfTrunkRegistration", TEXT, "How the registration stands.", lambda one: one.registration),
            Field("jfTrunkReason", TEXT, "Why it is not registered.", lambda one: one.reason),
        ),
        lambda: {name(one.name): one for one in overview.trunks(core)},
    )


def _gateways(core: SipCore) -> TableKind[GatewayOverview]:
    def rows() -> dict[Oid, GatewayOverview]:
        places: dict[str, int] = {}
        found = {}
        for one in overview.gateways(core):
            places[one.trunk] = places.get(one.trunk, 0) + 1
            found[(*name(one.trunk), places[one.trunk])] = one
        return found

    return TableKind(
        2,
        "jfGateway",
        "The gateways of trunks.",
        "One gateway.",
        (
            Index("jfGatewayTrunk", NAME, "The trunk's name."),
            Index("jfGatewayPlace", NUMBER, "Which gateway of the trunk, as they stand in the configuration."),
        ),
        (
            Field("jfGatewayName", TEXT, "Its name or address.", lambda one: one.gateway),
            Field("jfGatewayState", TEXT, "Its state, in a word or two.", lambda one: one.state),
            Field("jfGatewayWhy", TEXT, "Why, in a sentence; often there is nothing to say.", lambda one: one.why),
            Field("jfGatewayUsable", TRUTH, "Whether it takes new calls.", lambda one: truth(one.usable)),
            Field("jfGatewayCallsNow", GAUGE, "Calls that it carries now.", lambda one: one.calls),
            Field("jfGatewayOffered", COUNTER64, "Calls offered to it.", lambda one: one.attempts),
            Field("jfGatewayFailed", COUNTER64, "Of them: silent, not reached or refused.", lambda one: one.failed),
            Field("jfGatewayPingsSent", COUNTER64, "OPTIONS pings.", lambda one: one.pings),
            Field("jfGatewayPingsUnanswered", COUNTER64, "Of them: not answered.", lambda one: one.pings_unanswered),
            Field(
                "jfGatewayLatency", UNSIGNED, "How long it takes to answer, where known.", lambda one: one.latency_ms,
                "milliseconds",
            ),
            Field("jfGatewayQuality", TEXT, "The figures of its calls, in words.", lambda one: one.quality),
        ),
        rows,
    )  # fmt: skip


def _limits(core: SipCore) -> TableKind[CapacityOverview]:
    def rows() -> dict[Oid, CapacityOverview]:
        found = islice(overview.capacity(core), MOST_ROWS)
        return {(*label(one.limit), *label(one.scope), *label(one.what)): one for one in found}

    return TableKind(
        1,
        "jfLimit",
        "What is used of each limit of admission control.",
        "One size of one limit, for one of those that it holds for.",
        (
            Index("jfLimitName", LABEL, "The limit."),
            Index("jfLimitScope", LABEL, "For whom it holds."),
            Index("jfLimitWhat", LABEL, "What is counted, with its unit."),
        ),
        (
            Field("jfLimitInUse", GAUGE, "What is used now.", lambda one: one.used),
            Field("jfLimitMost", UNSIGNED, "Its size.", lambda one: one.size),
            Field("jfLimitRefusals", COUNTER64, "Requests that it had no room for.", lambda one: one.refused),
        ),
        rows,
    )


def _calls(core: SipCore) -> TableKind[Call]:
    return TableKind(
        1,
        "jfCall",
        f"Calls in progress, the {MOST_ROWS} oldest at most.",
        "One call.",
        (Index("jfCallSerial", LABEL, "Its serial, as on the pages and in the log."),),
        (
            Field("jfCallId", TEXT, "Its Call-ID.", lambda one: one.call_id),
            Field("jfCallCaller", TEXT, "Who calls.", lambda one: one.caller),
            Field("jfCallCalled", TEXT, "Who is called, as asked for.", lambda one: one.called),
            Field("jfCallCallee", TEXT, "What rings or answered.", lambda one: one.callee),
            Field("jfCallFromTrunk", TEXT, "The trunk that it came in from.", lambda one: one.from_trunk),
            Field("jfCallTrunk", TEXT, "The trunk that it goes out by.", lambda one: one.trunk),
            Field("jfCallGateway", TEXT, "The gateway that answered.", lambda one: one.gateway_name),
            Field("jfCallState", TEXT, "How far it is.", lambda one: one.state.value),
            Field("jfCallStartedAt", DATE, "When it began.", lambda one: date_and_time(one.started_at)),
            Field("jfCallAnsweredAt", DATE, "When it was answered.", lambda one: date_and_time(one.answered_at)),
        ),
        lambda: {label(one.serial): one for one in islice(core.calls, MOST_ROWS)},
    )
