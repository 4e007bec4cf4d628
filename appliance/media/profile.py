"""Profile: how one leg wants its media, and what the bridge itself was told. Chosen by routing, read by bridge."""

import secrets
from collections.abc import Callable
from enum import Enum

from attrs import frozen


class ProfileKind(Enum):
    """What we speak on a leg. What a leg itself offers always decides the answer that it gets; the kind
    decides what we offer to it."""

    AUTO = "auto"
    """As the leg's own SDP has it; plain RTP while it has said nothing."""
    RTP = "rtp"
    SDES = "sdes"
    WEBRTC = "webrtc"


class Feedback(Enum):
    """How RTCP feedback for video is offered to a leg that is not WebRTC (RFC 4585)."""

    NONE = "none"
    """RTP/AVP or RTP/SAVP without any a=rtcp-fb."""
    ATTRIBUTES = "attributes"
    """a=rtcp-fb under RTP/AVP or RTP/SAVP: outside the letter of RFC 4585, and what most phones take."""
    AVPF = "avpf"
    """Video as RTP/AVPF or RTP/SAVPF."""


@frozen
class Profile:
    """`host` is the local IP literal that the leg's endpoints are bound to, its version decides the family of the
    c= lines; `advertised` is the address written into SDP where it differs (behind NAT). `sdes_allowed`: the
    leg's signalling is secure, or the operator said so all the same (RFC 4568 §7); without it a=crypto is neither
    offered nor taken. `rtcp_mux`: offer a=rtcp-mux to a leg that is not WebRTC (it is always accepted).
    `latch_hosts`: where the leg's signalling comes from; behind
    NAT its media comes from there too, whatever its SDP says (RFC 4961). `audio_dscp` and `video_dscp` mark what we
    send there; None: unmarked. `trust_dscp`: what comes from there goes on with the marking that it came with."""

    kind: ProfileKind
    host: str
    advertised: str | None = None
    sdes_allowed: bool = False
    feedback: Feedback = Feedback.ATTRIBUTES
    rtcp_mux: bool = False
    latch_hosts: tuple[str, ...] = ()
    audio_dscp: int | None = None
    video_dscp: int | None = None
    trust_dscp: bool = False

    def dscp(self, media_kind: str) -> int | None:
        """The marking of an m-line; what is neither audio nor video goes with the audio."""
        return self.video_dscp if media_kind == "video" else self.audio_dscp


@frozen
class BridgeOptions:
    """`answer_active`: be the DTLS client where the peer leaves the choice; by default the browser opens the
    handshake and repeats it by its own clock. `random_bytes` makes SDES keys and session ids."""

    answer_active: bool = False
    sdes_suites: tuple[str, ...] = ("AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM")
    random_bytes: Callable[[int], bytes] = secrets.token_bytes
