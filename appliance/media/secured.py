"""SecuredLeg: ICE-lite and DTLS of one WebRTC endpoint, joined to its sockets and its timeline.

A validated check makes an address speakable, a nomination makes it the peer, the handshake's keys make
media flow. DTLS that comes before the peer's SDP has settled role and fingerprint is held, and only from
validated addresses. RFC 8445 (lite), 5763, 5764 §5.1.1, 7675, 8842 (when a new association is due).
"""

from __future__ import annotations

from collections import deque
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from appliance.media.backend import Address, DtlsRole, EventKind, RemoteParameters
from appliance.media.silence import show
from appliance.rtc.dtls import HELD, DtlsSession, DtlsState
from appliance.rtc.errors import BadMedia
from appliance.rtc.ice import IceLite

if TYPE_CHECKING:
    from appliance.media.endpoint import RelayEndpoint


class SecuredLeg:
    def __init__(self, endpoint: RelayEndpoint) -> None:
        self._endpoint = endpoint
        self.ice = IceLite(*new_credentials())
        self.ice_state = "waiting"
        self.dtls_state = "waiting"
        self._dtls: DtlsSession | None = None
        self._failure: str | None = None
        self._agreed: tuple[object, ...] = ()
        """Role and fingerprints of the association that stands or is under way."""
        self._source: Address | None = None
        """Where the peer's DTLS comes from, which may be before a pair is nominated."""
        self._held: deque[tuple[bytes, Address]] = deque(maxlen=HELD)

    def set_remote(self, remote: RemoteParameters, now: float) -> None:
        self.ice.set_remote(remote.ice_ufrag)
        if remote.ice_lite and remote.rtp is not None:
            self._endpoint.settle(remote.rtp)
            self.ice_state = "connected"
            self._endpoint.step("both sides are ICE-lite: the address of the SDP is taken as it is")
        self._begin(now)

    def restart_ice(self, now: float) -> None:
        self.ice.restart(*new_credentials())
        self._endpoint.step("ICE restarts with new credentials")

    def take_untrusted(self, data: bytes, source: Address, now: float) -> None:
        """A datagram that is not RTP or RTCP. Drops are counted; never raises BadMedia."""
        first = data[0] if data else 255
        try:
            if first < 4:
                self._on_stun(data, source, now)
            elif 20 <= first <= 63:
                self._on_dtls(data, source, now)
            else:
                self._endpoint.drop("malformed")
        except BadMedia as error:
            self._endpoint.drop(error.cause)

    def _on_stun(self, data: bytes, source: Address, now: float) -> None:
        result = self.ice.receive_untrusted(data, source, now)
        endpoint = self._endpoint
        if result.reply is not None:
            endpoint.port.send_to(result.reply, source)
        if result.sentence is not None and not result.selected:
            endpoint.step(result.sentence)
        if result.validated and endpoint.port.remote is None:
            # A browser may take its time to nominate; the first address that proved itself does until then.
            endpoint.settle(source)
        if result.selected:
            self.ice_state = "connected"
            endpoint.settle(source)
            endpoint.tell(EventKind.ICE_CONNECTED, result.sentence or "ICE connected")
        if result.validated or result.selected:
            self._begin(now)

    def _on_dtls(self, data: bytes, source: Address, now: float) -> None:
        if not self.ice.validated(source) and source != self._endpoint.port.remote:
            raise BadMedia("dtls_not_validated")
        if self._dtls is None:
            if not self._held:
                self._endpoint.step("DTLS came before the peer's SDP: held")
            self._held.append((data, source))
            return
        self._feed(data, source, now)

    def _feed(self, data: bytes, source: Address, now: float) -> None:
        dtls = self._dtls
        assert dtls is not None
        if dtls.datagrams_in == 0:
            self._endpoint.step("first DTLS from the peer")
        self.dtls_state = "handshaking" if dtls.state is DtlsState.HANDSHAKING else self.dtls_state
        dtls.receive_untrusted(data, now)
        self._source = source
        self._after()

    def _begin(self, now: float) -> None:
        """Start the association when role, fingerprint and (to send first) an address are known."""
        remote = self._endpoint.remote
        if remote.dtls_role is None or not remote.fingerprints:
            return
        agreed = (remote.dtls_role, remote.fingerprints)
        if agreed != self._agreed:
            if self._dtls is not None:
                self._endpoint.step("the peer's SDP calls for a new DTLS association")
                self._endpoint.take_keys(None)
            self._agreed = agreed
            self._dtls = None
            self._failure = None
            self.dtls_state = "waiting"
        client = remote.dtls_role is DtlsRole.CLIENT
        address = self._endpoint.port.remote
        if self._dtls is not None or (client and address is None):
            return
        self._dtls = DtlsSession(
            self._endpoint.relay.identity,
            client=client,
            fingerprints=[(each.algorithm, each.value) for each in remote.fingerprints],
            now=now,
        )
        self._endpoint.relay.pace(self._poll)
        if client and address is not None:
            self._endpoint.step(f"DTLS ClientHello sent to {show(address)}")
            self.dtls_state = "handshaking"
            self._dtls.start(now)
            self._after()
        while self._held and self._dtls is not None:
            data, source = self._held.popleft()
            self._feed(data, source, now)

    def _poll(self, now: float) -> None:
        """DTLS retransmissions, while a handshake is under way."""
        if self._dtls is None or self._endpoint.closed:
            self._endpoint.relay.unpace(self._poll)
            return
        self._dtls.poll(now)
        self._after()

    def _after(self) -> None:
        """Send what the handshake has to say, and notice its end."""
        dtls, endpoint = self._dtls, self._endpoint
        assert dtls is not None
        to = endpoint.port.remote or self._source
        for datagram in dtls.take_datagrams():
            if to is not None:
                endpoint.port.send_to(datagram, to)
        if dtls.state is DtlsState.HANDSHAKING or dtls.state.value == self.dtls_state:
            return
        endpoint.relay.unpace(self._poll)
        self.dtls_state = dtls.state.value
        if dtls.state is DtlsState.CONNECTED and dtls.keys is not None:
            endpoint.take_keys(dtls.keys)
            endpoint.tell(EventKind.DTLS_CONNECTED, f"DTLS is up, media by {dtls.keys.profile.suite}")
        else:
            self._failure = dtls.failure
            endpoint.take_keys(None)
            endpoint.tell(EventKind.DTLS_FAILED, dtls.failure or "DTLS failed")

    def close(self) -> None:
        """Say goodbye, as far as there is somebody to say it to."""
        self._endpoint.relay.unpace(self._poll)
        if self._dtls is not None:
            self._dtls.close()
            for datagram in self._dtls.take_datagrams():
                if self._endpoint.port.remote is not None:
                    self._endpoint.port.send_to(datagram, self._endpoint.port.remote)

    def tick(self, now: float) -> None:
        if self.ice_state != "connected" or self._endpoint.remote.ice_lite:
            return
        limit = self._endpoint.relay.options.consent_s
        heard = self._endpoint.last_heard()
        if self.ice.heard_within(limit, now) or (heard is not None and now - heard < limit):
            return
        self.ice_state = "lost"
        self._endpoint.port.disconnect()
        self._endpoint.preset()
        self.ice.selected = None
        self._endpoint.tell(EventKind.ICE_LOST, f"no ICE check and no media from the peer for {limit:.0f} s")

    def why_mute(self) -> str | None:
        """The step that is missing, or None where everything stands."""
        ice = self.ice
        local = self._endpoint.port
        if self.ice_state == "waiting":
            if ice.refused and not ice.checks:
                return f"{ice.refused} ICE checks came with wrong credentials, none with the right ones"
            if not ice.checks:
                return f"no ICE check ever came to {local.host}:{local.port}"
            return "ICE checks came, but the peer has nominated no pair"
        if self.ice_state == "lost":
            return "ICE was connected and the peer went away"
        if self._failure is not None:
            return self._failure
        if self._dtls is None:
            return "the peer's SDP gave no DTLS role and fingerprint to start with"
        if self.dtls_state != "connected":
            return "ICE is connected, but the DTLS handshake has not ended"
        return None


def new_credentials() -> tuple[str, str]:
    """ufrag and password of ICE characters (RFC 8445 §5.3 wants at least 24 and 128 bits of randomness)."""
    return _ice_chars(6), _ice_chars(18)


def _ice_chars(count: int) -> str:
    # RFC 8445's ice-char is ALPHA / DIGIT / "+" / "/".
    return token_urlsafe(count).replace("-", "+").replace("_", "/")
