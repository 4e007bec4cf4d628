"""Whatever bytes come from the right address: counted, never a fault, and the next good packet is served."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.media.backend import (
    MID_URI,
    DtlsRole,
    EndpointKind,
    Fingerprint,
    Line,
    RemoteParameters,
    SdesKey,
    StreamSpec,
)
from appliance.media.relay import PythonRelay, RelayOptions
from appliance.rtc.dtls import DtlsIdentity
from appliance.rtc.rtcp import build_cname, build_nack, build_pli, build_receiver_report
from appliance.rtc.rtp import build_rtp

IDENTITY = DtlsIdentity.generate()
SOURCE = ("127.0.0.1", 9)
RTP = build_rtp(96, 1, 2, 3, b"payload", elements=[(1, b"a"), (2, b"bcd")])
RTCP = build_receiver_report(3) + build_cname(3, b"x") + build_nack(3, 3, [1]) + build_pli(3, 3)
DATAGRAMS = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda head, rest: head + rest, st.sampled_from([RTP[:12], RTP[:20], RTCP[:8], RTCP]), st.binary(max_size=60)
    ),
    st.builds(lambda at, byte: RTP[:at] + byte + RTP[at + 1 :], st.integers(0, 23), st.binary(min_size=1, max_size=1)),
    st.builds(
        lambda at, byte: RTCP[:at] + byte + RTCP[at + 1 :],
        st.integers(0, len(RTCP) - 1),
        st.binary(min_size=1, max_size=1),
    ),
    st.builds(lambda first, rest: bytes((first,)) + rest, st.integers(0, 63), st.binary(max_size=120)),
)


@pytest.fixture
def relay():
    relay = PythonRelay(RelayOptions(), IDENTITY, time.monotonic)
    yield relay
    relay.close()


def streams() -> list[StreamSpec]:
    video = StreamSpec(1, "video", {97: 90000}, mid="b", extensions={1: MID_URI})
    return [StreamSpec(0, "audio", {96: 8000, 0: 8000}, mid="a", extensions={1: MID_URI, 2: "urn:x"}), video]


def open_legs(relay: PythonRelay):
    """A plain leg joined to a WebRTC leg, an SDES leg on the echo line."""
    plain = relay.open_endpoint(EndpointKind.RTP, "127.0.0.1", mux=False, on_event=lambda event: None)
    plain.set_remote(RemoteParameters(rtp=SOURCE))
    web = relay.open_endpoint(EndpointKind.WEBRTC, "127.0.0.1", mux=True, on_event=lambda event: None)
    web.set_remote(
        RemoteParameters(
            rtp=SOURCE,
            ice_ufrag="them",
            ice_lite=True,
            fingerprints=(Fingerprint("sha-256", bytes(32)),),
            dtls_role=DtlsRole.SERVER,
        )
    )
    sdes = relay.open_endpoint(EndpointKind.SDES, "127.0.0.1", mux=True, on_event=lambda event: None)
    key = SdesKey("AEAD_AES_128_GCM", bytes(28))
    sdes.set_remote(RemoteParameters(rtp=SOURCE, sdes_send=key, sdes_receive=key))
    echo = relay.open_endpoint(EndpointKind.RTP, "127.0.0.1", mux=True, on_event=lambda event: None)
    echo.set_remote(RemoteParameters(rtp=SOURCE))
    for endpoint in (plain, web, sdes, echo):
        endpoint.set_streams(streams())
    relay.join(plain, 0, web, 1)
    relay.join_line(sdes, 0, Line.TONE)
    relay.join_line(echo, 0, Line.ECHO)
    relay.join_line(echo, 1, Line.TONE)
    return [plain, web, sdes, echo]


@settings(max_examples=60, deadline=None)
@given(packets=st.lists(DATAGRAMS, max_size=25))
def test_no_datagram_causes_a_fault(packets):
    relay = PythonRelay(RelayOptions(), IDENTITY, time.monotonic)
    try:
        for endpoint in open_legs(relay):
            for data in packets:
                size = relay.buffer.put(data)
                if size and 128 <= data[0] <= 191:
                    endpoint.path.deliver(endpoint.path, size, 1.0)
                else:
                    endpoint.on_other_untrusted(size, 1.0)
                size = relay.buffer.put(data)
                endpoint.control.receive_untrusted(size, 1.0)
            endpoint.tick(2.0)
            endpoint.stats()
            before = endpoint.stats().streams[0].packets_received
            if not endpoint.keys.required and len(endpoint.sources) < 64:
                endpoint.path.deliver(endpoint.path, relay.buffer.put(build_rtp(0, 1, 2, 0xABCD1234, b"good")), 3.0)
                assert endpoint.stats().streams[0].packets_received == before + 1
    finally:
        relay.close()


def test_a_datagram_of_the_full_buffer_is_handled(relay):
    endpoint = open_legs(relay)[0]
    endpoint.path.deliver(endpoint.path, relay.buffer.put(RTP + bytes(4096 - len(RTP))), 1.0)
    assert endpoint.stats().streams[0].packets_received == 1
