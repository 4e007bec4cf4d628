"""Random calls: whatever legs offer, answer, refuse and drop, the rules of RFC 3264 hold and no port is lost."""

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.media.bridge import Bridge
from appliance.media.profile import Profile, ProfileKind
from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import Session, parse_untrusted
from tests.media.fake_backend import FakeBackend
from tests.rtc.sdp_samples import FINGERPRINT, KEY_80, crlf

KINDS = {"a": ProfileKind.AUTO, "b1": ProfileKind.RTP, "b2": ProfileKind.WEBRTC, "b3": ProfileKind.SDES}
WIRE = {"a": "webrtc", "b1": "rtp", "b2": "webrtc", "b3": "sdes"}
PROTOCOLS = {"rtp": "RTP/AVP", "sdes": "RTP/SAVP", "webrtc": "UDP/TLS/RTP/SAVPF"}

AUDIO = "0 101", ("0 PCMU/8000", "101 telephone-event/8000")
VIDEO = "96 97", ("96 VP8/90000", "97 rtx/90000")


def described(wire: str, kinds: list[str], used: list[bool], directions: list[str], setup: str, ufrag: int) -> str:
    """A leg's own SDP with one m-line for each of `kinds`."""
    lines = ["v=0", "o=- 1 1 IN IP4 198.51.100.9", "s=-", "c=IN IP4 198.51.100.9", "t=0 0"]
    if wire == "webrtc":
        mids = [str(i) for i, kind in enumerate(kinds) if used[i] and kind != "application"]
        lines.append("a=group:BUNDLE " + " ".join(mids))
    for index, kind in enumerate(kinds):
        port = 20000 + 2 * index if used[index] else 0
        if kind == "application":
            lines.append(f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel")
            continue
        formats, maps = AUDIO if kind == "audio" else VIDEO
        lines.append(f"m={kind} {port} {PROTOCOLS[wire]} {formats}")
        lines += [f"a=rtpmap:{value}" for value in maps]
        lines.append(f"a={directions[index]}")
        if wire == "sdes":
            lines.append(f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_80}")
        if wire == "webrtc":
            lines += [f"a=mid:{index}", f"a=ice-ufrag:frag{ufrag}", "a=ice-pwd:passwordpasswordpassword"]
            lines += [f"a=fingerprint:sha-256 {FINGERPRINT}", f"a=setup:{setup}", "a=rtcp-mux"]
    return "\n".join([*lines, ""])


def check_lines(given_to_us: Session, ours: Session) -> None:
    """Same number, same order, same media; refused stays refused, but where all are a browser's may be inactive."""
    none_used = all(media.port == 0 for media in given_to_us.media)
    assert [m.kind for m in ours.media] == [m.kind for m in given_to_us.media]
    for ours_media, theirs in zip(ours.media, given_to_us.media, strict=True):
        if none_used and ours_media.direction == "inactive":
            continue
        if theirs.port == 0:
            assert ours_media.port == 0
        assert set(ours_media.formats) <= set(theirs.formats)


def check_bundle(session: Session) -> None:
    mids = [m.attribute("mid") for m in session.media if m.attribute("mid") is not None]
    assert len(set(mids)) == len(mids)
    used = {m.attribute("mid") for m in session.media if m.port != 0}
    for group in session.groups("BUNDLE"):
        assert set(group) <= used


DIRECTION = st.sampled_from(["sendrecv", "sendonly", "recvonly", "inactive"])


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_course_of_a_call_keeps_the_lines_and_the_ports(data: st.DataObject) -> None:
    backend = FakeBackend()
    call = Bridge(backend).open_call("call-r")
    legs = ["a", data.draw(st.sampled_from(["b1", "b2", "b3"]))]
    if data.draw(st.booleans()):
        legs.append("b2" if legs[1] != "b2" else "b1")
    for leg in legs:
        call.add_leg(leg, Profile(KINDS[leg], "203.0.113.5", sdes_allowed=True))
    kinds = ["audio"]
    versions: dict[str, tuple[int, Session]] = {}
    origins: dict[str, str] = {}

    def note(leg: str, session: Session) -> None:
        _, number, version, *_ = (session.first("o") or "").split()
        assert origins.setdefault(leg, number) == number
        rest = Session(fields=tuple(f for f in session.fields if f.type != "o"), media=session.media)
        if leg in versions:
            before, same = versions[leg]
            assert int(version) == before + (same != rest)
        versions[leg] = (int(version), rest)

    def draw(leg: str, setup: str) -> str:
        count = len(kinds)
        used = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
        directions = data.draw(st.lists(DIRECTION, min_size=count, max_size=count))
        return described(WIRE[leg], kinds, used, directions, setup, data.draw(st.integers(0, 1)))

    for _ in range(data.draw(st.integers(1, 8))):
        one, two = ("a", legs[1]) if data.draw(st.booleans()) else (legs[1], "a")
        targets = [two] if one != "a" else legs[1 : 1 + data.draw(st.integers(1, len(legs) - 1))]
        if len(kinds) < 4 and data.draw(st.booleans()):
            kinds.append(data.draw(st.sampled_from(["audio", "video", "application"])))
        text = draw(one, "actpass")
        joined, ports = dict(backend.joins), {e.local.rtp_port for e in backend.open()}
        refused: set[str] = set()
        for target in targets:
            try:
                ours = call.offer(crlf(text), from_leg=one, to_leg=target)
            except BadMedia:
                refused.add(target)
                continue
            session = parse_untrusted(ours)
            check_lines(parse_untrusted(crlf(text)), session)
            check_bundle(session)
            note(target, session)
        assert backend.joins == joined
        settled = False
        for target in (name for name in targets if name not in refused):
            if data.draw(st.integers(0, 3)) == 0:
                call.reject_offer(from_leg=one, to_leg=target)
                continue
            reply = draw(target, data.draw(st.sampled_from(["active", "passive"])))
            try:
                answer = parse_untrusted(call.answer(crlf(reply), from_leg=target, to_leg=one))
            except BadMedia:
                call.reject_offer(from_leg=one, to_leg=target)
                continue
            if [m.kind for m in answer.media] == kinds:
                check_lines(parse_untrusted(crlf(reply)), answer)
            check_bundle(answer)
            note(one, answer)
            settled = True
        if not settled:
            assert backend.joins == joined
            assert {e.local.rtp_port for e in backend.open()} == ports
        call.snapshot()
    for endpoint in backend.open():
        assert len({s.index for s in endpoint.streams}) == len(endpoint.streams)
    call.close()
    assert backend.open() == []
