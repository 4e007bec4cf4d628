"""The whole core, fed with messages of a living call that are spoilt in some places: whatever comes, nothing is raised.

The input begins with the box and the message to spoil, then come the changes: where, how much goes, what comes there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from appliance.config.admission import RefusalKind
from appliance.config.loader import load_settings
from appliance.config.sections import ListenerSettings, Transport
from appliance.config.settings import Settings
from appliance.sip.build import response_to
from appliance.sip.flow import Flow
from appliance.sip.message import Request, Response
from appliance.trace.ring import Ring
from tests.proxy.pretend_net import Box, Peer, _settings, anchored

_EACH = 200
"""So many inputs meet one box."""
_MORE = (
    ("supported", "replaces, timer, 100rel"),
    ("session-expires", "1800"),
    ("p-asserted-identity", '"A" <sip:+12025550100@example.com>'),
    ("diversion", "<sip:1005@example.com>;reason=no-answer;privacy=off"),
    ("privacy", "id"),
    ("identity", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA;info=<https://192.0.2.77/x.pem>;alg=ES256;ppt=shaken"),
)
_CHALLENGE = 'Digest realm="example.com", nonce="abc", algorithm=MD5, qop="auth"'
_CREDENTIALS = (
    'Digest username="1001", realm="example.com", nonce="abc", uri="sip:example.com", response="'
    f'{"0" * 32}", algorithm=MD5, cnonce="x", qop=auth, nc=00000001'
)
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.50\r\ns=-\r\nc=IN IP4 192.0.2.50\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0 8 101\r\n"
    b"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
)
_RICH = """
[listener udp]
transport = udp
port = 5060

[trunk carrier]
gateways = 192.0.2.50:5060
trusted = 192.0.2.50
hide-topology = yes
refer = carry-out
rules-in = inward
rules-out = outward
numbers-in = uk
numbers-out = uk:e164
codecs = PCMA, PCMU, !G729
trusted-identity = no
redirects = follow

[trunk two]
gateways = 192.0.2.51:5060, 192.0.2.52:5060

[rules inward]
10 = replace uri.user ^00(\\d+)$ +\\1
20 = set from.display "Outside" when no P-Asserted-Identity
30 = copy Diversion X-Diversion when has Diversion

[rules outward]
10 = set from.user {p-asserted-identity.user} when has P-Asserted-Identity and no Privacy
20 = set to.host carrier.example.net
30 = remove X-Internal when any
40 = set diversion;privacy off when has Diversion

[numberplan uk]
country-code = 44
national-prefix = 0

[limit each]
scope = source:each
calls = 100
audio-bandwidth = 10000
"""


def _rich() -> Settings:
    plain = _settings()
    with TemporaryDirectory() as directory:
        (Path(directory) / "10.conf").write_text(_RICH)
        read = load_settings(Path(directory))
    own = {"trunks": read.trunks, "rules": read.rules, "numberplans": read.numberplans, "limits": read.limits}
    return anchored(attrs.evolve(plain, **own))


def _stateless() -> Settings:
    listener = ListenerSettings(name="udp", transport=Transport.UDP, port=5060, stateless=True)
    return attrs.evolve(_settings(), listeners={"udp": listener})


class Living:
    """A box with two calls, one that talks and one that rings, and what its peers may say next, each with its flow."""

    def __init__(self, settings: Settings, *, overloaded: bool = False) -> None:
        self.box = box = Box(settings)
        box.core.arrivals.tap = Ring(1 << 20, 60.0)
        self.sayings: list[tuple[bytes, Flow]] = []
        carrier, phone = box.peer("192.0.2.50"), box.peer("192.0.2.2")
        stranger = box.peer("203.0.113.7", transport="TCP")
        invite = carrier.request("INVITE", "sip:1002@example.com", call_id="first", headers=_MORE, body=SDP)
        ringing = carrier.request("INVITE", "sip:1002@example.com", call_id="second", body=SDP)
        if not settings.listeners:
            phone.register("1002")
            carrier.send(invite)
            phone.answer(phone.take_request("INVITE"), 200, body=SDP)
            ok = carrier.take_response(200)
            carrier.send(carrier.in_dialog("ACK", ok, cseq=1))
            for number, method in enumerate(("BYE", "INVITE", "UPDATE", "INFO", "REFER", "PRACK", "NOTIFY", "ACK"), 2):
                request = carrier.in_dialog(
                    method, ok, cseq=number, body=SDP if method in ("INVITE", "UPDATE") else b""
                )
                request.set("refer-to", "<sip:1001@example.com?Replaces=second%3Bto-tag%3Da%3Bfrom-tag%3Db>")
                self._may_say(carrier, request)
            phone.take()
            carrier.send(ringing)
            here = phone.take_request("INVITE")
            for status in (100, 180, 200, 302, 401, 487, 503):
                more = [("contact", "<sip:x@192.0.2.51>"), ("www-authenticate", _CHALLENGE), ("rseq", "1")]
                self._may_say(phone, response_to(here, status, to_tag="a", headers=more, body=SDP))
            cancel = ringing.copy()
            cancel.method = "CANCEL"
            cancel.set("cseq", "1 CANCEL")
            self._may_say(carrier, cancel)
        for peer in (carrier, phone, stranger):
            self._may_say(peer, peer.request("INVITE", "sip:012345@example.com", headers=_MORE, body=SDP))
            for method in ("OPTIONS", "MESSAGE", "SUBSCRIBE", "PUBLISH", "REFER", "REGISTER"):
                request = peer.request(method, "sip:1002@example.com", call_id=f"other-{method}")
                request.set("authorization", _CREDENTIALS)
                self._may_say(peer, request)
        if overloaded:
            box.core.shedder.refuse(0.5, RefusalKind.OVERLOAD, box.now)
        self.left = _EACH

    def _may_say(self, peer: Peer, message: Request | Response) -> None:
        self.sayings.append((message.to_bytes(), peer.flow))

    def hear(self, which: int, changes: bytes) -> None:
        data, flow = self.sayings[which % len(self.sayings)]
        at = 0
        while at + 4 <= len(changes):
            place = int.from_bytes(changes[at : at + 2]) % (len(data) + 1)
            gone, come = changes[at + 2], changes[at + 3] & 31
            data = data[:place] + changes[at + 4 : at + 4 + come] + data[place + gone :]
            at += 4 + come
        if self.left % 3:
            self.box.core.receive(data, flow)
        else:
            others = (self.sayings[(which + place) % len(self.sayings)] for place in range(1, 5))
            self.box.core.arrivals.receive_together([(data, flow), *others])
        while self.box.core.work():
            pass
        self.left -= 1
        if self.left % 10 == 0:
            self.box.run(0.4)
        self.box.net.sent.clear()


_KINDS: tuple[Callable[[], Living], ...] = (
    lambda: Living(_settings()),
    lambda: Living(_rich()),
    lambda: Living(_stateless()),
    lambda: Living(_settings(), overloaded=True),
)
_living: dict[int, Living] = {}


def message(data: bytes) -> None:
    if len(data) < 2:
        return
    kind = data[0] % len(_KINDS)
    living = _living.get(kind)
    if living is None or not living.left:
        living = _living[kind] = _KINDS[kind]()
    living.hear(data[1], data[2:])


TARGETS: dict[str, Callable[[bytes], None]] = {"message": message}
