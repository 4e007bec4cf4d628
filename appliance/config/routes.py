"""The sections of the route tables: [table NAME] and [route NAME].

Routes of a table are tried in the order of their names. A route takes a request when the number matches and every
condition that it states holds; the first such route that admits the caller decides.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import attrs

from .header_test import HeaderTest, header_tests
from .kinds import Network, flag, listed, network, one_of, optional, text, whole
from .patch import REACHED, Match, Target, TargetKind, matches, target
from .setting import REQUIRED, Kind, setting

MAIN: Final = "main"
"""The table in which every request begins."""
DEEPEST: Final = 32
"""So many tables may lead to one another."""


class RouteTransport(StrEnum):
    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    WS = "ws"
    WSS = "wss"


@attrs.frozen
class Share:
    """So many of 100 calls go to another target."""

    percent: int
    target: Target

    def __str__(self) -> str:
        return f"{self.percent}% {self.target}"


_SHARE: Final = re.compile(r"(\d{1,2})\s*%\s*(\S.*)")
_HOST: Final = r"\*|ours|(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]"


def _share() -> Kind[Share]:
    one = target()

    def read(value: str) -> Share:
        found = _SHARE.fullmatch(value)
        if found is None or not int(found[1]):
            raise ValueError(f"{value!r} is not a share")
        return Share(int(found[1]), one.read(found[2]))

    return Kind("PERCENT% TARGET, as in 30% trunk:b", read)


def _then() -> Kind[Target]:
    one = target()

    def read(value: str) -> Target:
        if value == TargetKind.NEXT:
            return Target(TargetKind.NEXT)
        read = one.read(value)
        if read.kind not in REACHED:
            raise ValueError(f"{value!r} cannot take over from another target")
        return read

    return Kind("trunk:NAME, group:NAME, aor, aor:USER, dns or next (what the next route that fits leads to)", read)


@attrs.frozen(kw_only=True)
class RouteSettings:
    """One row of a route table: what it matches, where it leads.

    Rows are tried in the order of their names; the first whose number matches, whose conditions all hold and who
    admits the caller decides. Rows with match and target alone are the usual ones: each further condition narrows them.
    """

    name: str
    match: tuple[Match, ...] = setting(
        matches(least=1),
        REQUIRED,
        "What the called number, the user part of the request URI, must be for this route.",
    )
    target: Target = setting(target(), REQUIRED, "Where the call goes.")
    callers: tuple[str, ...] | None = setting(
        optional(
            listed(
                text(
                    "users, user:NAME, trunks, trunk:NAME, tenant:NAME or anyone",
                    pattern=r"users|trunks|anyone|trunk:\S+|user:\S+|tenant:\S+",
                ),
                least=1,
            ),
            "auto",
            "users in the table main; in other tables whoever was led there",
        ),
        "auto",
        "Who may use this route: users who gave their password or one of them, calls from any trunk or from one, the "
        "users and trunks of a tenant, or anyone at all. Whoever is not admitted by any route that fits gets 403, or "
        "is asked for a password.",
    )
    strip: int = setting(whole(0, 30), "0", "Digits to take away at the front of the number; a + counts as one.")
    add: str = setting(
        text("digits", pattern=r"[0-9+*#A-Za-z._-]*", longest=30),
        "",
        "Digits to put at the front, after strip.",
    )
    reason: str = setting(text(longest=120), "", "Reason phrase of a refusal or redirection; empty: the usual one.")
    stateless: bool = setting(
        flag(),
        "no",
        "Forward what this route decides without transactions, dialogs and calls, as a stateless listener does.",
    )
    table: str = setting(text("the name of a table", pattern=r"\S+"), MAIN, "The table that this route stands in.")
    host: tuple[str, ...] = setting(
        listed(text("a host, *.SUFFIX, ours or *", pattern=_HOST)),
        "",
        "Hosts of the request URI: a name, *.example.com for all names below, ours for the box's own domains and "
        "addresses, * for any. Empty: ours in the table main, any that was led there in others. Only a route that "
        "names them takes a request for hosts that are not ours.",
    )
    caller_number: tuple[Match, ...] = setting(
        matches(),
        "",
        "What the caller's number must be: the user who gave the password, or else the user part of From. Empty: any.",
    )
    caller_host: tuple[str, ...] = setting(
        listed(text("a host, *.SUFFIX, ours or *", pattern=_HOST)),
        "",
        "Hosts of the caller's address in From, written as for host. Empty: any.",
    )
    listener: tuple[str, ...] = setting(
        listed(text("the name of a listener", pattern=r"\S+")), "", "Listeners that the request came in by. Empty: any."
    )
    source: tuple[Network, ...] = setting(listed(network()), "", "Addresses that the request came from. Empty: any.")
    transport: tuple[RouteTransport, ...] = setting(
        listed(one_of(RouteTransport)), "", "Transports that the request came over. Empty: any."
    )
    method: tuple[str, ...] = setting(
        listed(text("a SIP method", pattern=r"[A-Z]{1,20}")),
        "",
        "Methods, such as INVITE and MESSAGE, that this route takes. Empty: any that begins something.",
    )
    header: tuple[HeaderTest, ...] = setting(
        header_tests(), "", "What headers of the request must be; letters count alike in capitals and small."
    )
    schedule: tuple[str, ...] = setting(
        listed(text("the name of a schedule, or not NAME", pattern=r"(?:not\s+)?\S+")),
        "",
        "Schedules of which one must be open now; not NAME: must be closed. Empty: always.",
    )
    location: tuple[str, ...] = setting(
        listed(text("the name of a location, or not NAME", pattern=r"(?:not\s+)?\S+")),
        "",
        "Locations of which the caller must be in one; not NAME: must not be there. Empty: anywhere.",
    )
    split: tuple[Share, ...] = setting(
        listed(_share()),
        "",
        "Shares of the calls that go elsewhere than to target, which keeps the rest. A call's share follows from its "
        "Call-ID, so that a request that is repeated goes the same way.",
    )
    then: tuple[Target, ...] = setting(
        listed(_then()),
        "",
        "Where the call goes when target cannot be reached, in this order. A trunk is left after the answers of its "
        "failover, a user's phones after any refusal but 6xx.",
    )
    q850: int = setting(
        whole(0, 127), "0", "Cause of a refusal by Q.850, told in a Reason header (RFC 3326); 0: none is told."
    )


@attrs.frozen(kw_only=True)
class TableSettings:
    """A table of routes besides main; a route leads there by target = table:NAME.

    What none of its routes takes goes back to the table that led there, to the next route that fits. main may be
    given a section, too.
    """

    name: str
    otherwise: Target | None = setting(
        optional(target(), "back", "the route after the one that led here; in main 404"),
        "back",
        "What becomes of a request that no route of this table takes.",
    )
    reason: str = setting(text(longest=120), "", "Reason phrase where otherwise refuses; empty: the usual one.")
    q850: int = setting(whole(0, 127), "0", "Cause by Q.850 where otherwise refuses; 0: none is told.")
