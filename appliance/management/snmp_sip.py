"""The standard modules: NETWORK-SERVICES-MIB (RFC 2788), SIP-COMMON-MIB and SIP-SERVER-MIB (RFC 4780), in part.

One application, applIndex 1. What the box does not count is left out and not made up. Figures by method and by status
are those of the transactions; what is forwarded without them is in the sums only. Numbers of columns and values are
those of the RFCs.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from itertools import islice
from typing import Final

import attrs
import trio

from ..config.sections import SipSettings
from ..config.settings import Settings
from ..config.snmp import WatchedStatus
from ..outlets.snmp.mib import date_and_time, label, truth
from ..outlets.snmp.tree import MOST_ROWS, Branch, Cell, Table, Value
from ..outlets.snmp.value import Oid, Syntax, oid
from ..proxy.core import SipCore
from ..proxy.location import Binding
from ..sip.tally import METHODS, Tally
from ..transport.counters import ListenerSnapshot
from .snmp_sip_notices import APPLICATION, SIP_COMMON, SipNotices, service_status
from .snmp_tables import Box

NETWORK_SERVICES: Final = oid("1.3.6.1.2.1.27")
SIP_SERVER: Final = oid("1.3.6.1.2.1.151")
SUBTREES: Final = ((*NETWORK_SERVICES, 1), (*SIP_COMMON, 1), (*SIP_SERVER, 1))
"""What is registered for them."""

_TEXT, _GAUGE, _COUNTER = Syntax.OCTETS, Syntax.GAUGE32, Syntax.COUNTER32
_INTEGER, _TICKS = Syntax.INTEGER, Syntax.TIME_TICKS

_APPL_STATUS: Final = {"starting": 5, "ready": 1, "degraded": 1, "draining": 6}
_TRANSPORT_BITS: Final = {"UDP": 1, "TCP": 2, "TLS": 4}
"""SipTCTransportProtocol; WebSockets are `other`, 0."""


@attrs.frozen
class StandardSources:
    """Where the values come from."""

    box: Box
    core: SipCore
    settings: Callable[[], Settings]
    listeners: Callable[[], list[ListenerSnapshot]]
    notices: SipNotices
    ticks: Callable[[float], int]


def branches(sources: StandardSources) -> list[Branch]:
    """Every table of the standard modules that is offered."""
    return [*_application(sources), *_common(sources), *_server(sources)]


def bits(*numbers: int) -> bytes:
    """A BITS value (RFC 2578 §7.1.4): bit 0 is the highest of the first octet."""
    value = 0
    for number in numbers:
        value |= 0x80 >> number
    return bytes((value,))


def _single(base: Oid, *cells: tuple[int, Syntax, Callable[[], Value]]) -> Branch:
    """A table with one row, for the one application."""
    made = [Cell(number, syntax, _without_row(read)) for number, syntax, read in cells]
    return Table(base, made, lambda: {(APPLICATION,): None}, trio.current_time, 0.0)


def _without_row(read: Callable[[], Value]) -> Callable[[None], Value]:
    return lambda _: read()


def _application(sources: StandardSources) -> list[Branch]:
    """applTable."""
    box, core = sources.box, sources.core

    def connections() -> int:
        return sum(one.connections for one in sources.listeners() if one.name)

    def accepted() -> int:
        return sum(one.accepted for one in sources.listeners() if one.name)

    return [
        _single(
            (*NETWORK_SERVICES, 1),
            (2, _TEXT, lambda: box.name),
            (4, _TEXT, lambda: box.version),
            (5, _TICKS, box.started_ticks),
            (6, _INTEGER, lambda: 4 if core.load.sentence else _APPL_STATUS[box.state]),
            (8, _GAUGE, connections),
            (10, _COUNTER, accepted),
            (16, _TEXT, lambda: "Jackfield, a SIP network appliance"),
        )
    ]


def _common(sources: StandardSources) -> list[Branch]:
    """SIP-COMMON-MIB."""
    box, core = sources.box, sources.core
    counts = core.layer.counts

    def timers() -> SipSettings:
        return sources.settings().sip

    def ports() -> dict[Oid, bytes]:
        found: dict[int, set[int]] = {}
        for one in sources.listeners():
            for _, port in one.addresses if one.name else ():
                found.setdefault(port, set()).add(_TRANSPORT_BITS.get(one.transport.upper(), 0))
        return {(APPLICATION, port): bits(*transports) for port, transports in found.items()}

    def milliseconds(read: Callable[[], float]) -> Callable[[], int]:
        return lambda: round(read() * 1000)

    t1 = milliseconds(lambda: timers().t1_s)
    t1_64 = milliseconds(lambda: timers().t1_s * 64)
    t4 = milliseconds(lambda: timers().t4_s)
    return [
        _single(
            (*SIP_COMMON, 1, 1, 1),
            (1, _TEXT, lambda: "SIP/2.0"),
            (2, _INTEGER, lambda: service_status(box, core)),
            (3, _TICKS, box.started_ticks),
            (4, _TICKS, lambda: sources.ticks(sources.notices.changed_at)),
            (6, _GAUGE, lambda: timers().max_transactions),
            (7, _TEXT, lambda: bits(0, 1, 2)),  # cold start, warm start, status changed
            (8, _TEXT, lambda: bits(2, 4)),  # proxyServer, registrarServer
        ),
        Table(
            (*SIP_COMMON, 1, 1, 2),
            [Cell[bytes](2, _TEXT, lambda row: row)],
            ports,
            trio.current_time,
        ),
        Table(
            (*SIP_COMMON, 1, 1, 3),
            [
                Cell[tuple[str, bytes]](2, _TEXT, lambda row: row[0]),
                Cell[tuple[str, bytes]](3, _TEXT, lambda row: row[1]),
            ],
            lambda: {(APPLICATION, number): row for number, row in enumerate(_option_tags(sources.settings()), 1)},
            trio.current_time,
        ),
        Table(
            (*SIP_COMMON, 1, 1, 4),
            [Cell[str](2, _TEXT, lambda row: row)],
            lambda: {(APPLICATION, number): method for number, method in enumerate(METHODS, 1)},
            trio.current_time,
        ),
        _single(
            (*SIP_COMMON, 1, 2, 1),
            (1, _GAUGE, t1),  # A
            (2, _GAUGE, t1_64),  # B
            (3, _GAUGE, milliseconds(lambda: timers().timer_c_s)),
            (5, _GAUGE, t1),  # E
            (6, _GAUGE, t1_64),  # F
            (7, _GAUGE, t1),  # G
            (8, _GAUGE, t1_64),  # H
            (9, _GAUGE, t4),  # I
            (10, _GAUGE, t1_64),  # J
            (11, _GAUGE, t4),  # K
            (12, _GAUGE, t1),
            (13, _GAUGE, milliseconds(lambda: timers().t2_s)),
            (14, _GAUGE, t4),
        ),
        _single(
            (*SIP_COMMON, 1, 3, 1),
            (1, _COUNTER, lambda: core.counters.messages_in - core.counters.responses_in),
            (2, _COUNTER, lambda: _requests_out(core)),
            (3, _COUNTER, lambda: core.counters.responses_in),
            (4, _COUNTER, lambda: _responses_out(core)),
            (5, _COUNTER, lambda: counts.clients_opened + counts.servers_opened),
            (6, _TICKS, box.started_ticks),
        ),
        *_by_method(core, box.started_ticks, sources.settings),
        _single(
            (*SIP_COMMON, 1, 6, 1),
            (1, _GAUGE, lambda: len(core.layer.clients) + len(core.layer.servers)),
        ),
        _single(
            (*SIP_COMMON, 1, 8, 1),
            (3, _COUNTER, lambda: core.counters.stray_responses + sum(core.gate.guard.drops.values())),
            (4, _TICKS, box.started_ticks),
        ),
    ]


def _option_tags(settings: Settings) -> list[tuple[str, bytes]]:
    """The extensions that the box itself takes part in, with the SipTCOptionTagHeaders; all others only pass."""
    supported, required = bits(2), bits(0, 1)
    found = [("path", supported), ("timer", supported)]
    found += [("outbound", supported)] if settings.registrar.outbound else []
    found += [("gruu", supported)] if settings.registrar.gruu else []
    if any(trunk.number_block for trunk in settings.trunks.values()):
        found.append(("gin", required))
    return found


def _requests_out(core: SipCore) -> int:
    """With repetitions, as sipCommonStatsOutRequests wants them."""
    tallies = core.layer.tallies.everything
    sent = sum(one.requests_out + one.requests_resent for one in tallies)
    return sent + core.sender.acks_out + core.stateless.counts.requests


def _responses_out(core: SipCore) -> int:
    """With repetitions; those that a flood is refused by, and those to what cannot be read, are among them."""
    layer, stateless = core.layer, core.stateless.counts
    said = sum(sum(one.responses_out.values()) for one in layer.tallies.everything)
    said += layer.counts.responses_resent - layer.counts.responses_withheld
    return said + stateless.responses + stateless.refused + core.shedder.refused + core.steady.refused


def _by_method(core: SipCore, started: Callable[[], int], settings: Callable[[], Settings]) -> list[Branch]:
    """sipCommonMethodStatsTable, sipCommonStatusCodeTable, …NotifTable, sipCommonStatsRetryTable."""
    tallies = core.layer.tallies

    def watched() -> dict[Oid, WatchedStatus]:
        return {(APPLICATION, *label(one.method), one.status): one for one in settings().snmp.watched_statuses}

    def requests_out(method: str) -> int:
        return tallies[method].requests_out + (core.sender.acks_out if method == "ACK" else 0)

    def methods() -> dict[Oid, str]:
        return {(APPLICATION, *label(method)): method for method in METHODS}

    def statuses() -> dict[Oid, tuple[Tally, int]]:
        return {
            (APPLICATION, *label(method), status): (tally, status)
            for method, tally in tallies.items()
            for status in tally.responses_in.keys() | tally.responses_out.keys()
        } | {index: (tallies[one.method], one.status) for index, one in watched().items()}

    return [
        Table(
            (*SIP_COMMON, 1, 4, 1),
            [
                Cell[str](2, _COUNTER, requests_out),
                Cell[str](3, _COUNTER, lambda method: tallies[method].requests_in),
                Cell[str](4, _TICKS, lambda _: started()),
            ],
            methods,
            trio.current_time,
        ),
        Table(
            (*SIP_COMMON, 1, 5, 1),
            [
                Cell[tuple[Tally, int]](3, _COUNTER, lambda row: row[0].responses_in.get(row[1], 0)),
                Cell[tuple[Tally, int]](4, _COUNTER, lambda row: row[0].responses_out.get(row[1], 0)),
                Cell[tuple[Tally, int]](5, _INTEGER, lambda _: 1),  # active: ours are made by what happens
                Cell[tuple[Tally, int]](6, _TICKS, lambda _: started()),
            ],
            statuses,
            trio.current_time,
        ),
        Table(
            (*SIP_COMMON, 1, 5, 2),
            [
                Cell[WatchedStatus](1, _INTEGER, lambda _: truth(False)),  # not for each message
                Cell[WatchedStatus](2, _INTEGER, lambda _: 1),  # normal
                Cell[WatchedStatus](3, _GAUGE, lambda one: one.threshold),
                Cell[WatchedStatus](4, _GAUGE, lambda _: round(settings().snmp.status_interval_s)),
            ],
            watched,
            trio.current_time,
        ),
        Table(
            (*SIP_COMMON, 1, 7, 1),
            [
                Cell[str](2, _COUNTER, lambda method: tallies[method].requests_resent),
                Cell[str](3, _COUNTER, lambda method: tallies[method].finals_resent),
                Cell[str](4, _COUNTER, lambda method: tallies[method].provisionals_resent),
                Cell[str](5, _TICKS, lambda _: started()),
            ],
            methods,
            trio.current_time,
        ),
    ]


def _server(sources: StandardSources) -> list[Branch]:
    """SIP-SERVER-MIB."""
    core, settings = sources.core, sources.settings
    registers = core.layer.tallies["REGISTER"]

    def host() -> bytes | None:
        for one in sources.listeners():
            for address, _ in one.addresses if one.name else ():
                return ipaddress.ip_address(address).packed
        return None

    def users() -> dict[Oid, str]:
        found: dict[Oid, str] = {}
        for aor in sorted({one.aor for one in islice(core.location, MOST_ROWS)}):
            found[(APPLICATION, len(found) + 1)] = aor
        return found

    def contacts() -> dict[Oid, Binding]:
        found: dict[Oid, Binding] = {}
        user, seen, last = 0, 0, ""
        for one in sorted(islice(core.location, MOST_ROWS), key=lambda one: (one.aor, one.key)):
            user, seen = (user, seen + 1) if one.aor == last and user else (user + 1, 1)
            last = one.aor
            found[(APPLICATION, user, seen)] = one
        return found

    def kind() -> int | None:
        packed = host()
        return None if packed is None else 1 if len(packed) == 4 else 2

    return [
        _single((*SIP_SERVER, 1, 1, 1), (1, _INTEGER, kind), (2, _TEXT, host)),
        _single(
            (*SIP_SERVER, 1, 3, 1),
            (1, _INTEGER, lambda: 3),  # callStateful
            (2, _INTEGER, lambda: truth(True)),
            (3, _INTEGER, lambda: truth(True)),
            (4, _TEXT, lambda: bits(1, 2)),  # tls, digest
            (5, _TEXT, lambda: settings().sip.realm),
        ),
        _single(
            (*SIP_SERVER, 1, 4, 1),
            (1, _COUNTER, lambda: core.counters.proxy_require),
            (2, _TICKS, sources.box.started_ticks),
        ),
        _single(
            (*SIP_SERVER, 1, 5, 1),
            (1, _GAUGE, lambda: settings().registrar.max_expires_s),
            (3, _GAUGE, lambda: len({one.aor for one in core.location})),
            (4, _GAUGE, lambda: settings().registrar.default_expires_s),
        ),
        _single(
            (*SIP_SERVER, 1, 5, 4),
            (1, _COUNTER, lambda: registers.responses_out.get(200, 0)),
            (2, _COUNTER, lambda: sum(count for status, count in registers.responses_out.items() if status >= 400)),
            (3, _TICKS, sources.box.started_ticks),
        ),
        Table((*SIP_SERVER, 1, 5, 2), [Cell[str](2, _TEXT, lambda aor: aor)], users, trio.current_time),
        Table(
            (*SIP_SERVER, 1, 5, 3),
            [
                Cell[Binding](2, _TEXT, lambda one: ""),
                Cell[Binding](3, _TEXT, lambda one: one.contact),
                Cell[Binding](5, _TEXT, lambda one: date_and_time(one.expires_at)),
                Cell[Binding](6, _TEXT, lambda one: f"{one.q:g}"),
            ],
            contacts,
            trio.current_time,
        ),
    ]
