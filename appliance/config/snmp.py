"""The section [snmp]: the sub-agent beside the machine's snmpd, and what `jackfield snmp config` writes for snmpd."""

from __future__ import annotations

import re

import attrs

from .kinds import Network, flag, listed, network, optional, seconds, secret, text, whole
from .secret import Secret
from .setting import Kind, setting

EXAMPLE_ENTERPRISE = 32473
"""What RFC 5612 keeps for examples and documentation."""

_TCP = re.compile(r"tcp:(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(?P<port>\d{1,5})")


@attrs.frozen
class AgentxAddress:
    """Where the master agent listens: a UNIX socket, or a host and a port."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return self.path or f"tcp:{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def agentx_address() -> Kind[AgentxAddress]:
    """snmpd's agentXSocket as we write it."""

    def read(value: str) -> AgentxAddress:
        if value.startswith("/"):
            if len(value.encode()) > 107:
                raise ValueError(f"{value!r} is too long for a UNIX socket (107 bytes)")
            return AgentxAddress(path=value)
        match = _TCP.fullmatch(value)
        if not match or not 0 < int(match["port"]) < 65536:
            raise ValueError(f"{value!r} is neither")
        return AgentxAddress(host=match["host"].strip("[]"), port=int(match["port"]))

    return Kind("an absolute path of a UNIX socket, or tcp:HOST:PORT", read, "/var/agentx/master")


@attrs.frozen
class WatchedStatus:
    """Answers of one status to one method, and how many within the interval are more than usual."""

    method: str
    status: int
    threshold: int = 500


_WATCHED = re.compile(
    r"(?P<method>INVITE|BYE|CANCEL|REGISTER|OPTIONS|PRACK|UPDATE|INFO|REFER|MESSAGE|SUBSCRIBE|NOTIFY|PUBLISH)"
    r" +(?P<status>[1-6]\d\d)( +(?P<threshold>[1-9]\d{0,8}))?"
)


def watched_status() -> Kind[WatchedStatus]:
    """A method, a status and a number: INVITE 503 20."""

    def read(value: str) -> WatchedStatus:
        match = _WATCHED.fullmatch(value)
        if not match:
            raise ValueError(f"{value!r} is not a method, a status and a number")
        return WatchedStatus(match["method"], int(match["status"]), int(match["threshold"] or 500))

    return Kind("a method, a status and from how many on it is told (500 unless given), e.g. INVITE 503 20", read)


def _passphrase() -> Kind[Secret]:
    return secret("8 characters or more, without blanks, quotes and backslashes", pattern=r"[!#-&(-\[\]-~]{8,64}")


def _receivers() -> Kind[tuple[str, ...]]:
    return listed(text("a host, with a port or without", pattern=r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?"))


@attrs.frozen(kw_only=True)
class SnmpSettings:
    """SNMP by the machine's own snmpd, which asks Jackfield for its part; jackfield snmp config writes snmpd's side."""

    enabled: bool = setting(
        flag(),
        "no",
        "Join the machine's snmpd. Where it is not installed or not reachable the status page says so, everything else "
        "runs, and Jackfield tries again until it answers.",
    )
    agentx: AgentxAddress = setting(
        agentx_address(),
        "/var/agentx/master",
        "Where snmpd listens for sub-agents: its agentXSocket. The process needs the right to write there.",
    )
    enterprise_number: int = setting(
        whole(1, 2**31 - 1),
        str(EXAMPLE_ENTERPRISE),
        "Under which enterprise Jackfield's own MIB hangs. Jackfield has no number of its own yet: 32473 is what "
        "RFC 5612 keeps for examples. A house with a number may give it here.",
    )
    user: str = setting(
        text("a name of letters, digits, dots, dashes and _", pattern=r"[A-Za-z0-9._-]{1,32}"),
        "jackfield",
        "The SNMPv3 user (authPriv) who may read, and from whom notifications come.",
    )
    auth_password: Secret | None = setting(
        optional(_passphrase(), "auto", "made anew each time jackfield snmp config is run"),
        "auto",
        "Its passphrase for authentication (SHA-256).",
        secret=True,
    )
    privacy_password: Secret | None = setting(
        optional(_passphrase(), "auto", "made anew each time jackfield snmp config is run"),
        "auto",
        "Its passphrase for encryption (AES).",
        secret=True,
    )
    addresses: tuple[str, ...] = setting(
        listed(text("an address of snmpd", pattern=r"(udp|udp6|tcp|tcp6):[A-Za-z0-9.:\[\]-]+"), least=1),
        "udp:161",
        "Where snmpd is to be asked, as its agentaddress has it, e.g. udp:192.0.2.1:161, udp6:[2001:db8::1]:161.",
    )
    receivers: tuple[str, ...] = setting(
        _receivers(),
        "",
        "Who is told of alarms: hosts of network management, as informs, or as traps where inform is no.",
    )
    inform: bool = setting(
        flag(),
        "yes",
        "Notifications that are acknowledged and repeated. For traps a receiver must know snmpd's engine ID.",
    )
    receivers_v2c: tuple[str, ...] = setting(
        _receivers(),
        "",
        "Those of them that know no SNMPv3: told by SNMPv2c, unencrypted, with the community.",
    )
    receivers_v1: tuple[str, ...] = setting(
        _receivers(),
        "",
        "Those that know SNMPv1 only: told by its traps, which nobody acknowledges, with the community.",
    )
    watched_statuses: tuple[WatchedStatus, ...] = setting(
        listed(watched_status()),
        "",
        "Answers that are told of when more of them than that came in, or went out, within status-interval: "
        "sipCommonStatusCodeThreshExceededInNotif and ...OutNotif of RFC 4780, once an interval each.",
    )
    status_interval_s: float = setting(seconds(1, 86400), "60 s", "The interval of watched-statuses.")
    community: Secret | None = setting(
        optional(
            secret("a community without blanks and quotes", pattern=r"[!#-&(-~]{1,64}"), "none", "no SNMPv2c at all"
        ),
        "none",
        "Allow SNMPv2c as well, unencrypted, with this community, to the managers only.",
        secret=True,
    )
    managers: tuple[Network, ...] = setting(
        listed(network()), "", "Who may use the community: addresses and networks. SNMPv3 is not bound to any."
    )
