"""Two legs of every kind, offers and answers as real peers write them, against a backend without sockets."""

import pytest

from appliance.media.backend import DtlsRole, EndpointKind, PortsExhausted
from appliance.media.bridge import Bridge, MediaCall
from appliance.media.profile import BridgeOptions, Feedback, Profile, ProfileKind
from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import Media, Session, parse_untrusted
from appliance.rtc.sdp_crypto import cryptos_of
from tests.media.fake_backend import FakeBackend
from tests.rtc.sdp_samples import (
    BROWSER_AUDIO,
    BROWSER_DATA,
    BROWSER_VIDEO,
    KEY_80,
    LOAD_GENERATOR,
    PHONE,
    PHONE_VIDEO,
    SECURE_PHONE,
    crlf,
)

HOST = "203.0.113.5"
AUTO = Profile(ProfileKind.AUTO, HOST)
RTP = Profile(ProfileKind.RTP, HOST)
WEBRTC = Profile(ProfileKind.WEBRTC, HOST)
SDES = Profile(ProfileKind.SDES, HOST, sdes_allowed=True)

REJECTED = "v=0\no=- 9 9 IN IP4 198.51.100.20\ns=-\nc=IN IP4 198.51.100.20\nt=0 0\n"


class Table:
    """One call on a fake backend."""

    def __init__(self, a: Profile = AUTO, b1: Profile = RTP, ports: int = 1000) -> None:
        self.backend = FakeBackend(ports=ports)
        self.dead: list[str] = []
        self.bridge = Bridge(self.backend)
        self.call: MediaCall = self.bridge.open_call("call-1", self.dead.append)
        self.call.add_leg("a", a)
        self.call.add_leg("b1", b1)

    def offer(self, text: str, way: str = "a b1") -> Session:
        one, two = way.split()
        return parse_untrusted(self.call.offer(crlf(text), from_leg=one, to_leg=two))

    def answer(self, text: str, way: str = "b1 a") -> Session:
        one, two = way.split()
        return parse_untrusted(self.call.answer(crlf(text), from_leg=one, to_leg=two))


def names(media: Media) -> set[str]:
    return {f.value.partition(":")[0] for f in media.fields if f.type == "a"}


def browser_answer(text: str = BROWSER_AUDIO, setup: str = "active") -> str:
    return text.replace("setup:actpass", f"setup:{setup}")


def test_browser_offer_reaches_a_plain_phone_as_rtp_avp() -> None:
    table = Table()
    offer = table.offer(BROWSER_AUDIO)
    (audio,) = offer.media
    assert audio.protocol == "RTP/AVP"
    assert audio.formats == ("111", "9", "0", "8", "13", "110", "126")
    assert offer.first("c") == f"IN IP4 {HOST}"
    assert audio.port == 30002
    assert names(audio) == {"rtpmap", "fmtp", "sendrecv"}
    assert not offer.has("group")


def test_telephone_event_at_48_khz_stays_behind_without_opus() -> None:
    offer = Table().offer(BROWSER_AUDIO.replace(" 111 63", "").replace("opus", "gone"))
    assert offer.media[0].formats == ("9", "0", "8", "13", "126")


def test_browsers_are_told_telephone_event_at_the_clock_of_their_codec_alone() -> None:
    table = Table(b1=WEBRTC)
    offer = table.offer(BROWSER_AUDIO)
    assert offer.media[0].formats == ("111", "63", "9", "0", "8", "13", "110")
    answer = table.answer(browser_answer())
    assert answer.media[0].formats == ("111", "63", "9", "0", "8", "13", "110")
    plain = Table()
    plain.offer(BROWSER_AUDIO)
    both = PHONE.replace("8 0 101\n", "8 0 97 101\n").replace("a=ptime", "a=rtpmap:97 telephone-event/48000\na=ptime")
    assert plain.answer(both).media[0].formats == ("8", "0", "101")
    assert 97 in plain.backend.at(30002).streams[0].payload_types


def test_plain_answer_reaches_the_browser_with_ice_and_dtls() -> None:
    table = Table()
    table.offer(BROWSER_AUDIO)
    answer = table.answer(PHONE.replace("8 0 101", "8 126").replace("101 ", "126 "))
    (audio,) = answer.media
    assert audio.protocol == "UDP/TLS/RTP/SAVPF"
    assert audio.formats == ("8", "126")
    assert answer.has("ice-lite")
    assert answer.attribute("group") == "BUNDLE 0"
    assert audio.attribute("mid") == "0"
    assert audio.attribute("ice-ufrag") == "u30000"
    assert audio.attribute("setup") == "passive"
    assert audio.attribute("candidate") == f"1 1 udp 2130706431 {HOST} 30000 typ host"
    assert audio.has("end-of-candidates")
    assert audio.has("rtcp-mux")
    assert (audio.attribute("msid") or "").startswith("jf")
    assert not audio.has("ssrc")
    assert not audio.has("extmap")
    assert audio.attribute("ptime") == "20"
    assert audio.attribute("label") == "1"
    assert audio.first("b") == "TIAS:64000"


def test_backend_learns_both_sides_and_joins_them() -> None:
    table = Table()
    table.offer(BROWSER_AUDIO)
    table.answer(PHONE.replace("8 0 101", "8 126").replace("101 ", "126 "))
    browser, phone = table.backend.at(30000), table.backend.at(30002)
    assert browser.kind is EndpointKind.WEBRTC
    assert browser.remote is not None
    assert browser.remote.ice_ufrag == "Wy5Q"
    assert browser.remote.rtcp is None
    assert browser.remote.dtls_role is DtlsRole.SERVER
    assert browser.remote.candidates == (("192.0.2.10", 51472),)
    assert browser.streams[0].ssrcs == (3735928559,)
    assert browser.streams[0].payload_types == {8: 8000, 126: 8000}
    assert browser.streams[0].dtmf == {126}
    assert phone.remote is not None
    assert phone.remote.rtp == ("198.51.100.20", 22346)
    assert phone.remote.rtcp == ("198.51.100.20", 22347)
    assert table.backend.partner(30000, 0) == (30002, 0)


def test_phone_calls_a_browser() -> None:
    table = Table(a=RTP, b1=WEBRTC)
    offer = table.offer(PHONE)
    (audio,) = offer.media
    assert audio.protocol == "UDP/TLS/RTP/SAVPF"
    assert audio.attribute("setup") == "actpass"
    assert offer.attribute("group") == f"BUNDLE {audio.attribute('mid')}"
    assert not audio.has("ssrc")
    answer = table.answer(browser_answer().replace("111 63 9 0 8 13 110 126", "8 0 101"))
    assert answer.media[0].protocol == "RTP/AVP"
    assert answer.media[0].formats == ("8", "0")
    browser = table.backend.at(offer.media[0].port)
    assert browser.remote is not None
    assert browser.remote.dtls_role is DtlsRole.SERVER


def test_passive_answer_makes_us_the_dtls_client() -> None:
    table = Table(a=RTP, b1=WEBRTC)
    port = table.offer(PHONE).media[0].port
    table.answer(browser_answer(setup="passive"))
    remote = table.backend.at(port).remote
    assert remote is not None
    assert remote.dtls_role is DtlsRole.CLIENT


def test_static_payload_types_get_an_rtpmap_toward_a_browser() -> None:
    offer = Table(a=RTP, b1=WEBRTC).offer(LOAD_GENERATOR.replace("a=rtpmap:0 PCMU/8000\n", ""))
    assert list(offer.media[0].attributes("rtpmap")) == ["0 PCMU/8000"]


def test_two_browsers_keep_extensions_repair_and_ssrc() -> None:
    table = Table(b1=WEBRTC)
    offer = table.offer(BROWSER_VIDEO)
    video = offer.media[1]
    assert video.formats == ("96", "97", "103", "104", "116", "117", "118")
    assert offer.attribute("group") == "BUNDLE 0 1"
    assert {m.port for m in offer.media} == {30002}
    assert list(video.attributes("extmap"))[3].startswith("3 ")
    assert "96 transport-cc" in list(video.attributes("rtcp-fb"))
    assert video.attribute("ssrc-group") == "FID 1111111111 2222222222"
    assert video.attribute("msid") == "1c2d9f3e 88bb-video"
    answer = table.answer(browser_answer(BROWSER_VIDEO).replace("Wy5Q", "Other").replace("51472", "60000"))
    assert answer.attribute("group") == "BUNDLE 0 1"
    assert answer.media[1].attribute("ice-ufrag") == "u30000"
    endpoint = table.backend.at(30000)
    assert [s.kind for s in endpoint.streams] == ["audio", "video"]
    assert "transport-cc" in endpoint.streams[1].feedback
    assert endpoint.streams[1].extensions[4] == "urn:ietf:params:rtp-hdrext:sdes:mid"
    assert table.backend.partner(30000, 1) == (30002, 1)
    assert len(table.backend.open()) == 2


def test_video_toward_a_plain_phone_keeps_only_feedback_that_works_there() -> None:
    offer = Table().offer(BROWSER_VIDEO)
    video = offer.media[1]
    assert video.protocol == "RTP/AVP"
    assert video.formats == ("96", "103")
    assert set(video.attributes("rtcp-fb")) == {
        f"{pt} {what}" for pt in (96, 103) for what in ("ccm fir", "nack", "nack pli")
    }


@pytest.mark.parametrize(
    ("feedback", "protocol", "lines"),
    [(Feedback.NONE, "RTP/AVP", 0), (Feedback.AVPF, "RTP/AVPF", 6)],
)
def test_feedback_is_offered_as_the_profile_says(feedback: Feedback, protocol: str, lines: int) -> None:
    offer = Table(b1=Profile(ProfileKind.RTP, HOST, feedback=feedback)).offer(BROWSER_VIDEO)
    assert offer.media[1].protocol == protocol
    assert len(list(offer.media[1].attributes("rtcp-fb"))) == lines
    assert offer.media[0].protocol == "RTP/AVP"


def test_plain_video_answer_keeps_the_phones_feedback_for_the_browser() -> None:
    table = Table()
    table.offer(BROWSER_VIDEO)
    answer = table.answer(PHONE_VIDEO.replace("103 96", "96"))
    video = answer.media[1]
    assert set(video.attributes("rtcp-fb")) == {"* nack pli", "* ccm fir"}
    assert video.attribute("framerate") == "30"
    assert table.backend.at(30000).streams[1].feedback == {"nack pli", "ccm fir"}
    assert len({e.local.rtp_port for e in table.backend.open()}) == 3


def test_refused_video_keeps_its_line_and_gives_its_port_back() -> None:
    table = Table()
    table.offer(BROWSER_VIDEO)
    answer = table.answer(PHONE + "m=video 0 RTP/AVP 96\n")
    assert [m.port == 0 for m in answer.media] == [False, True]
    assert answer.attribute("group") == "BUNDLE 0"
    assert answer.media[1].attribute("mid") == "1"
    assert len(table.backend.open()) == 2


def test_answer_that_leaves_refused_lines_out_is_filled_up() -> None:
    table = Table()
    table.offer(BROWSER_VIDEO)
    answer = table.answer(PHONE)
    assert [(m.kind, m.port == 0) for m in answer.media] == [("audio", False), ("video", True)]


def test_data_channel_and_fax_are_passed_on_as_refused() -> None:
    offer = Table().offer(BROWSER_DATA)
    assert offer.media[1].m_line.value == "application 0 UDP/DTLS/SCTP webrtc-datachannel"
    offer = Table(a=RTP, b1=WEBRTC).offer(PHONE + "m=image 4000 udptl t38\na=T38FaxVersion:0\n")
    assert offer.media[1].m_line.value == "image 0 udptl t38"
    assert offer.attribute("group") == "BUNDLE 0"


def test_switching_to_fax_is_refused_and_the_call_stands() -> None:
    table = Table(a=RTP)
    table.offer(PHONE)
    table.answer(LOAD_GENERATOR)
    with pytest.raises(BadMedia, match="m=image udptl cannot be carried") as caught:
        table.offer(REJECTED + "m=image 4000 udptl t38\n", "b1 a")
    assert caught.value.status == 488
    assert table.backend.partner(30000, 0) == (30002, 0)


def test_sdes_phone_to_browser_uses_one_key_each_way() -> None:
    table = Table(a=Profile(ProfileKind.AUTO, HOST, sdes_allowed=True), b1=WEBRTC)
    table.offer(SECURE_PHONE)
    answer = table.answer(browser_answer())
    (audio,) = answer.media
    assert audio.protocol == "RTP/SAVP"
    (ours,) = cryptos_of(audio)
    assert (ours.tag, ours.suite) == (2, "AES_CM_128_HMAC_SHA1_80")
    remote = table.backend.at(30000).remote
    assert remote is not None
    assert remote.sdes_send is not None
    assert remote.sdes_receive is not None
    assert remote.sdes_send.key_salt == ours.key_salt
    assert remote.sdes_receive.key_salt == cryptos_of(parse_untrusted(crlf(SECURE_PHONE)).media[0])[0].key_salt


def test_browser_to_sdes_phone_offers_both_suites() -> None:
    table = Table(b1=SDES)
    offer = table.offer(BROWSER_AUDIO)
    ours = cryptos_of(offer.media[0])
    assert [c.suite for c in ours] == ["AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"]
    table.answer(SECURE_PHONE)
    remote = table.backend.at(30002).remote
    assert remote is not None
    assert remote.sdes_send is not None
    assert remote.sdes_send.key_salt == ours[0].key_salt


def test_sdes_is_refused_where_signalling_is_open() -> None:
    with pytest.raises(BadMedia, match="without secure signalling"):
        Table().offer(SECURE_PHONE)
    with pytest.raises(BadMedia, match="without secure signalling"):
        Table(b1=Profile(ProfileKind.SDES, HOST)).offer(PHONE)


def test_sdes_answer_without_an_offered_suite_is_refused() -> None:
    table = Table(b1=Profile(ProfileKind.SDES, HOST, sdes_allowed=True))
    table.offer(PHONE)
    with pytest.raises(BadMedia, match="no usable a=crypto"):
        table.answer(SECURE_PHONE.replace(KEY_80, "AAAA").replace("AEAD_AES_128_GCM", "OTHER"))


@pytest.mark.parametrize(
    ("lines", "seen", "send", "receive"),
    [
        ("a=sendonly", "sendonly", False, True),
        ("a=inactive", "inactive", False, False),
        ("a=recvonly", "recvonly", True, False),
        ("c=IN IP4 0.0.0.0", "sendonly", False, True),
        ("c=IN IP4 0.0.0.0\na=inactive", "inactive", False, False),
    ],
)
def test_every_form_of_hold_reaches_the_browser(lines: str, seen: str, send: bool, receive: bool) -> None:
    table = Table(a=RTP, b1=WEBRTC)
    table.offer(PHONE)
    table.answer(browser_answer())
    held = PHONE.replace("a=sendrecv", lines).replace("1042", "1043")
    offer = table.offer(held)
    assert offer.media[0].direction == seen
    answer = table.answer(browser_answer())  # a sloppy sendrecv is cut down to what the offer allows
    allowed = {"sendonly": "recvonly", "inactive": "inactive", "recvonly": "sendonly"}[seen]
    assert answer.media[0].direction == allowed
    spec = table.backend.at(30000).streams[0]
    assert (spec.send, spec.receive) == (send, receive)
    resumed = table.offer(PHONE.replace("1042", "1044"))
    assert resumed.media[0].direction == "sendrecv"
    assert table.answer(browser_answer()).media[0].direction == "sendrecv"
    remote = table.backend.at(30000).remote
    assert remote is not None
    assert remote.rtp == ("198.51.100.20", 22346)


def test_hold_by_port_0_in_every_line_leaves_the_browser_its_transport() -> None:
    """With no m-line in use Chromium never ends gathering candidates, and its phone never answers."""
    table = Table(a=RTP, b1=WEBRTC)
    before = table.offer(PHONE).media[0]
    table.answer(browser_answer())
    held = table.offer(PHONE.replace("m=audio 22346", "m=audio 0"))
    (audio,) = held.media
    assert (audio.port, audio.direction, audio.formats) == (before.port, "inactive", before.formats)
    assert held.groups("BUNDLE") == [("0",)]
    assert audio.attribute("ice-ufrag") == before.attribute("ice-ufrag")
    assert [media.port for media in table.answer(browser_answer()).media] == [0]
    assert len(table.backend.open()) == 1
    resumed = table.offer(PHONE).media[0]
    assert (resumed.port, resumed.direction) == (before.port, "sendrecv")
    assert table.answer(browser_answer()).media[0].port > 0
    assert table.backend.at(before.port).streams[0].send


def test_port_0_in_every_line_after_an_offer_that_was_refused_leaves_lines_with_formats() -> None:
    """The refused offer was the last that the browser was sent, and its video had no rtpmap to read a codec from."""
    table = Table(a=RTP, b1=WEBRTC)
    table.offer(PHONE_VIDEO)
    table.answer(browser_answer(BROWSER_VIDEO))
    head, video = PHONE_VIDEO.split("m=video ")
    without_video = head + "m=video 0 " + video.partition(" ")[2].partition("\n")[0] + "\n"
    table.offer(without_video)
    table.call.reject_offer(from_leg="a", to_leg="b1")
    held = table.offer(without_video.replace("m=audio 22346", "m=audio 0"))
    assert [(media.direction, bool(media.formats)) for media in held.media] == [("inactive", True)] * 2


def test_session_level_hold_counts() -> None:
    offer = Table(a=RTP).offer(PHONE.replace("t=0 0\n", "t=0 0\na=inactive\n").replace("a=sendrecv\n", ""))
    assert offer.media[0].direction == "inactive"
    assert offer.direction is None


def test_delayed_offer_comes_from_the_callee() -> None:
    table = Table(a=WEBRTC, b1=RTP)
    offer = table.offer(PHONE, "b1 a")
    assert offer.media[0].protocol == "UDP/TLS/RTP/SAVPF"
    answer = table.answer(browser_answer(), "a b1")
    assert answer.media[0].protocol == "RTP/AVP"
    assert table.backend.partner(offer.media[0].port, 0) == (answer.media[0].port, 0)


def test_fork_shares_the_callers_transport_and_the_last_answer_is_heard() -> None:
    table = Table()
    table.call.add_leg("b2", WEBRTC)
    first = table.offer(BROWSER_AUDIO)
    second = table.offer(BROWSER_AUDIO, "a b2")
    early = table.answer(PHONE)
    assert table.backend.partner(30000, 0) == (first.media[0].port, 0)
    later = table.answer(browser_answer().replace("Wy5Q", "Else"), "b2 a")
    assert table.backend.partner(30000, 0) == (second.media[0].port, 0)
    for name in ("ice-ufrag", "ice-pwd", "setup", "fingerprint", "mid"):
        assert early.media[0].attribute(name) == later.media[0].attribute(name)
    assert early.media[0].port == later.media[0].port
    assert len(table.backend.at(30000).remotes) == 1
    assert len(table.backend.open()) == 3
    table.call.select_leg("b1")
    assert table.backend.partner(30000, 0) == (first.media[0].port, 0)
    assert table.backend.at(30000).streams[0].payload_types == {8: 8000, 0: 8000, 101: 8000, 126: 8000}
    table.call.drop_leg("b2")
    assert len(table.backend.open()) == 2
    assert table.backend.partner(30000, 0) == (first.media[0].port, 0)


def test_ice_restart_by_the_browser_leaves_the_phone_as_it_was() -> None:
    table = Table(b1=RTP)
    before = table.offer(BROWSER_AUDIO)
    table.answer(PHONE)
    restarted = BROWSER_AUDIO.replace("Wy5Q", "Nw6R").replace("lvPuAHXi", "nwPuAHXi")
    again = table.offer(restarted)
    assert again == before  # the o= version included
    assert table.backend.at(30000).restarts == 0
    answer = table.answer(PHONE)
    assert table.backend.at(30000).restarts == 1
    assert answer.media[0].attribute("ice-ufrag") == "u30000r1"
    assert answer.media[0].attribute("setup") == "passive"
    assert len(table.backend.at(30002).remotes) == 1
    table.offer(restarted)
    table.answer(PHONE)
    assert table.backend.at(30000).restarts == 1


def test_reoffer_by_the_phone_changes_nothing_for_the_browsers_ice() -> None:
    table = Table()
    table.offer(BROWSER_AUDIO)
    first = table.answer(PHONE)
    reoffer = table.offer(PHONE.replace("1042", "1043"), "b1 a")
    assert reoffer.media[0].attribute("ice-ufrag") == first.media[0].attribute("ice-ufrag")
    assert reoffer.media[0].attribute("setup") == "actpass"
    answer = table.answer(browser_answer(setup="active"), "a b1")
    assert answer.media[0].port == 30002
    assert table.backend.at(30000).restarts == 0
    assert len(table.backend.at(30000).remotes) == 1


def test_video_is_added_and_removed_without_losing_a_line() -> None:
    table = Table(b1=WEBRTC)
    table.offer(BROWSER_AUDIO)
    table.answer(browser_answer())
    added = table.offer(BROWSER_VIDEO)
    assert added.attribute("group") == "BUNDLE 0 1"
    table.answer(browser_answer(BROWSER_VIDEO))
    assert [s.index for s in table.backend.at(30000).streams] == [0, 1]
    assert len(table.backend.open()) == 2
    removed = BROWSER_VIDEO.replace("BUNDLE 0 1", "BUNDLE 0").replace("m=video 9", "m=video 0")
    offer = table.offer(removed)
    assert (offer.media[1].port, offer.attribute("group")) == (0, "BUNDLE 0")
    answer = table.answer(browser_answer(removed))
    assert answer.media[1].port == 0
    assert [s.index for s in table.backend.at(30000).streams] == [0]
    assert table.backend.partner(30000, 1) is None
    assert table.offer(BROWSER_VIDEO).media[1].port != 0


def test_rejected_reoffer_leaves_all_as_it_was() -> None:
    table = Table()
    table.offer(BROWSER_AUDIO)
    table.answer(PHONE)
    streams = table.backend.at(30000).streams
    table.offer(BROWSER_VIDEO.replace("Wy5Q", "Nw6R"))
    assert len(table.backend.open()) == 3
    table.call.reject_offer(from_leg="a", to_leg="b1")
    assert len(table.backend.open()) == 2
    assert table.backend.at(30000).streams == streams
    assert table.backend.at(30000).restarts == 0
    assert table.backend.partner(30000, 0) == (30002, 0)


def test_version_counts_our_changes_only() -> None:
    table = Table(a=RTP)
    origins = []
    for text in (PHONE, PHONE.replace("1042", "1043"), PHONE.replace("sendrecv", "sendonly"), PHONE):
        origins.append((table.offer(text).first("o") or "").split())
        table.answer(LOAD_GENERATOR)
    assert [int(o[2]) for o in origins] == [0, 0, 1, 2]
    assert len({o[1] for o in origins}) == 1


def test_removed_line_is_refused() -> None:
    table = Table(a=RTP)
    table.offer(PHONE_VIDEO)
    table.answer(PHONE_VIDEO)
    with pytest.raises(BadMedia, match="1 m= lines where the session has 2"):
        table.offer(PHONE)


def test_answers_that_do_not_fit_change_nothing() -> None:
    table = Table(a=RTP)
    table.offer(PHONE)
    for wrong, text in (
        (PHONE_VIDEO, "2 m= lines to an offer of 1"),
        (PHONE.replace("m=audio", "m=video"), "m=video where the offer had m=audio"),
        (LOAD_GENERATOR.replace("RTP/AVP 0", "RTP/AVP 18"), "no codec of the offer's"),
        (BROWSER_AUDIO, "was offered as RTP/AVP and answered as UDP/TLS/RTP/SAVPF"),
    ):
        with pytest.raises(BadMedia, match=text):
            table.answer(wrong)
        assert not table.backend.joins
    table.answer(PHONE)
    assert table.backend.joins


def test_answer_without_offer_is_refused() -> None:
    table = Table(a=RTP)
    with pytest.raises(BadMedia, match="nothing was offered"):
        table.answer(PHONE)
    table.offer(PHONE)
    with pytest.raises(BadMedia, match="nothing was offered"):
        table.answer(PHONE, "a b1")


def test_all_ports_taken_leaves_none_behind() -> None:
    table = Table(ports=2)
    with pytest.raises(PortsExhausted):
        table.offer(BROWSER_VIDEO)
    assert table.backend.open() == []
    table.offer(BROWSER_AUDIO)


def test_close_gives_every_port_back() -> None:
    table = Table()
    table.offer(BROWSER_VIDEO)
    table.answer(PHONE_VIDEO)
    table.call.close()
    table.call.close()
    assert table.backend.open() == []


def test_rtcp_mux_is_accepted_from_a_phone_and_offered_as_the_profile_says() -> None:
    table = Table(a=RTP, b1=Profile(ProfileKind.RTP, HOST, rtcp_mux=True))
    offer = table.offer(PHONE + "a=rtcp-mux\n")
    assert offer.media[0].has("rtcp-mux")
    answer = table.answer(LOAD_GENERATOR)
    assert answer.media[0].has("rtcp-mux")
    caller, callee = table.backend.at(answer.media[0].port), table.backend.at(offer.media[0].port)
    assert caller.local.rtcp_port is None
    assert caller.remote is not None
    assert caller.remote.rtcp is None
    assert callee.local.rtcp_port == offer.media[0].port + 1
    assert callee.remote is not None
    assert callee.remote.rtcp == ("192.0.2.77", 6001)


def test_rtcp_attribute_names_the_port() -> None:
    table = Table(a=RTP)
    table.offer(PHONE + "a=rtcp:41000 IN IP4 198.51.100.99\n")
    table.answer(LOAD_GENERATOR + "a=rtcp:6100\n")
    remotes = [e.remote.rtcp for e in table.backend.open() if e.remote is not None]
    assert remotes == [("198.51.100.99", 41000), ("192.0.2.77", 6100)]


def test_family_and_advertised_address_are_the_legs_own() -> None:
    table = Table(a=Profile(ProfileKind.RTP, "10.0.0.5", advertised="203.0.113.80"))
    table.call.add_leg("b2", Profile(ProfileKind.RTP, "2001:db8::5"))
    offer = table.offer(PHONE, "a b2")
    assert offer.first("c") == "IN IP6 2001:db8::5"
    assert (offer.first("o") or "").endswith("IN IP6 2001:db8::5")
    answer = table.answer(LOAD_GENERATOR.replace("IP4 192.0.2.77", "IP6 2001:db8::77"), "b2 a")
    assert answer.first("c") == "IN IP4 203.0.113.80"
    assert table.backend.open()[0].local.host == "10.0.0.5"


def test_colliding_payload_types_get_a_transport_of_their_own() -> None:
    table = Table(a=RTP, b1=WEBRTC)
    offer = table.offer(PHONE_VIDEO.replace("103", "101"))
    assert offer.attribute("group") == "BUNDLE 0"
    assert offer.media[0].port != offer.media[1].port


def test_second_video_is_told_apart_by_mid() -> None:
    table = Table(a=RTP, b1=WEBRTC)
    offer = table.offer(PHONE_VIDEO + PHONE_VIDEO[PHONE_VIDEO.index("m=video") :])
    assert [m.has("extmap") for m in offer.media] == [False, True, True]


def test_plain_answer_outside_of_the_bundle_loses_only_that_line() -> None:
    table = Table(a=RTP, b1=WEBRTC)
    table.offer(PHONE_VIDEO)
    answer = table.answer(browser_answer(BROWSER_VIDEO).replace("BUNDLE 0 1", "BUNDLE 0"))
    assert [m.port == 0 for m in answer.media] == [False, True]


def test_183_may_refuse_what_200_accepts() -> None:
    table = Table(a=RTP)
    table.offer(PHONE_VIDEO)
    early = table.call.answer(crlf(PHONE), from_leg="b1", to_leg="a", final=False)
    assert parse_untrusted(early).media[1].port == 0
    assert table.answer(PHONE_VIDEO).media[1].port != 0
    assert len(table.backend.joins) == 4


def test_options_give_session_ids_and_keys() -> None:
    backend = FakeBackend()
    options = BridgeOptions(random_bytes=lambda size: b"\x40" * size)
    call = Bridge(backend, options).open_call("call-2")
    call.add_leg("a", RTP)
    call.add_leg("b1", SDES)
    offer = parse_untrusted(call.offer(crlf(PHONE), from_leg="a", to_leg="b1"))
    assert cryptos_of(offer.media[0])[0].key_salt == b"\x40" * 30
    assert (offer.first("o") or "").split()[1] == str(0x4040404040404040 >> 2)


def test_2xx_that_repeats_its_sdp_after_an_update_gets_what_stands() -> None:
    table = Table()
    table.offer(BROWSER_AUDIO)
    table.answer(PHONE)
    update = table.offer(PHONE.replace("1042", "1043").replace("sendrecv", "sendonly"), "b1 a")
    table.answer(browser_answer().replace("sendrecv", "recvonly"), "a b1")
    assert table.answer(PHONE) == update
    assert table.backend.at(30000).streams[0].send


def test_new_fingerprint_in_a_reoffer_is_told_and_an_old_one_keeps_its_role() -> None:
    table = Table(a=RTP, b1=WEBRTC)
    port = table.offer(PHONE).media[0].port
    table.answer(browser_answer(setup="passive"))
    table.offer(BROWSER_AUDIO, "b1 a")
    answer = table.answer(PHONE, "a b1")
    assert answer.media[0].attribute("setup") == "active"
    table.offer(BROWSER_AUDIO.replace("A1:", "B2:"), "b1 a")
    answer = table.answer(PHONE, "a b1")
    assert answer.media[0].attribute("setup") == "passive"
    remote = table.backend.at(port).remote
    assert remote is not None
    assert remote.fingerprints[0].value[:2] == b"\xb2\xb2"


def test_browser_without_rtcp_mux_is_told_the_port_and_sent_rtcp_there() -> None:
    table = Table()
    table.offer(BROWSER_AUDIO.replace("a=rtcp-mux\n", ""))
    (audio,) = table.answer(PHONE).media
    assert not audio.has("rtcp-mux")
    assert audio.attribute("rtcp") == str(audio.port)
