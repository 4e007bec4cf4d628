from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.transport.options import Target
from appliance.transport.selection import (
    MOST_TARGETS,
    Address,
    Destination,
    Naptr,
    Record,
    Srv,
    in_order,
    select,
)

Zone = dict[tuple[str, str], tuple[Record, ...]]
HOST: Zone = {("example.com", "A"): (Address("192.0.2.1"),), ("example.com", "AAAA"): (Address("2001:db8::1"),)}
SERVERS: Zone = {
    **HOST,
    ("_sip._udp.example.com", "SRV"): (Srv(10, 1, 5070, "one.example.com"), Srv(20, 1, 5080, "two.example.com")),
    ("_sips._tcp.example.com", "SRV"): (Srv(10, 1, 5071, "one.example.com"),),
    ("one.example.com", "A"): (Address("192.0.2.11"), Address("192.0.2.12")),
    ("two.example.com", "A"): (Address("192.0.2.21"),),
}


def asked(
    to: Destination, zone: Zone, supported: tuple[str, ...] = ("UDP", "TCP", "TLS")
) -> tuple[list[Target], Counter[str]]:
    """The targets that `zone` leads to, and how many questions of each kind it took."""
    asking = select(to, supported, random.Random(1))
    kinds: Counter[str] = Counter()
    try:
        questions = next(asking)
        while True:
            kinds.update(question.kind for question in questions)
            questions = asking.send({q: zone[q.name, q.kind] for q in questions if (q.name, q.kind) in zone})
    except StopIteration as done:
        return list(done.value), kinds


def found(to: Destination, zone: Zone) -> list[Target]:
    return asked(to, zone)[0]


def places(targets: list[Target]) -> list[tuple[str, str, int]]:
    return [(target.transport, target.host, target.port) for target in targets]


@pytest.mark.parametrize(
    ("to", "place"),
    [
        (Destination(host="192.0.2.9"), ("UDP", "192.0.2.9", 5060)),
        (Destination(host="192.0.2.9", secure=True), ("TLS", "192.0.2.9", 5061)),
        (Destination(host="192.0.2.9", transport="tcp", port=6000), ("TCP", "192.0.2.9", 6000)),
        (Destination(host="192.0.2.9", transport="tcp", secure=True), ("TLS", "192.0.2.9", 5061)),
        (Destination(host="[2001:db8::9]"), ("UDP", "2001:db8::9", 5060)),
        (Destination(host="2001:db8::9", transport="tls"), ("TLS", "2001:db8::9", 5061)),
    ],
)
def test_an_ip_literal_asks_nothing(to: Destination, place: tuple[str, str, int]) -> None:
    targets, kinds = asked(to, SERVERS)
    assert places(targets) == [place]
    assert not kinds


def test_an_explicit_port_turns_naptr_and_srv_off() -> None:
    targets, kinds = asked(Destination(host="Example.com.", port=5066), SERVERS)
    assert places(targets) == [
        ("UDP", "192.0.2.1", 5066),
        ("UDP", "2001:db8::1", 5066),
    ]
    assert set(kinds) == {"A", "AAAA"}


def test_a_transport_asks_for_its_srv_only() -> None:
    targets, kinds = asked(Destination(host="example.com", transport="udp"), SERVERS)
    assert places(targets) == [
        ("UDP", "192.0.2.11", 5070),
        ("UDP", "192.0.2.12", 5070),
        ("UDP", "192.0.2.21", 5080),
    ]
    assert (kinds["NAPTR"], kinds["SRV"]) == (0, 1)


def test_without_naptr_all_transports_are_looked_for_in_our_order() -> None:
    targets = found(Destination(host="example.com"), SERVERS)
    assert [target.transport for target in targets] == ["UDP"] * 3 + ["TLS"] * 2
    assert targets[-1].server_name == "example.com"
    assert targets[0].server_name is None


def test_sips_never_leaves_tls() -> None:
    assert {target.transport for target in found(Destination(host="example.com", secure=True), SERVERS)} == {"TLS"}
    assert found(Destination(host="example.com", secure=True, transport="udp"), SERVERS) == []


def test_naptr_decides_the_transport_and_its_order() -> None:
    zone: Zone = {
        **SERVERS,
        ("example.com", "NAPTR"): (
            Naptr(50, 50, "s", "SIP+D2U", "_sip._udp.example.com"),
            Naptr(10, 60, "s", "SIP+D2T", "elsewhere.example.com"),
            Naptr(10, 50, "S", "sips+d2t", "_sips._tcp.example.com"),
            Naptr(1, 1, "s", "SIP+D2S", "_sip._sctp.example.com"),
            Naptr(2, 1, "u", "E2U+sip", ""),
        ),
        ("elsewhere.example.com", "SRV"): (Srv(0, 0, 7000, "two.example.com"),),
    }
    assert places(found(Destination(host="example.com"), zone)) == [
        ("TLS", "192.0.2.11", 5071),
        ("TLS", "192.0.2.12", 5071),
        ("TCP", "192.0.2.21", 7000),
    ]


def test_without_srv_the_host_itself_is_tried() -> None:
    assert places(found(Destination(host="example.com"), HOST))[0] == ("UDP", "192.0.2.1", 5060)
    assert places(found(Destination(host="example.com", secure=True), HOST))[0] == ("TLS", "192.0.2.1", 5061)
    assert places(found(Destination(host="example.com", transport="TCP"), HOST))[0] == ("TCP", "192.0.2.1", 5060)


def test_a_service_that_is_decidedly_not_there_is_not_looked_for_elsewhere() -> None:
    zone: Zone = {**HOST, ("_sip._tcp.example.com", "SRV"): (Srv(0, 0, 0, ""),)}
    assert found(Destination(host="example.com", transport="tcp"), zone) == []


@pytest.mark.parametrize(
    "host", ["", ".", "a..b", "-a.example.com", "a b", "x" * 64, "a." * 130, "df7jal23ls0d.invalid"]
)
def test_what_cannot_be_a_host_asks_nothing(host: str) -> None:
    assert asked(Destination(host=host), SERVERS) == ([], Counter())


def test_a_zone_without_bounds_gives_bounded_targets() -> None:
    zone: Zone = {("example.com", "A"): tuple(Address(f"192.0.2.{number}") for number in range(255))}
    assert len(found(Destination(host="example.com"), zone)) == MOST_TARGETS


def test_priority_is_strict_and_weight_is_a_share() -> None:
    records = [Srv(1, 3, 1, "heavy"), Srv(1, 1, 1, "light"), Srv(1, 0, 1, "rare"), Srv(0, 0, 1, "first")]
    rng = random.Random(7)
    drawn = [[record.target for record in in_order(records, rng)] for _ in range(4000)]
    assert {order[0] for order in drawn} == {"first"}
    second = Counter(order[1] for order in drawn)
    assert second["rare"] > 0  # RFC 2782: weight 0 has a small chance
    # Of the five draws 0..4: 0 gives "rare", 1 gives "light", 2 to 4 give "heavy".
    assert abs(second["heavy"] / 4000 - 3 / 5) < 0.05
    assert abs(second["light"] / 4000 - 1 / 5) < 0.05


@given(
    st.lists(st.builds(Srv, st.integers(0, 3), st.integers(0, 65535), st.just(5060), st.text(max_size=3)), max_size=12)
)
def test_every_record_is_tried_once(records: list[Srv]) -> None:
    ordered = in_order(records, random.Random(0))
    assert Counter(ordered) == Counter(records)
    assert [record.priority for record in ordered] == sorted(record.priority for record in records)
