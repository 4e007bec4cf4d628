"""ControlChannel: RTCP of one endpoint, on the media port or on its own, checked by source like the media.

What happens to a compound that passed is carry.py's matter. RFC 3550 §11, RFC 5761.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.media.backend import Address, RemoteParameters
from appliance.media.carry import carry_untrusted
from appliance.rtc.errors import BadMedia

if TYPE_CHECKING:
    from appliance.media.endpoint import RelayEndpoint


class ControlChannel:
    def __init__(self, endpoint: RelayEndpoint) -> None:
        self._endpoint = endpoint
        self._remote: Address | None = None
        """Where RTCP goes on the second port."""
        self._settled = False
        self._left: Address | None = None
        """Where it came from before the SDP named another address."""
        self._moved_at = -1.0
        self.heard_at = -1.0
        """When the peer's last good compound came."""

    def set_remote(self, remote: RemoteParameters, before: RemoteParameters) -> None:
        if (remote.rtp, remote.rtcp) != (before.rtp, before.rtcp):
            self._left = None if self._remote == remote.rtcp else self._remote
            self._moved_at = self._endpoint.relay.clock()
            self._remote, self._settled = remote.rtcp, False

    def ready(self, now: float) -> None:
        """A datagram on the second port."""
        endpoint = self._endpoint
        control = endpoint.port.control
        if control is None:
            return
        try:
            size, source = control.recvfrom_into(endpoint.relay.buffer.view, 4096)
        except BlockingIOError:
            return
        except OSError:
            endpoint.drop("unreachable")
            return
        address: Address = (source[0], source[1])
        if not self._allowed(address, now):
            endpoint.refuse(address)
        elif self.receive_untrusted(size, now):
            self._remote, self._settled = address, True

    def _allowed(self, address: Address, now: float) -> bool:
        if self._settled:
            return address == self._remote
        if address == self._left and now - self._moved_at < self._endpoint.relay.options.relatch_s:
            return False  # the goodbye of the stream that was
        remote = self._endpoint.remote
        known = (remote.rtp, remote.rtcp, self._endpoint.port.remote)
        return address[0] in remote.latch_hosts or any(each is not None and each[0] == address[0] for each in known)

    def receive_untrusted(self, size: int, now: float) -> bool:
        """One RTCP datagram in the buffer, from an allowed source. True if it was authentic and well-formed."""
        endpoint = self._endpoint
        buffer = endpoint.relay.buffer
        try:
            size = endpoint.keys.unprotect_rtcp(buffer, size)
            carry_untrusted(endpoint, bytes(buffer.view[:size]), now)
        except BadMedia as error:
            endpoint.drop(error.cause)
            return False
        self.heard_at = now
        return True

    def send(self, data: bytes) -> None:
        """Protect where needed and send to the peer. Uses the relay's buffer."""
        endpoint = self._endpoint
        buffer, port = endpoint.relay.buffer, endpoint.port
        try:
            size = endpoint.keys.protect_rtcp(buffer, buffer.put(data))
        except BadMedia as error:
            endpoint.drop(error.cause)
            return
        packet = bytes(buffer.view[:size])
        if port.control is not None and endpoint.remote.rtcp is not None:
            sent = self._remote is not None and port.send_control_to(packet, self._remote)
        else:
            sent = port.remote is not None and port.send_to(packet, port.remote)
        if not sent:
            endpoint.drop("rtcp_unsent")
