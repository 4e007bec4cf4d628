"""Whether the media of a branch goes through the box, and what each leg of it speaks.

`always` and `never` of a user, a trunk or [media] are obeyed; `auto` anchors where the ends speak different profiles
or IP versions, where one of them is a browser, or where one hides behind NAT. Converting SDP and carrying packets is
media/'s work.
"""

from __future__ import annotations

import ipaddress

import attrs

from appliance.config.dialplan import Profile
from appliance.config.sections import Anchor
from appliance.config.settings import Settings
from appliance.media import profile as leg_profile
from appliance.media.bridge import Bridge
from appliance.media.profile import ProfileKind
from appliance.proxy.call import Call
from appliance.proxy.destination import Destination
from appliance.proxy.forwarding import hidden
from appliance.proxy.media_path import MediaPath
from appliance.sip.flow import Flow
from appliance.sip.message import Request

_KIND = {
    Profile.RTP: ProfileKind.RTP,
    Profile.SDES: ProfileKind.SDES,
    Profile.WEBRTC: ProfileKind.WEBRTC,
    Profile.AUTO: ProfileKind.AUTO,
}


ALWAYS, NEVER = Anchor.ALWAYS, Anchor.NEVER
AUTO, RTP, WEBRTC = Profile.AUTO, Profile.RTP, Profile.WEBRTC
"""By themselves, since looking a member up costs as much as a dozen comparisons."""


@attrs.frozen
class Anchoring:
    """Decides and sets up, by the settings of one moment."""

    settings: Settings
    bridge: Bridge

    def offered(self, request: Request, flow: Flow) -> Profile:
        """What the caller speaks: as its SDP says, and by its transport where it offers nothing yet."""
        body = request.body
        if b"RTP/SAVP" in body:
            return WEBRTC if b"UDP/TLS/RTP/SAVP" in body else Profile.SDES
        if body:
            return RTP
        return WEBRTC if flow.transport in ("WS", "WSS") else RTP

    def wanted(
        self,
        caller: Anchor,
        mine: Profile,
        destination: Destination,
        request: Request,
        upstream: Flow,
        downstream: Flow,
    ) -> bool:
        """Whether a branch is anchored; `caller` is the caller's wish, `request` came over `upstream`."""
        theirs = destination.profile if destination.profile is not AUTO else mine
        callee, box = destination.anchor, self.settings.media.anchor
        if caller is ALWAYS or callee is ALWAYS or box is ALWAYS:
            return True
        if mine is not theirs or _version(upstream) != _version(downstream):
            return True  # without us they could not talk at all
        if caller is NEVER or callee is NEVER or box is NEVER:
            return False
        return mine is WEBRTC or destination.hidden or hidden(request, upstream)

    def leg(self, profile: Profile, flow: Flow, trunk: str = "") -> leg_profile.Profile:
        """The media profile of the leg that is signalled over `flow`, of a trunk or of a phone."""
        qos, own = self.settings.qos, self.settings.trunks.get(trunk)
        version = _version(flow)
        return leg_profile.Profile(
            kind=_KIND[profile],
            host=self._bound(flow, version),
            advertised=_of_version(self.settings.media.advertise or self.settings.appliance.advertise, version),
            sdes_allowed=flow.secure,
            latch_hosts=(flow.remote[0],),
            audio_dscp=qos.audio if own is None or own.qos_audio is None else own.qos_audio,
            video_dscp=qos.video if own is None or own.qos_video is None else own.qos_video,
            trust_dscp=qos.trust if own is None or own.qos_trust is None else own.qos_trust,
        )

    def _bound(self, flow: Flow, version: int) -> str:
        chosen = _of_version(self.settings.media.bind, version)
        if chosen is not None and not ipaddress.ip_address(chosen).is_unspecified:
            return chosen
        return flow.local[0]

    def place(
        self, call: Call, caller: Profile, upstream: Flow, leg: str, destination: Destination, flow: Flow
    ) -> None:
        """Give `call` a media path with its caller's leg and the leg of this branch."""
        if call.media is None:
            call.media = MediaPath(self.bridge.open_call(call.call_id, call.silent))
        call.media.add_leg("a", self.leg(caller, upstream, call.from_trunk))
        theirs = destination.profile if destination.profile is not Profile.AUTO else caller
        call.media.add_leg(leg, self.leg(theirs, flow, destination.trunk))


def _version(flow: Flow) -> int:
    """The IP version of a leg's signalling, which its media shares."""
    return 6 if ":" in flow.remote[0] else 4


def _of_version(addresses: tuple[str, ...], version: int) -> str | None:
    for text in addresses:
        try:
            if ipaddress.ip_address(text).version == version:
                return text
        except ValueError:
            continue  # a host name: for Via, not for SDP
    return None
