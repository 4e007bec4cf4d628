"""Who may speak to the box and how much: [acl NAME] and [security].

What the limits mean at work is in router/guard.py (sources and bans) and router/logins.py (passwords).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import attrs

from .kinds import Network, flag, listed, network, one_of, optional, seconds, text, whole
from .pattern import Pattern, pattern
from .setting import Kind, setting

ACL_NAME: Final = r"[A-Za-z0-9+*#._~!$&'()-]{1,64}"


class Grade(StrEnum):
    """What happens to a source that goes too far: it is told of, answered late, or not heard at all."""

    LOG = "log"
    DELAY = "delay"
    DROP = "drop"


class AclDefault(StrEnum):
    AUTO = "auto"
    ALLOW = "allow"
    DENY = "deny"


def acl_name() -> Kind[str | None]:
    """The name of an `[acl NAME]`, or none."""
    return optional(text("the name of an [acl NAME]", pattern=ACL_NAME, longest=64), "none", "everybody")


@attrs.frozen(kw_only=True)
class AclSettings:
    """A list of networks that may speak to us or may not; listeners and trunks name it.

    The narrowest network that holds an address decides; where one stands on both sides, it is denied.
    """

    name: str
    allow: tuple[Network, ...] = setting(listed(network()), "", "Networks that may.")
    deny: tuple[Network, ...] = setting(listed(network()), "", "Networks that may not.")
    default: AclDefault = setting(
        one_of(AclDefault), "auto", "Everybody else; auto: denied where allow names somebody, otherwise allowed."
    )


@attrs.frozen(kw_only=True)
class SecuritySettings:
    """Limits for each source address (an IPv6 source is its /64), bans, and what is believed of whom.

    Trunks' trusted addresses and gateways, and what `exempt` names, are never limited and never banned.
    """

    limits: bool = setting(flag(), "yes", "Whether sources are limited and banned; no: ACLs and bans by hand only.")
    exempt: tuple[Network, ...] = setting(
        listed(network()), "127.0.0.0/8, ::1", "Networks that are never limited and never banned."
    )
    messages: int = setting(
        whole(0, 1_000_000), "1000", "SIP messages a second from one source; what is above is dropped. 0: no limit."
    )
    requests: int = setting(
        whole(0, 1_000_000),
        "100",
        "Requests a second from one source that begin something (a call, a registration, an OPTIONS ...). 0: no limit.",
    )
    malformed: int = setting(
        whole(0, 1_000_000), "10", "Messages a second from one source that cannot be read. 0: no limit."
    )
    burst_s: float = setting(seconds(1, 60), "2 s", "So many seconds' worth of each of these limits may come at once.")
    failed_logins: int = setting(
        whole(1, 100_000), "10", "Wrong passwords a minute from one source; each further such lot goes one grade up."
    )
    account_attempts: int = setting(
        whole(1, 100_000),
        "30",
        "Wrong passwords a minute for one user from anywhere. Beyond, only sources that once gave the right password, "
        "or that answer a challenge sent to their very address and were not wrong more than twice, are judged.",
    )
    grades: tuple[Grade, ...] = setting(
        listed(one_of(Grade), least=1),
        "log, delay, drop",
        "What a source meets that goes over a limit, again, and again: only told in the log, answered late, not heard "
        "at all. A single log makes the limits a mere observation.",
    )
    delay_s: float = setting(seconds(0.1, 30), "1 s", "How late a delayed source is answered.")
    ban_s: float = setting(
        seconds(1, 86400),
        "1 min",
        "How long a source is delayed or dropped; each further drop lasts twice as long.",
    )
    longest_ban_s: float = setting(seconds(1, 30 * 86400), "1 h", "Drops grow up to this.")
    unproved_ban_s: float = setting(
        seconds(1, 3600),
        "30 s",
        "Longest ban for what came in datagrams whose sender may be forged. A source that gave the right password "
        "within the last hour is not banned for those at all.",
    )
    forget_s: float = setting(
        seconds(10, 30 * 86400), "10 min", "After this long without offence a source starts anew."
    )
    scanners: tuple[str, ...] = setting(
        listed(text("part of a User-Agent", longest=120)),
        "friendly-scanner, friendly-request, sipvicious, sipcli, sip-scan, sipscan, sundayddr, iWar, SIVuS, pplsip, "
        "VaxSIPUserAgent, VaxIPUserAgent, siparmyknife, sip-bruteforce",
        "User-Agents that get no answer at all, by a part of the name in any case; the source is banned.",
    )
    scanner_numbers: Pattern | None = setting(
        optional(pattern(), "none", "no number is suspect"),
        r"(?i)sipvicious|nm|.*('|%27).*(--|=|union|select).*",
        "User parts in From or To by which scanners are known, matched as a whole; treated likewise.",
    )
    trust_headers: tuple[str, ...] = setting(
        listed(text("a header name, or the beginning of one with *", pattern=r"[A-Za-z0-9.!%_+`'~-]+\*?", longest=60)),
        "P-Asserted-Identity, P-Asserted-Service, P-Charging-Vector, P-Charging-Function-Addresses, "
        "P-Access-Network-Info, P-Visited-Network-ID, P-Served-User, P-Profile-Key, Remote-Party-ID, "
        "X-Identity-Verdict",
        "Headers that only a trunk may send; they are removed from messages of everybody else, responses and requests "
        "inside a call included. X-* stands for all that begin so.",
    )
    check_from: bool = setting(
        flag(),
        "yes",
        "Whether From must name the user who gave the password, or a number of the user's (otherwise 403).",
    )
    foreign_challenges: bool = setting(
        flag(),
        "no",
        "Whether a 401 or 407 of somebody who is no trunk reaches the other end of a call. Phones answer any of them: "
        "whoever is called could gather digests of the callers' passwords.",
    )
    amplification: int = setting(
        whole(0, 100),
        "3",
        "A UDP source that has not shown that it is where it says gets at most so many times the bytes that it sent. "
        "0: no limit.",
    )
