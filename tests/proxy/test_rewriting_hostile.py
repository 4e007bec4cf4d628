"""Rules meet what the network sends: any bytes, and the core neither falls nor lets a line in."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.config.patch import MatchKind
from appliance.config.settings import Settings
from appliance.sip.message import Request
from appliance.sip.parser import check_untrusted, parse_message_untrusted
from tests.proxy.pretend_net import Box
from tests.proxy.test_rewriting import CARRIER, with_drop_in

TEXT = r"""
[numberplan uk]
country-code = 44
national-prefix = 0
national-lengths = 9-10
[rules in]
10 = replace from.user ^(.*)5(.*)$ \2\1
20 = set from.display {x-name}
30 = set X-Seen "{from.user} {x-name} {diversion;reason}"
40 = replace X-Name (.+) <\1>
50 = copy X-Name X-Twin
60 = set to.user {from.display} when to.user ~ ^9
70 = set diversion.display {x-name}
80 = set diversion;reason {x-name}
[rules out]
10 = replace uri.user (.) \1\1 when x-name ~ .
20 = set from.uri;x {x-name}
30 = add P-Asserted-Identity <sip:{from.user}@{from.host}> when no P-Asserted-Identity
40 = remove X-Twin ^.*$
50 = set uri;y {x-name}
60 = set X-Url {uri.user}@{uri.host};{uri;y}
[trunk carrier]
rules-in = in
numbers-in = uk
[trunk two]
rules-out = out
numbers-out = uk:national
trusted-identity = no
"""

BYTES = st.one_of(
    st.binary(max_size=24).filter(lambda data: b"\r\n" not in data),
    st.sampled_from(
        [
            b"\xff5\xfe",
            b'"',
            b'\\"',
            b"<sip:x@y>",
            b";tag=evil",
            b"a,b;c=d",
            b"%0d%0aX-Evil: 1",
            b"{from.user}",
            b"\\1",
            b"5" * 2000,
            b"(" * 500,
        ]
    ),
)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    directory: Path = tmp_path_factory.mktemp("rules")
    return with_drop_in(directory, TEXT)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(user=BYTES, name=BYTES, display=BYTES, privacy=st.sampled_from([b"none", b"user", b"id;critical", b"\xff,;"]))
def test_whatever_bytes_come_the_core_stands_and_every_line_is_one_it_knows(
    rules: Settings, user: bytes, name: bytes, display: bytes, privacy: bytes
) -> None:

    routes = {
        key: attrs.evolve(route, callers=("trunks",)) if route.match[0].kind is MatchKind.PREFIX else route
        for key, route in rules.routes.items()
    }
    box = Box(attrs.evolve(rules, routes=routes))
    carrier, out = box.peer(*CARRIER), box.peer("192.0.2.51")
    whole = (
        b"INVITE sip:9" + user + b"@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.50:5060;branch=z9hG4bKa;rport\r\n"
        b'From: "' + display + b'" <sip:' + user + b"@example.com>;tag=a\r\nTo: <sip:9@192.0.2.9>\r\nCall-ID: c\r\n"
        b"CSeq: 1 INVITE\r\nContact: <sip:c@192.0.2.50>\r\nMax-Forwards: 70\r\nX-Name: " + name + b"\r\n"
        b"Diversion: " + display + b"<sip:020794600" + user + b"@a.example>;reason=" + name + b"\r\n"
        b"Privacy: " + privacy + b"\r\nContent-Length: 0\r\n\r\n"
    )
    box.core.receive(whole, carrier.flow)
    for message in out.take():
        if isinstance(message, Request) and message.method == "INVITE":
            again = parse_message_untrusted(message.to_bytes())
            check_untrusted(again)
            assert (again.from_tag, again.to_tag, again.call_id) == ("a", None, "c")
            known = {"via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "max-breadth", "record-route"}
            known |= {"x-name", "x-seen", "x-url", "diversion", "privacy", "p-asserted-identity", "content-length"}
            assert set(again.keys) <= known
            came = parse_message_untrusted(whole).lines
            assert all(len(line) < 4200 for line in again.lines if line not in came)
            out.answer(message, 200)
            [ok] = [one for one in carrier.take() if not isinstance(one, Request) and one.status == 200]
            assert ok.get("from") == parse_message_untrusted(whole).get("from")
            assert ok.to_tag == "calleetag"
            carrier.send(carrier.in_dialog("BYE", ok))
            bye = out.take_request("BYE")
            assert (bye.from_tag, bye.to_tag) == ("a", "calleetag")
            if len(message.require("from")) <= 160:  # else only what matters of it is kept
                assert bye.require("from") == message.require("from")
