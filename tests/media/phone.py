"""RtpPhone: a peer of the relay on real loopback sockets, plain or with SDES keys (by pylibsrtp itself)."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pylibsrtp
import trio

from appliance.media.backend import MediaEvent, RemoteParameters, SdesKey, StreamSpec
from appliance.media.endpoint import RelayEndpoint
from appliance.rtc.rtp import RtpPacket, build_rtp, parse_rtp_untrusted

PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AEAD_AES_128_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
}
KEY_LENGTH = {"AES_CM_128_HMAC_SHA1_80": 30, "AEAD_AES_128_GCM": 28}
PATIENCE_S = 60.0


def audio(index: int = 0, **changes: object) -> StreamSpec:
    settings: dict[str, object] = {"payload_types": {0: 8000, 8: 8000, 101: 8000}, "dtmf": frozenset({101})}
    return StreamSpec(index, "audio", **(settings | changes))  # type: ignore[arg-type]


class RtpPhone:
    """Sends and receives one stream. `send_key` and `receive_key` are the phone's own view."""

    def __init__(self, host: str = "127.0.0.1", suite: str | None = None) -> None:
        family = trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET
        self.host, self.family, self.suite = host, family, suite
        self.socket = trio.socket.socket(family, trio.socket.SOCK_DGRAM)
        self.control = trio.socket.socket(family, trio.socket.SOCK_DGRAM)
        self.sequence = 1000
        self.timestamp = 160_000
        self.ssrc = int.from_bytes(os.urandom(4), "big")
        self.sender = self.receiver = None
        if suite is not None:
            self.send_key = SdesKey(suite, os.urandom(KEY_LENGTH[suite]))
            self.receive_key = SdesKey(suite, os.urandom(KEY_LENGTH[suite]))
            self.sender = self._session(self.send_key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
            self.receiver = self._session(self.receive_key, pylibsrtp.Policy.SSRC_ANY_INBOUND)

    def _session(self, key: SdesKey, kind: int) -> pylibsrtp.Session:
        return pylibsrtp.Session(pylibsrtp.Policy(key=key.key_salt, ssrc_type=kind, srtp_profile=PROFILES[key.suite]))

    @property
    def address(self) -> tuple[str, int]:
        return self.socket.getsockname()[:2]

    @property
    def control_address(self) -> tuple[str, int]:
        return self.control.getsockname()[:2]

    def remote(self, *, mux: bool = True) -> RemoteParameters:
        """What this phone's SDP would say."""
        sdes = {}
        if self.suite is not None:
            sdes = {"sdes_send": self.receive_key, "sdes_receive": self.send_key}
        return RemoteParameters(rtp=self.address, rtcp=None if mux else self.control_address, **sdes)

    def packet(self, payload: bytes = b"\xd5" * 160, payload_type: int = 0, **more: object) -> bytes:
        self.sequence += 1
        self.timestamp += 160
        return build_rtp(payload_type, self.sequence, self.timestamp, self.ssrc, payload, **more)  # type: ignore[arg-type]

    def protected(self, packet: bytes) -> bytes:
        return packet if self.sender is None else self.sender.protect(packet)

    async def send(self, endpoint: RelayEndpoint, packet: bytes) -> None:
        local = endpoint.local
        await self.socket.sendto(self.protected(packet), (local.host, local.rtp_port))

    async def send_raw(self, endpoint: RelayEndpoint, data: bytes) -> None:
        local = endpoint.local
        await self.socket.sendto(data, (local.host, local.rtp_port))

    async def receive_raw(self) -> bytes:
        with trio.fail_after(PATIENCE_S):
            return (await self.socket.recvfrom(4096))[0]

    async def receive(self) -> RtpPacket:
        data = await self.receive_raw()
        return parse_rtp_untrusted(data if self.receiver is None else self.receiver.unprotect(data))

    async def send_rtcp(self, endpoint: RelayEndpoint, data: bytes, *, mux: bool = True) -> None:
        data = data if self.sender is None else self.sender.protect_rtcp(data)
        local = endpoint.local
        if mux:
            await self.socket.sendto(data, (local.host, local.rtp_port))
        else:
            assert local.rtcp_port is not None
            await self.control.sendto(data, (local.host, local.rtcp_port))

    async def receive_rtcp(self, *, mux: bool = True) -> bytes:
        with trio.fail_after(PATIENCE_S):
            data = (await (self.socket if mux else self.control).recvfrom(4096))[0]
        return data if self.receiver is None else self.receiver.unprotect_rtcp(data)


@asynccontextmanager
async def open_phone(host: str = "127.0.0.1", suite: str | None = None) -> AsyncIterator[RtpPhone]:
    phone = RtpPhone(host, suite)
    with phone.socket, phone.control:
        await phone.socket.bind((host, 0))
        await phone.control.bind((host, 0))
        yield phone


class Events(list[MediaEvent]):
    """What an endpoint told."""

    def __call__(self, event: MediaEvent) -> None:
        self.append(event)

    def kinds(self) -> list[str]:
        return [event.kind.value for event in self]


async def until_dropped(endpoint: RelayEndpoint, cause: str, count: int = 1) -> None:
    with trio.fail_after(PATIENCE_S):
        while endpoint.stats().drops.get(cause, 0) < count:  # noqa: ASYNC110 - the endpoint offers no event
            await trio.sleep(0.005)
