"""Where a SIP URI leads (RFC 3263 §4), without asking anybody: questions out, answers in, targets at the end.

An explicit port or an IP literal turns NAPTR and SRV off; a transport leaves SRV; nothing leaves NAPTR, SRV, A and AAAA
in that order. SRV records are drawn by priority and weight (RFC 2782), and every address behind them is a target.
"""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Generator, Iterable, Mapping, Sequence

import attrs

from .options import VERIFIED, Target, TlsClientOptions

MOST_TARGETS = 32
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}\.?\Z")
_SRV = {"UDP": "_sip._udp", "TCP": "_sip._tcp", "TLS": "_sips._tcp"}
_NAPTR = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS"}
_PORTS = {"UDP": 5060, "TCP": 5060, "TLS": 5061, "WS": 80, "WSS": 443}
_SECURED = {"TCP": "TLS", "TLS": "TLS", "WS": "WSS", "WSS": "WSS"}


@attrs.frozen
class Question:
    """A name, in lower case and without the last dot, and a type: "NAPTR", "SRV", "A" or "AAAA"."""

    name: str
    kind: str


@attrs.frozen
class Srv:
    priority: int
    weight: int
    port: int
    target: str
    """Without the last dot; empty: the service is decidedly not there (RFC 2782)."""


@attrs.frozen
class Naptr:
    order: int
    preference: int
    flags: str
    service: str
    replacement: str
    regexp: str = ""


@attrs.frozen
class Address:
    host: str


Record = Srv | Naptr | Address
Answers = Mapping[Question, tuple[Record, ...]]
Asking = Generator[Sequence[Question], Answers, list[Target]]


@attrs.frozen(kw_only=True)
class Destination:
    """What a URI or a gateway says: `transport` and `port` are None where it does not."""

    host: str
    port: int | None = None
    transport: str | None = None
    secure: bool = False
    """A sips URI."""
    listener: str | None = None
    tls: TlsClientOptions = VERIFIED


def literal(host: str) -> str | None:
    """The IP literal that `host` is, brackets off; None for a name."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return None
    return bare


def select(to: Destination, supported: Sequence[str], rng: random.Random, *, ipv6_first: bool = False) -> Asking:
    """A generator: yields questions that may be asked at the same time, is sent the answers, returns the targets.

    A question left out of the answers counts as answered by nothing. `supported` are the transports that may be chosen
    where the URI names none, in order of preference.
    """
    transport = to.transport.upper() if to.transport else None
    if to.secure and transport is not None:
        transport = _SECURED.get(transport, "")
    if transport is not None and transport not in _PORTS:
        return []
    default = "TLS" if to.secure else "UDP"

    def target(chosen: str, host: str, port: int | None) -> Target:
        name = (literal(to.host) or to.host).rstrip(".") if chosen in ("TLS", "WSS") else None
        return Target(chosen, host, port or _PORTS[chosen], name, to.listener, to.tls)

    address = literal(to.host)
    if address is not None:
        return [target(transport or default, address, to.port)]
    name = to.host.lower().rstrip(".")
    if not _HOST.match(to.host) or name.rpartition(".")[2] == "invalid":  # RFC 6761 §6.4, RFC 7118's made-up hosts
        return []

    places: list[tuple[str, str, int | None]] = []
    """Transport, host name, port."""
    unavailable = False
    if to.port or (transport is not None and transport not in _SRV):
        places = [(transport or default, name, to.port)]
    else:
        if transport is not None:
            wanted = [transport]
        else:
            wanted = [t for t in supported if t in _SRV and (t == "TLS" or not to.secure)]
        services = {Question(f"{_SRV[t]}.{name}", "SRV"): t for t in wanted}
        naptr = Question(name, "NAPTR")
        answers = dict((yield ([*services] if transport else [naptr, *services])))
        chosen = _by_naptr(answers.get(naptr, ()), wanted)
        if chosen:
            unknown = [question for question in chosen if question not in services]
            if unknown:
                answers |= yield unknown
            services = chosen
        for question, of in services.items():
            found = [record for record in answers.get(question, ()) if isinstance(record, Srv)]
            unavailable = unavailable or bool(found)
            places += [(of, record.target, record.port) for record in in_order(found, rng) if record.target]
        if not places and not unavailable:
            places = [(transport or default, name, None)]

    kinds = ("AAAA", "A") if ipv6_first else ("A", "AAAA")
    names = dict.fromkeys(host for _, host, _ in places if literal(host) is None)
    questions = [Question(host, kind) for host in names for kind in kinds]
    answers = dict((yield questions)) if questions else {}
    targets: dict[Target, None] = {}
    for of, host, port in places:
        addresses = [host] if host not in names else _addresses(answers, host, kinds)
        for one in addresses:
            targets[target(of, one, port)] = None
    return list(targets)[:MOST_TARGETS]


def _addresses(answers: Answers, host: str, kinds: Iterable[str]) -> list[str]:
    found = [record for kind in kinds for record in answers.get(Question(host, kind), ())]
    return [record.host for record in found if isinstance(record, Address)]


def _by_naptr(records: Iterable[Record], wanted: Sequence[str]) -> dict[Question, str]:
    """SRV questions in the order that the domain prefers, of the lowest order that has a transport of ours."""
    usable = [
        record
        for record in records
        if isinstance(record, Naptr)
        and record.flags.lower() == "s"
        and _NAPTR.get(record.service.upper()) in wanted
        and record.replacement
    ]
    if not usable:
        return {}
    order = min(record.order for record in usable)
    usable = sorted((record for record in usable if record.order == order), key=lambda record: record.preference)
    return {Question(record.replacement, "SRV"): _NAPTR[record.service.upper()] for record in usable}


def in_order(records: Iterable[Srv], rng: random.Random) -> list[Srv]:
    """All records in the order in which to try them (RFC 2782): lower priority first, then drawn by weight.

    A weight of 0 beside others has a very small chance of being drawn early, as the RFC wants.
    """
    ordered: list[Srv] = []
    left = sorted(records, key=lambda record: (record.priority, record.weight))
    while left:
        group = [record for record in left if record.priority == left[0].priority]
        left = left[len(group) :]
        while group:
            drawn = rng.randint(0, sum(record.weight for record in group))
            running = 0
            for record in group:
                running += record.weight
                if running >= drawn:
                    break
            group.remove(record)
            ordered.append(record)
    return ordered
