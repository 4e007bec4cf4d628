"""The sections [log] and [syslog NAME]: what is told, how loud, and to which collectors."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

import attrs

from .collector_tls import CA, CERTIFICATE, PRIVATE_KEY, VERIFY_NAME
from .kinds import host as host_name
from .kinds import listed, one_of, optional, seconds, text, whole
from .kinds import port as port_number
from .sections import LogLevel
from .setting import REQUIRED, Kind, setting

ROOMS: Final = (
    *("account", "admission", "alarm", "appliance", "audit", "bans", "box", "call", "certificate", "connection"),
    *("control", "core", "garbage", "gateway", "gateways", "hep", "identity", "leaf", "listener", "log", "machine"),
    *("marking", "names", "overload", "quality", "records", "registration", "reload", "report", "reports", "request"),
    *("restore", "selftest", "service", "setup", "signal", "snmp", "source", "sources", "storage", "syslog", "trace"),
    *("trunk", "update", "web"),
)
"""The first words of all events; a test holds them to what is told."""


def room(name: str) -> str:
    """The name of a room. Raises `ValueError` for others, with those that are."""
    if name not in ROOMS:
        raise ValueError(f"there is no room {name!r}: the first words of events are {', '.join(ROOMS)}")
    return name


def room_level() -> Kind[tuple[str, str]]:
    """A room and its level, as in web=debug."""

    def read(value: str) -> tuple[str, str]:
        name, equals, level = (part.strip() for part in value.partition("="))
        if not equals:
            raise ValueError(f"{value!r} is not a room with its level")
        return room(name), one_of(LogLevel).read(level).value

    return Kind("a room and its level such as web=debug; a room is the first word of its events", read)


class Journald(StrEnum):
    AUTO = "auto"
    YES = "yes"
    NO = "no"


@attrs.frozen(kw_only=True)
class LogSettings:
    """What the log says, beside log-level of [appliance]. All of it is live: `jackfield log` changes levels at once.

    A room is the first word of an event's name: calls and what they come to are call, gateways gateway, the web side
    web, alarms alarm.
    """

    levels: tuple[tuple[str, str], ...] = setting(
        listed(room_level()), "", "Levels of single rooms that are to tell more, or less, than log-level says."
    )
    burst: int = setting(
        whole(1, 100_000),
        "50",
        "Lines a second of one event; further ones are counted, and a line says how many were left out.",
    )
    journald: Journald = setting(
        one_of(Journald),
        "auto",
        "Whether lines are written for systemd's journal: a priority in front, no time. auto: where standard error "
        "leads there.",
    )


class SyslogTransport(StrEnum):
    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class Facility(StrEnum):
    """RFC 5424 §6.2.1, in the order of their codes."""

    KERN = "kern"
    USER = "user"
    MAIL = "mail"
    DAEMON = "daemon"
    AUTH = "auth"
    SYSLOG = "syslog"
    LPR = "lpr"
    NEWS = "news"
    UUCP = "uucp"
    CRON = "cron"
    AUTHPRIV = "authpriv"
    FTP = "ftp"
    NTP = "ntp"
    AUDIT = "audit"
    ALERT = "alert"
    CLOCK = "clock"
    LOCAL0 = "local0"
    LOCAL1 = "local1"
    LOCAL2 = "local2"
    LOCAL3 = "local3"
    LOCAL4 = "local4"
    LOCAL5 = "local5"
    LOCAL6 = "local6"
    LOCAL7 = "local7"

    @property
    def code(self) -> int:
        return list(Facility).index(self)


SYSLOG_PORTS = {SyslogTransport.UDP: 514, SyslogTransport.TCP: 514, SyslogTransport.TLS: 6514}


@attrs.frozen(kw_only=True)
class SyslogSettings:
    """A log collector (RFC 5424) over UDP (RFC 5426), TCP (RFC 6587) or TLS (RFC 5425). There may be several.

    Events wait in a bounded buffer while the collector is away. Over TCP and TLS what was sent in the last seconds
    before a connection broke is sent again, with the same sequenceId: nothing is lost, a line may come twice.
    """

    name: str
    host: str = setting(host_name(), REQUIRED, "Name or address of the collector.")
    port: int | None = setting(
        optional(port_number(), "auto", "6514 for tls, 514 otherwise"), "auto", "Port of the collector."
    )
    transport: SyslogTransport = setting(one_of(SyslogTransport), "tls", "How events go there.")
    level: LogLevel = setting(
        one_of(LogLevel), "info", "The least important events that go there, of those that reach the log."
    )
    events: tuple[str, ...] = setting(
        listed(text("*, a room such as call, or an event such as call.ended", pattern=r"\*|[a-z][a-z0-9._-]*")),
        "*",
        "What goes there: everything, or the rooms and events named. `alarm` is all alarms.",
    )
    facility: Facility = setting(one_of(Facility), "local0", "Facility of all events.")
    app_name: str = setting(
        text("up to 48 characters without spaces", pattern=r"[!-~]+", longest=48),
        "jackfield",
        "APP-NAME of all events.",
    )
    buffer: int = setting(
        whole(10, 1_000_000), "10000", "Events that may wait; the oldest are then dropped and counted."
    )
    ca: Path | None = setting(*CA)
    certificate: Path | None = setting(*CERTIFICATE)
    private_key: Path | None = setting(*PRIVATE_KEY)
    verify_name: str | None = setting(*VERIFY_NAME)
    timeout_s: float = setting(
        seconds(1, 120), "10 s", "A connection must stand, and take what is sent, within this time."
    )
    longest_pause_s: float = setting(
        seconds(0.1, 3600), "30 s", "Longest pause between two attempts to reach it; the first is half a second."
    )
