"""What a proxy changes in a message and nothing more: Via, Max-Forwards, Max-Breadth, Route, loop mark.

RFC 3261 §16.6 and §16.11, RFC 3581 (received, rport), RFC 5393 (loops and breadth). Everything here is a pure edit;
where a message goes is decided elsewhere.
"""

from __future__ import annotations

import ipaddress

from appliance.sip.errors import Rejected
from appliance.sip.flow import Flow
from appliance.sip.headers import known_number, parse_name_addr_untrusted
from appliance.sip.message import Request
from appliance.sip.remembered import Remembered

_BRANCH = "z9hG4bKjf"
"""Every branch of ours begins so; the loop mark follows the last dot."""


def contact_is_source(request: Request, flow: Flow) -> bool:
    """Whether the sender can be reached at its Contact: a datagram from the very address that it names there."""
    return not flow.reliable and _contact(request) == flow.remote


def hidden(request: Request, flow: Flow) -> bool:
    """Whether the sender sits behind NAT: its Contact or its Via names another host than the request came from."""
    contact = _contact(request)
    return behind_nat(request, flow) or (contact is not None and contact[0] != flow.remote[0])


def behind_nat(request: Request, flow: Flow) -> bool:
    """Whether the sender's Via names another address than the request came from.

    Its Contact may not tell: many phones put the address there that `received` and `rport` have taught them.
    """
    host = request.via.host.strip("[]")
    if host == flow.remote[0]:
        return False
    try:
        return ipaddress.ip_address(host) != ipaddress.ip_address(flow.remote[0])
    except ValueError:
        return False  # a name: `.invalid` of a browser (RFC 7118 §5), or a host of several addresses


def _contact(request: Request) -> tuple[str, int] | None:
    contacts = request.values("contact")
    if not contacts:
        return None
    uri = parse_name_addr_untrusted(contacts[0], "Contact").uri
    return uri.bare_host, uri.port or 5060


def loop_mark(request: Request) -> str:
    """A digest of all that decides the way of a request (RFC 5393 §4.2.1): seen again in a Via of ours, it loops."""
    kinds = request.kinds
    routes = request.get("route") if "route" in kinds else None
    credentials = request.get("proxy-authorization") if "proxy-authorization" in kinds else None
    decisive = request.uri, routes, request.call_id, request.cseq.number, credentials
    return hex(hash(decisive) & 0xFFFFFFFFFFFF)[2:]


def refuse_loops(request: Request, mark: str) -> None:
    """Raises `Rejected` 482 where the request was here before and nothing about it has changed since."""
    if request.keys.count("via") == 1 and not request.branch.startswith(_BRANCH):
        return  # nearly always: nobody between the sender and us, and it is not us
    needle = f".{mark}"
    for key, line in zip(request.keys, request.lines, strict=True):
        if key == "via" and needle in line and _BRANCH in line:
            raise Rejected(482, "Loop Detected", "the request came back to us unchanged")


def spend_hop(request: Request, default: int) -> None:
    """Max-Forwards minus one, or set to `default`. Raises `Rejected` 483 where none is left (RFC 3261 §16.3, §16.6)."""
    if "max-forwards" not in request.kinds:
        request.append("max-forwards", str(default))
        return
    index = request.keys.index("max-forwards")
    line = request.lines[index]
    spent = _spent[line]
    if not spent:  # it is a number: `check_untrusted` has seen to that
        raise Rejected(483, "Too Many Hops", "Max-Forwards was used up")
    request.lines[index] = spent


def _one_less(line: str) -> str:
    """A Max-Forwards line after one hop more, '' where none is left."""
    left = known_number[line]
    return f"Max-Forwards: {left - 1}" if left else ""


_spent = Remembered(_one_less, most=1024)


def breadth(request: Request, default: int) -> int:
    """How many branches may be open at a time (Max-Breadth, RFC 5393 §5.3.3)."""
    value = request.get("max-breadth") if "max-breadth" in request.kinds else None
    if value is None or not (value.isascii() and value.isdigit()):
        return default
    return min(int(value[:6]), default)


def set_next_hop(request: Request) -> None:
    """For a strict router at the top of Route: it finds itself in the Request-URI, the target last (§16.6 step 6)."""
    line = request.lines[request.keys.index("route")]
    if ";lr>" in line and "," not in line:
        return
    routes = request.values("route")
    first = parse_name_addr_untrusted(routes[0], "Route").uri
    if first.param("lr") is None:
        request.remove("route")
        for value in (*routes[1:], f"<{request.uri}>"):
            request.append("route", value)
        request.uri = str(first.without_params("method"))


def size_with_via(request: Request) -> int:
    """About how many bytes it will have once our Via is on top."""
    return len("".join(request.lines)) + 2 * len(request.lines) + len(request.body) + 200


def new_via(flow: Flow, unique: str, mark: str = "0") -> tuple[str, str]:
    """(value of our Via for a message over `flow`, its branch, new for each try)."""
    branch = f"{_BRANCH}{unique}.{mark}"
    return f"SIP/2.0/{flow.transport} {flow.sent_by};branch={branch};rport", branch


def push_via(request: Request, flow: Flow, unique: str, mark: str = "0") -> str:
    """Put our Via on top; returns its branch."""
    branch = f"{_BRANCH}{unique}.{mark}"
    request.push_via(f"Via: SIP/2.0/{flow.transport} {flow.sent_by};branch={branch};rport", branch)
    return branch
