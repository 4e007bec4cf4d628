"""What the network feeds to media: STUN, RTP, RTCP, and the relay's packet path over all of them."""

from __future__ import annotations

from collections.abc import Callable

from appliance.rtc.errors import BadMedia
from appliance.rtc.ice import IceLite
from appliance.rtc.rtcp import map_ssrcs_untrusted, parse_rtcp_untrusted
from appliance.rtc.rtp import (
    classify_untrusted,
    iter_elements_untrusted,
    parse_rtp_untrusted,
    rewrite_extension_untrusted,
)
from appliance.rtc.stun import parse_stun_untrusted


def stun(data: bytes) -> None:
    try:
        message = parse_stun_untrusted(data)
    except BadMedia:
        return
    message.verify_fingerprint()
    message.verify_integrity("password")
    message.mapped_address()
    message.error()
    message.unknown_required()


def ice(data: bytes) -> None:
    agent = IceLite("evtj", "VOkJxbRl1RmTxUk/WvJxBt")
    try:
        agent.receive_untrusted(data, ("192.0.2.1", 4000), 0.0)
    except BadMedia:
        assert not agent.validated(("192.0.2.1", 4000))


def rtp(data: bytes) -> None:
    classify_untrusted(data)
    try:
        packet = parse_rtp_untrusted(data)
        list(iter_elements_untrusted(packet.extension_profile, packet.extension))
        again = parse_rtp_untrusted(rewrite_extension_untrusted(data, {1: 2, 2: 1}))
        assert (again.ssrc, again.payload) == (packet.ssrc, packet.payload)
    except BadMedia:
        pass


def rtcp(data: bytes) -> None:
    try:
        for packet in parse_rtcp_untrusted(data):
            packet.targets()
            packet.feedback_name()
            for block in packet.blocks:
                block.pack()
            map_ssrcs_untrusted(packet, lambda ssrc: ssrc ^ 1)
    except BadMedia:
        pass


TARGETS: dict[str, Callable[[bytes], None]] = {"stun": stun, "ice": ice, "rtp": rtp, "rtcp": rtcp}
