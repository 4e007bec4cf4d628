"""Session descriptions as real peers write them, put together for these tests."""

FINGERPRINT = ":".join(["A1"] * 32)

BROWSER_AUDIO = f"""v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS 1c2d9f3e
m=audio 51472 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 192.0.2.10
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1467250027 1 udp 2122260223 192.0.2.10 51472 typ host generation 0 network-id 1
a=candidate:2510021859 1 tcp 1518280447 192.0.2.10 9 typ host tcptype active generation 0 network-id 1
a=candidate:7 1 udp 2122194687 5f0c5e2e-aaaa-4bbb-8ccc-ddddeeeeffff.local 51473 typ host generation 0
a=ice-ufrag:Wy5Q
a=ice-pwd:lvPuAHXi0wkA6ilNoxWyGyZX
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:1c2d9f3e 77aa-audio
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:3735928559 cname:Dk2hT
a=ssrc:3735928559 msid:1c2d9f3e 77aa-audio
"""

_BROWSER_VIDEO = f"""m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 116 117 118
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Wy5Q
a=ice-pwd:lvPuAHXi0wkA6ilNoxWyGyZX
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:1
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:13 urn:3gpp:video-orientation
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:1c2d9f3e 88bb-video
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:103 H264/90000
a=rtcp-fb:103 goog-remb
a=rtcp-fb:103 transport-cc
a=rtcp-fb:103 ccm fir
a=rtcp-fb:103 nack
a=rtcp-fb:103 nack pli
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:104 rtx/90000
a=fmtp:104 apt=103
a=rtpmap:116 red/90000
a=rtpmap:117 rtx/90000
a=fmtp:117 apt=116
a=rtpmap:118 ulpfec/90000
a=ssrc-group:FID 1111111111 2222222222
a=ssrc:1111111111 cname:Dk2hT
a=ssrc:2222222222 cname:Dk2hT
"""

BROWSER_VIDEO = BROWSER_AUDIO.replace("BUNDLE 0", "BUNDLE 0 1") + _BROWSER_VIDEO

BROWSER_DATA = (
    BROWSER_AUDIO.replace("BUNDLE 0", "BUNDLE 0 data")
    + f"""m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:Wy5Q
a=ice-pwd:lvPuAHXi0wkA6ilNoxWyGyZX
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:data
a=sctp-port:5000
"""
)

PHONE = """v=0
o=- 3837402 1042 IN IP4 198.51.100.20
s=-
c=IN IP4 198.51.100.20
t=0 0
a=tool:phone 3.1
m=audio 22346 RTP/AVP 8 0 101
b=TIAS:64000
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=sendrecv
a=label:1
a=rtcp-rsize
a=ssrc:81985529 cname:sip-phone
a=ptime:20
"""

PHONE_VIDEO = (
    PHONE
    + """m=video 22350 RTP/AVP 103 96
a=rtpmap:103 H264/90000
a=fmtp:103 packetization-mode=1;profile-level-id=42e01f
a=rtpmap:96 VP8/90000
a=rtcp-fb:* nack pli
a=rtcp-fb:* ccm fir
a=framerate:30
"""
)

LOAD_GENERATOR = """v=0
o=user1 53655765 2353687637 IN IP4 192.0.2.77
s=-
c=IN IP4 192.0.2.77
t=0 0
m=audio 6000 RTP/AVP 0
a=rtpmap:0 PCMU/8000
"""

KEY_80 = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
KEY_GCM = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA=="

SECURE_PHONE = f"""v=0
o=- 71 1 IN IP4 198.51.100.30
s=call
c=IN IP4 198.51.100.30
t=0 0
m=audio 11000 RTP/SAVP 0 8 101
a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:AAAA
a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY_80}|2^31
a=crypto:3 AEAD_AES_128_GCM inline:{KEY_GCM}
a=rtpmap:101 telephone-event/8000
"""


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()
