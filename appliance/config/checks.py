"""Contradictions between settings that are each right by themselves.

Ports taken twice, references that lead nowhere, limits in the wrong order, certificates that do not load.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

import attrs

from .account_checks import account_mistakes
from .alarm_checks import alarm_mistakes
from .certificate_checks import certificate_mistakes
from .group_checks import find_in_groups
from .hiding_checks import hiding_contradictions
from .limit_checks import limit_contradictions
from .machine_checks import machine_contradictions
from .mistakes import Mistake, Place
from .places import Places
from .record_checks import record_mistakes
from .rewriting_checks import find_rewriting_contradictions
from .route_checks import find_route_mistakes
from .sections import Transport
from .security_checks import find_security_contradictions
from .settings import Settings
from .snmp_checks import snmp_contradictions
from .stir_checks import stir_contradictions
from .trace_checks import trace_contradictions


def find_contradictions(settings: Settings, places: Places) -> list[Mistake]:
    """Every contradiction, in no order."""
    return [
        *_orders(settings, places),
        *_ports(settings, places),
        *certificate_mistakes(settings, places),
        *_addresses(settings, places),
        *find_route_mistakes(settings, places),
        *_trunks(settings, places),
        *find_in_groups(settings, places),
        *limit_contradictions(settings, places),
        *find_rewriting_contradictions(settings, places),
        *find_security_contradictions(settings, places),
        *account_mistakes(settings, places),
        *hiding_contradictions(settings, places),
        *stir_contradictions(settings, places),
        *trace_contradictions(settings, places),
        *snmp_contradictions(settings, places),
        *alarm_mistakes(settings, places),
        *record_mistakes(settings, places),
        *machine_contradictions(settings, places),
    ]


def _orders(settings: Settings, places: Places) -> Iterator[Mistake]:
    sip, registrar = settings.sip, settings.registrar
    for heading, low_key, low, high_key, high in (
        ("sip", "t1", sip.t1_s, "t2", sip.t2_s),
        ("registrar", "min-expires", registrar.min_expires_s, "default-expires", registrar.default_expires_s),
        ("registrar", "default-expires", registrar.default_expires_s, "max-expires", registrar.max_expires_s),
    ):
        if low > high and places.sound(heading):
            place = max(places.of(heading, "", low_key), places.of(heading, "", high_key))
            mistake = f"{low_key} ({low:g} s) is longer than {high_key} ({high:g} s)"
            yield Mistake(place, f"[{heading}]", low_key, mistake, f"Make {low_key} shorter or {high_key} longer")
    if not places.written("listener"):
        yield Mistake(Place(places.conf_dir), "", "", "holds no [listener NAME]", "Add one, with transport and port")


@attrs.frozen
class _Claim:
    """A range of ports that somebody wants on some addresses; stream: TCP, otherwise UDP."""

    title: str
    key: str
    place: Place
    stream: bool
    bind: tuple[str, ...]
    low: int
    high: int


def _ports(settings: Settings, places: Places) -> Iterator[Mistake]:
    claims = [
        _Claim(
            f"[listener {one.name}]",
            "port",
            places.of("listener", one.name, "port"),
            one.transport is not Transport.UDP,
            one.bind,
            one.port,
            one.port,
        )
        for one in settings.listeners.values()
        if places.sound("listener", one.name)
    ]
    web, media = settings.web, settings.media
    if places.sound("web"):
        for key, bind, port in (
            ("https-port", web.bind, web.https_port),
            ("http-port", web.http_bind, web.http_port),
        ):
            claims.append(_Claim("[web]", key, places.of("web", "", key), True, bind, port, port))
    if places.sound("media"):
        place = places.of("media", "", "ports")
        claims.append(_Claim("[media]", "ports", place, False, media.bind, media.ports.low, media.ports.high))
    for position, one in enumerate(claims):
        for other in claims[:position]:
            if _clash(one, other):
                later, earlier = (one, other) if other.place <= one.place else (other, one)
                ports = str(later.low) if later.low == later.high else f"{later.low}-{later.high}"
                mistake = f"{ports} is taken already by {earlier.title} {earlier.key} at {earlier.place}"
                yield Mistake(later.place, later.title, later.key, mistake, "Choose another port or another bind")


def _clash(one: _Claim, other: _Claim) -> bool:
    if one.stream is not other.stream or 0 in (one.low, other.low):
        return False
    return one.low <= other.high and other.low <= one.high and _overlap(one.bind, other.bind)


def _overlap(one: Iterable[str], other: Iterable[str]) -> bool:
    ours = [ipaddress.ip_address(address) for address in one]
    theirs = [ipaddress.ip_address(address) for address in other]
    return any(
        a.version == b.version and (a == b or a.is_unspecified or b.is_unspecified) for a in ours for b in theirs
    )


def _addresses(settings: Settings, places: Places) -> Iterator[Mistake]:
    for address in settings.web.http_bind:
        if not ipaddress.ip_address(address).is_loopback:
            mistake = f"{address} is not a loopback address, and plain HTTP would show passwords to the net"
            place = places.of("web", "", "http-bind")
            yield Mistake(place, "[web]", "http-bind", mistake, "Use 127.0.0.1 and ::1; others come by HTTPS")
    versions = [ipaddress.ip_address(address).version for address in settings.media.advertise]
    if len(set(versions)) < len(versions):
        place = places.of("media", "", "advertise")
        mistake = "holds two addresses of one family"
        yield Mistake(place, "[media]", "advertise", mistake, "Keep one IPv4 and one IPv6 address at most")


def _trunks(settings: Settings, places: Places) -> Iterator[Mistake]:
    seen: dict[object, str] = {}
    for trunk in settings.trunks.values():
        if not places.sound("trunk", trunk.name):
            continue
        title = f"[trunk {trunk.name}]"
        for network in trunk.trusted:
            other = seen.setdefault(network, trunk.name)
            if other != trunk.name:
                place = places.of("trunk", trunk.name, "trusted")
                mistake = f"{network} belongs to [trunk {other}] already"
                yield Mistake(place, title, "trusted", mistake, "Give each trunk networks of its own")
