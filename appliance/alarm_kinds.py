"""The catalogue of alarms: what can be wrong with a box, how bad it is, what it means and what to do.

Declared once; the status page, the manual, syslog, SNMP notifications, webhooks and mails read it. The number of a kind
stands in the MIB and is never given to another one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs


class Severity(StrEnum):
    """ITU-T X.733, worst first."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    WARNING = "warning"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return _RANKS[self]


_RANKS: Final = {one: rank for rank, one in enumerate(Severity)}


@attrs.frozen
class AlarmKind:
    """One thing that can be wrong. `name` is what people and programs see; `subject` says what it is wrong with."""

    number: int
    """In the MIB, for ever."""
    name: str
    severity: Severity
    """Unless the one who raises it knows better."""
    subject: str
    about: str
    remedy: str
    raised_as: str
    """Name of the SNMP notification when it begins."""
    cleared_as: str
    hold_s: float = 0.0
    """It is over only when nobody raised it again for so long, so that what flaps is one alarm with a count."""


CATALOGUE: Final[dict[str, AlarmKind]] = {}
"""Every kind by its name, in the order of their numbers."""


def _kind(
    number: int,
    name: str,
    severity: Severity,
    *,
    subject: str,
    about: str,
    remedy: str,
    names: tuple[str, str],
    hold_s: float = 0.0,
) -> AlarmKind:
    made = AlarmKind(number, name, severity, subject, about, remedy, *names, hold_s)
    if name in CATALOGUE or any(one.number == number for one in CATALOGUE.values()):
        raise ValueError(f"two alarms named {name} or numbered {number}")
    CATALOGUE[name] = made
    return made


TRUNK_DOWN: Final = _kind(
    1,
    "trunk-down",
    Severity.CRITICAL,
    subject="the trunk",
    about="No gateway of the trunk is in service: calls to it fail or go elsewhere.",
    remedy="See the trunk's gateways on the status page or by jackfield gateway: their state says what failed. Ask the "
    "carrier, or look at the way there.",
    names=("trunkDown", "trunkUp"),
)
GATEWAY_DOWN: Final = _kind(
    2,
    "gateway-down",
    Severity.MAJOR,
    subject="the trunk and its gateway",
    about="The gateway is out of service: its pings or its calls failed. Others of the trunk take its calls.",
    remedy="Look at the gateway and the way there; it returns by itself once it answers. jackfield gateway block TRUNK "
    "GATEWAY takes it out by hand meanwhile.",
    names=("gatewayDown", "gatewayUp"),
    hold_s=10.0,
)
CAPACITY: Final = _kind(
    3,
    "capacity",
    Severity.MINOR,
    subject="the limit",
    about="A limit is nearly or wholly used up: once it is full, further calls are refused or go elsewhere.",
    remedy="See who uses it on the status page; raise the limit in its section, or the size that was bought.",
    names=("capacityHigh", "capacityNormal"),
    hold_s=10.0,
)
QUALITY: Final = _kind(
    4,
    "quality",
    Severity.MINOR,
    subject="the trunk and its gateway, and the prefix",
    about="Calls at a gateway are worse than the thresholds of its [quality]: it is tried after the others.",
    remedy="See which figure it is and since when; ask the carrier. It returns by itself when the figures are good.",
    names=("qualityPoor", "qualityGood"),
)
CERTIFICATE: Final = _kind(
    5,
    "certificate",
    Severity.WARNING,
    subject="the certificate's place",
    about="A certificate runs out within thirty days (minor under seven, major under one, critical once it has).",
    remedy="Put the new certificate in its file and run jackfield reload: connections stand.",
    names=("certificateExpiring", "certificateRenewed"),
)
SERVICE: Final = _kind(
    6,
    "service",
    Severity.MAJOR,
    subject="the service",
    about="A service of the box failed and is being restarted; calls go on without it.",
    remedy="The sentence says what failed: mend that, and the service comes back by itself. If it is a fault of "
    "Jackfield, send jackfield support.",
    names=("serviceDegraded", "serviceReady"),
    hold_s=60.0,
)
DISK: Final = _kind(
    7,
    "disk",
    Severity.MAJOR,
    subject="the directory",
    about="The disk under the state directory is nearly full: registrations and records can be lost.",
    remedy="Free space there, or move the state directory to a larger disk.",
    names=("diskHigh", "diskNormal"),
)
CLOCK: Final = _kind(
    8,
    "clock",
    Severity.MINOR,
    subject="synchronisation, or jump",
    about="The clock is not synchronised, or it jumped: records, certificates and logins lean on it.",
    remedy="Run an NTP service (chrony or systemd-timesyncd) and look whether it reaches its servers.",
    names=("clockUnsynchronised", "clockSynchronised"),
    hold_s=300.0,
)
BAN_STORM: Final = _kind(
    9,
    "ban-storm",
    Severity.WARNING,
    subject="bans",
    about="Unusually many sources were banned within a short time: somebody scans or attacks the box.",
    remedy="jackfield ban lists them. If they are phones of yours, look for a wrong password rolled out to many.",
    names=("banStorm", "banStormOver"),
    hold_s=300.0,
)
TRUNK_REGISTRATION: Final = _kind(
    10,
    "trunk-registration",
    Severity.MAJOR,
    subject="the trunk",
    about="Our account is not registered at the carrier: calls from there do not reach us.",
    remedy="The sentence holds the carrier's answer. Look at the trunk's user name, password and registrar.",
    names=("trunkRegistrationLost", "trunkRegistered"),
)
STORAGE: Final = _kind(
    11,
    "storage",
    Severity.CRITICAL,
    subject="the store",
    about="What must survive a restart cannot be written: registrations live in memory only.",
    remedy="Look at the disk under the state directory and at the database file's owner; jackfield comes back to it.",
    names=("storageFault", "storageWell"),
)
DATABASE: Final = _kind(
    12,
    "database",
    Severity.MAJOR,
    subject="the database",
    about="The database of call records cannot be written or asked; records wait in their journal.",
    remedy="Look at the disk and at the database that the configuration names.",
    names=("databaseFault", "databaseWell"),
)
QOS: Final = _kind(
    13,
    "qos",
    Severity.WARNING,
    subject="marking",
    about="The kernel refuses to mark packets: they leave without the DSCP of [qos].",
    remedy="Give the process the right to (a container may have taken it away), or set the class to DF.",
    names=("qosRefused", "qosAccepted"),
)
LOG_COLLECTOR: Final = _kind(
    14,
    "log-collector",
    Severity.WARNING,
    subject="the [syslog]",
    about="A log collector cannot be reached: lines wait in a bounded buffer, and the oldest are then dropped.",
    remedy="Look at the collector and the way there; for TLS at both certificates. What was dropped is counted.",
    names=("logCollectorLost", "logCollectorReached"),
    hold_s=10.0,
)
CONFIGURATION: Final = _kind(
    15,
    "configuration",
    Severity.WARNING,
    subject="reload",
    about="The last reload could not be taken up: the box runs on with what it had.",
    remedy="Run jackfield check, mend what it names, and reload again.",
    names=("configurationRefused", "configurationApplied"),
)
FAULT: Final = _kind(
    16,
    "fault",
    Severity.MAJOR,
    subject="the room",
    about="A part of the box reports a fault; the rest goes on.",
    remedy="The sentence says what is wrong. If it is a fault of Jackfield, send jackfield support.",
    names=("faultRaised", "faultCleared"),
)
FILES: Final = _kind(
    17,
    "files",
    Severity.MAJOR,
    subject="open files",
    about="The process has nearly as many files and connections open as it may: further connections fail.",
    remedy="Raise LimitNOFILE of the service (or ulimit -n), or lower max-connections.",
    names=("filesHigh", "filesNormal"),
)
ALARM_OUTLET: Final = _kind(
    18,
    "alarm-outlet",
    Severity.WARNING,
    subject="the outlet",
    about="Alarms cannot be handed to a webhook or a mail server: whoever waits for them there is not told.",
    remedy="The sentence holds the peer's answer. Look at the address and the credentials in its section.",
    names=("alarmOutletLost", "alarmOutletReached"),
)
SELFTEST: Final = _kind(
    19,
    "selftest",
    Severity.MAJOR,
    subject="the box",
    about="The box called itself through its own listeners, and that failed: calls of phones are likely to fail, too.",
    remedy="jackfield selftest tries again, with a remedy for the step that failed; jackfield doctor looks further.",
    names=("selftestFailed", "selftestPassed"),
)
UPDATE: Final = _kind(
    20,
    "update",
    Severity.MAJOR,
    subject="the version",
    about="An installed version did not pass its health check in three starts: the one before it runs again.",
    remedy="jackfield update tells why. The alarm is over once another version is installed.",
    names=("updateGivenUp", "updateInstalled"),
)
