"""One catalogue of what is counted: name, help, unit, labels and OID, read by Prometheus, SNMP and the web.

A room increments plain integers (metrics.sip_received.of("INVITE").value += 1; keep the result of of() in hot
paths) or hands over a function that is asked when somebody looks. A gauge is never below zero: what would go
below counts as a fault of ours. Every metric is declared in Metrics and set somewhere: a test holds both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, TypeVar, cast

import attrs

MOST_CHILDREN: Final = 500
OTHER: Final = "other"
_METRIC: Final = "jackfield.metric"


@attrs.frozen
class Description:
    """What a metric is; kind is Prometheus's word."""

    name: str
    kind: str
    help: str
    unit: str = ""
    labels: tuple[str, ...] = ()
    oid: str | None = None
    """Its number in the MIB, for ever; an OID of one part. Scalars and tables share one row of numbers."""
    thousandths: bool = False
    """SNMP has whole numbers only: there it is told times 1000."""


class Counter:
    """Only ever grows. read, where given, is asked instead of value."""

    __slots__ = ("read", "value")

    def __init__(self) -> None:
        self.value = 0
        self.read: Callable[[], int] | None = None

    def samples(self) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
        yield "", (), self.value if self.read is None else self.read()


class Gauge:
    """Goes up and down, and never below zero: below_zero counts the attempts."""

    __slots__ = ("_value", "below_zero", "read")

    def __init__(self) -> None:
        self._value: float = 0
        self.below_zero = 0
        self.read: Callable[[], float] | None = None

    @property
    def value(self) -> float:
        value = self._value if self.read is None else self.read()
        if value < 0:
            self.below_zero += 1
            return 0
        return value

    def set(self, value: float) -> None:
        if value < 0:
            self.below_zero += 1
            value = 0
        self._value = value

    def add(self, step: float) -> None:
        self.set(self._value + step)

    def samples(self) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
        yield "", (), self.value


C = TypeVar("C", Counter, Gauge)


class Labelled(Generic[C]):
    """A metric with labels: one child for each set of label values, MOST_CHILDREN at most."""

    __slots__ = ("_children", "_make", "labels", "read")

    def __init__(self, labels: tuple[str, ...], make: Callable[[], C]) -> None:
        self.labels = labels
        self.read: Callable[[], Mapping[tuple[str, ...], float]] | None = None
        self._make: Callable[[], C] = make
        self._children: dict[tuple[str, ...], C] = {}

    def of(self, *values: str) -> C:
        """The child for these label values; past the limit the one that stands for all others."""
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self.labels):
                raise TypeError(f"labels {self.labels} need {len(self.labels)} values, not {values!r}")
            if len(self._children) >= MOST_CHILDREN:
                values = (OTHER,) * len(self.labels)
                child = self._children.get(values)
            if child is None:
                child = self._children[values] = self._make()
        return child

    def children(self) -> Mapping[tuple[str, ...], C]:
        return self._children

    def samples(self) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
        if self.read is not None:
            for values, number in self.read().items():
                yield "", tuple(zip(self.labels, values, strict=True)), max(0, number)
            return
        for values, child in self._children.items():
            own = tuple(zip(self.labels, values, strict=True))
            for suffix, more, number in child.samples():
                yield suffix, own + more, number


def counter(name: str, about: str, *, unit: str = "", oid: str | None = None) -> Counter:
    """Declare a counter; its name ends in _total."""
    return cast(Counter, _field(Description(name, "counter", about, unit, (), oid), Counter))


def counters(name: str, about: str, *labels: str, unit: str = "", oid: str | None = None) -> Labelled[Counter]:
    """Declare counters told apart by labels."""
    described = Description(name, "counter", about, unit, labels, oid)
    return cast("Labelled[Counter]", _field(described, lambda: Labelled(labels, Counter)))


def gauge(name: str, about: str, *, unit: str = "", oid: str | None = None, thousandths: bool = False) -> Gauge:
    """Declare a gauge."""
    return cast(Gauge, _field(Description(name, "gauge", about, unit, (), oid, thousandths), Gauge))


def gauges(name: str, about: str, *labels: str, unit: str = "", oid: str | None = None) -> Labelled[Gauge]:
    """Declare gauges told apart by labels."""
    described = Description(name, "gauge", about, unit, labels, oid)
    return cast("Labelled[Gauge]", _field(described, lambda: Labelled(labels, Gauge)))


def _field(description: Description, make: Callable[[], object]) -> object:
    return attrs.field(factory=make, init=False, metadata={_METRIC: description})


@attrs.define(eq=False)
class Metrics:
    """Every metric of one appliance. Labels are few and ours: never a number, an address or a Call-ID."""

    up_seconds: Gauge = gauge("jackfield_up_seconds", "Time since the appliance was ready.", unit="s", oid="1")
    start_time_seconds: Gauge = gauge(
        "jackfield_start_time_seconds",
        "When every counter was zero: the start of the process, in seconds since 1970.",
        unit="s",
        oid="51",
    )
    service_ready: Labelled[Gauge] = gauges(
        "jackfield_service_ready", "1 where a service runs, 0 where it is degraded.", "service", oid="5"
    )
    service_restarts: Labelled[Counter] = counters(
        "jackfield_service_restarts_total", "Restarts of a leaf service after a failure.", "service", oid="6"
    )
    reloads: Labelled[Counter] = counters(
        "jackfield_reloads_total", "Reloads of the configuration by result: applied or refused.", "result", oid="7"
    )
    alarms_active: Labelled[Gauge] = gauges(
        "jackfield_alarms_active", "Alarms in force, by severity.", "severity", oid="8"
    )
    alarms_raised: Labelled[Counter] = counters(
        "jackfield_alarms_raised_total", "Alarms that began, by kind.", "alarm", oid="9"
    )
    alarm_notices: Labelled[Counter] = counters(
        "jackfield_alarm_notices_total",
        "Changes of alarms for webhooks and mails by what became of them: delivered, given up, left out.",
        "outlet",
        "end",
        oid="52",
    )
    calls_active: Gauge = gauge("jackfield_calls_active", "Calls in progress, ringing ones included.", oid="2")
    calls: Counter = counter("jackfield_calls_total", "Calls that were routed.", oid="3")
    calls_answered: Counter = counter("jackfield_calls_answered_total", "Calls that were answered.", oid="4")
    stateless: Labelled[Counter] = counters(
        "jackfield_stateless_total",
        "Messages of stateless listeners and routes by kind: request, response, refused, stray.",
        "kind",
        oid="10",
    )
    transfers: Labelled[Counter] = counters(
        "jackfield_transfers_total",
        "Transfers that the box carried out, by result: done or failed.",
        "result",
        oid="11",
    )
    limit_used: Labelled[Gauge] = gauges(
        "jackfield_limit_used", "What is used of each limit of admission control.", "limit", "what", oid="12"
    )
    limit_size: Labelled[Gauge] = gauges(
        "jackfield_limit_size",
        "The size of each limit; of one for each of something, all that are in use.",
        "limit",
        "what",
        oid="13",
    )
    limit_refused: Labelled[Counter] = counters(
        "jackfield_limit_refused_total", "Requests that a limit had no room for.", "limit", oid="14"
    )
    leases_lost: Counter = counter(
        "jackfield_leases_lost_total", "Leases found without their call and released: a fault of ours.", oid="15"
    )
    load_cpu: Gauge = gauge(
        "jackfield_load_cpu", "Share of one core that the SIP thread used lately.", oid="16", thousandths=True
    )
    load_wait_seconds: Gauge = gauge(
        "jackfield_load_wait_seconds",
        "How late the loop is, or how long new requests wait.",
        unit="s",
        oid="17",
        thousandths=True,
    )
    load_memory: Gauge = gauge("jackfield_load_memory", "Share of memory that is used.", oid="18", thousandths=True)
    load_refused_share: Gauge = gauge(
        "jackfield_load_refused_share", "Share of new requests that the guards refuse now.", oid="19", thousandths=True
    )
    load_refused: Counter = counter(
        "jackfield_load_refused_total", "New requests that the guards of processor and memory refused.", oid="20"
    )
    registrations: Gauge = gauge("jackfield_registrations", "Living bindings of phones.", oid="21")
    trunk_registered: Labelled[Gauge] = gauges(
        "jackfield_trunk_registered",
        "1 where our account at the trunk is registered, 0 where it should be.",
        "trunk",
        oid="22",
    )
    transactions: Labelled[Gauge] = gauges(
        "jackfield_transactions", "SIP transactions alive, by side.", "side", oid="23"
    )
    inbox: Gauge = gauge("jackfield_inbox", "Initial requests that wait for a decision.", oid="24")
    sip_messages: Counter = counter("jackfield_sip_messages_total", "SIP messages received.", oid="25")
    sip_requests: Labelled[Counter] = counters(
        "jackfield_sip_requests_total",
        "Requests of transactions, without repetitions, by method; and the ACKs.",
        "method",
        "direction",
        oid="61",
    )
    sip_responses: Labelled[Counter] = counters(
        "jackfield_sip_responses_total",
        "Responses of transactions by method and status; a status that is not common by its class, 4xx.",
        "method",
        "status",
        "direction",
        oid="62",
    )
    sip_refused: Labelled[Counter] = counters(
        "jackfield_sip_refused_total",
        "SIP messages that went no further: malformed, rejected by us, refused for a full inbox, stray responses.",
        "cause",
        oid="26",
    )
    sip_guarded: Labelled[Counter] = counters(
        "jackfield_sip_guarded_total",
        "SIP messages and connections that limits, bans, ACLs and scanner signatures kept out, by cause.",
        "cause",
        oid="27",
    )
    signatures: Labelled[Counter] = counters(
        "jackfield_signatures_total",
        "Calls that we signed, and calls of trunks by what their signatures were worth (STIR/SHAKEN).",
        "result",
        oid="28",
    )
    bans: Gauge = gauge("jackfield_bans", "Bans of source addresses in force.", oid="29")
    listener_connections: Labelled[Gauge] = gauges(
        "jackfield_listener_connections", "Open connections.", "listener", "transport", oid="30"
    )
    listener_messages: Labelled[Counter] = counters(
        "jackfield_listener_messages_total", "SIP messages by listener.", "listener", "transport", "direction", oid="31"
    )
    listener_drops: Labelled[Counter] = counters(
        "jackfield_listener_drops_total", "What listeners dropped or closed, by cause.", "listener", "cause", oid="32"
    )
    gateway_up: Labelled[Gauge] = gauges(
        "jackfield_gateway_up",
        "1 where new calls go to a gateway, 0 where it is out of service.",
        "trunk",
        "gateway",
        oid="33",
    )
    gateway_calls: Labelled[Gauge] = gauges(
        "jackfield_gateway_calls", "Calls by gateway.", "trunk", "gateway", oid="34"
    )
    gateway_attempts: Labelled[Counter] = counters(
        "jackfield_gateway_attempts_total",
        "Calls offered to a gateway, by how that ended; of trunks that are watched or have a choice.",
        "trunk",
        "gateway",
        "end",
        oid="35",
    )
    gateway_pings: Labelled[Counter] = counters(
        "jackfield_gateway_pings_total", "OPTIONS pings by result.", "trunk", "gateway", "result", oid="36"
    )
    media_endpoints: Gauge = gauge("jackfield_media_endpoints", "Media transports open, one or more a leg.", oid="37")
    media_drops: Labelled[Counter] = counters(
        "jackfield_media_drops_total", "Media packets dropped, by cause.", "cause", oid="38"
    )
    storage_waiting: Gauge = gauge("jackfield_storage_waiting", "REGISTERs that wait for their group commit.", oid="39")
    storage_commits: Counter = counter("jackfield_storage_commits_total", "Group commits of registrations.", oid="40")
    records_waiting: Gauge = gauge(
        "jackfield_records_waiting", "Call records in memory that are not yet synced to the journal.", oid="48"
    )
    records_synced: Counter = counter(
        "jackfield_records_synced_total",
        "Call records and events that are on disk: a crash does not lose them.",
        oid="49",
    )
    records_lost: Counter = counter(
        "jackfield_records_lost_total", "Call records that found no room in memory while the disk took none.", oid="50"
    )
    web_connections: Gauge = gauge("jackfield_web_connections", "Open connections of the web side.", oid="41")
    web_refused: Counter = counter(
        "jackfield_web_refused_total",
        "Connections of the web side that were closed at once, for there were too many.",
        oid="42",
    )
    web_faults: Counter = counter(
        "jackfield_web_faults_total", "Connections of the web side that ended by a fault of ours.", oid="43"
    )
    snmp_variables: Counter = counter(
        "jackfield_snmp_variables_total", "Values that snmpd asked for and got.", oid="44"
    )
    snmp_notifications: Labelled[Counter] = counters(
        "jackfield_snmp_notifications_total",
        "SNMP notifications by result: handed over to snmpd, or lost.",
        "result",
        oid="45",
    )
    selftest_passed: Gauge = gauge(
        "jackfield_selftest_passed", "1 where the last self-test passed, 0 where it failed or there was none.", oid="53"
    )
    selftest_runs: Labelled[Counter] = counters(
        "jackfield_selftest_runs_total", "Self-tests by result: passed or failed.", "result", oid="54"
    )
    log_lines_lost: Counter = counter(
        "jackfield_log_lines_lost_total", "Log lines dropped: a slow reader, or a flood of one event.", oid="46"
    )
    syslog_waiting: Labelled[Gauge] = gauges(
        "jackfield_syslog_waiting", "Events that wait for a log collector.", "collector", oid="55"
    )
    syslog_events: Labelled[Counter] = counters(
        "jackfield_syslog_events_total",
        "Events for log collectors by what became of them: sent, dropped for a full buffer, repeated after a break.",
        "collector",
        "end",
        oid="56",
    )
    trace_bytes: Labelled[Gauge] = gauges(
        "jackfield_trace_bytes",
        "Room that traced SIP messages take in memory and on disk.",
        "place",
        unit="bytes",
        oid="57",
    )
    trace_messages: Counter = counter("jackfield_trace_messages_total", "SIP messages that were traced.", oid="58")
    trace_lost: Counter = counter(
        "jackfield_trace_lost_total",
        "Traced messages that did not get to the disk: it was full, too slow, or broken.",
        oid="59",
    )
    hep_packets: Labelled[Counter] = counters(
        "jackfield_hep_packets_total",
        "Messages for HEP collectors by what became of them: sent, or dropped for a full buffer or a broken way.",
        "collector",
        "end",
        oid="60",
    )
    gauges_below_zero: Counter = counter(
        "jackfield_gauges_below_zero_total", "Times a gauge would have gone below zero: a fault of ours.", oid="47"
    )

    def below_zero(self) -> int:
        """How often any gauge would have gone below zero."""
        found = 0
        for attribute in catalogue():
            metric = getattr(self, attribute)
            children = metric.children().values() if isinstance(metric, Labelled) else (metric,)
            found += sum(child.below_zero for child in children if isinstance(child, Gauge))
        return found


def catalogue() -> Mapping[str, Description]:
    """Every declared metric by its attribute in Metrics."""
    return {field.name: field.metadata[_METRIC] for field in attrs.fields(Metrics)}


def render_prometheus(metrics: Metrics) -> str:
    """All metrics in Prometheus's text format 0.0.4."""
    lines = []
    for attribute, described in catalogue().items():
        about = described.help + (f" Unit: {described.unit}." if described.unit else "")
        lines.append(f"# HELP {described.name} {about}")
        lines.append(f"# TYPE {described.name} {described.kind}")
        for suffix, labels, value in getattr(metrics, attribute).samples():
            shown = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
            lines.append(
                f"{described.name}{suffix}{{{shown}}} {value:.15g}"
                if shown
                else f"{described.name}{suffix} {value:.15g}"
            )
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
