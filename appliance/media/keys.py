"""TransportKeys: the SRTP contexts of one endpoint, from SDES or DTLS, and what is protected with them slowly.

The packet path reads `unprotect` and `protect`, libsrtp's handles; None means that there is no key (yet).
RFC 3711, 4568, 5764.
"""

from typing import Any

from appliance.media.backend import RemoteParameters
from appliance.rtc.errors import BadMedia
from appliance.rtc.srtp import PacketBuffer, SrtpContext, SrtpKeys, profile_of_suite


class TransportKeys:
    __slots__ = ("_receive", "current", "protect", "required", "sender", "unprotect")

    def __init__(self, *, required: bool) -> None:
        self.required = required
        """False on a plain RTP leg, where everything passes as it is."""
        self.current: SrtpKeys | None = None
        self.unprotect: Any = None
        self.protect: Any = None
        self._receive: SrtpContext | None = None
        self.sender: SrtpContext | None = None

    @property
    def may_send(self) -> bool:
        return not self.required or self.protect is not None

    def take(self, keys: SrtpKeys | None) -> bool:
        """New contexts, but only for what changed: a context in use must keep its packet index. False if nothing
        did."""
        before = self.current
        if keys == before:
            return False
        self.current = keys
        if keys is None:
            self._receive = self.sender = None
        else:
            receive, send = keys.contexts()
            if before is None or (before.profile, before.receive) != (keys.profile, keys.receive):
                self._receive = receive
            if before is None or (before.profile, before.send) != (keys.profile, keys.send):
                self.sender = send
        self.unprotect = self._receive.handle if self._receive else None
        self.protect = self.sender.handle if self.sender else None
        return True

    def unprotect_rtcp(self, buffer: PacketBuffer, size: int) -> int:
        """Raises BadMedia."""
        if not self.required:
            return size
        if self._receive is None:
            raise BadMedia("srtp_no_key")
        return self._receive.unprotect_rtcp(buffer, size)

    def protect_rtcp(self, buffer: PacketBuffer, size: int) -> int:
        """Raises BadMedia."""
        if not self.required:
            return size
        if self.sender is None:
            raise BadMedia("srtp_no_key")
        return self.sender.protect_rtcp(buffer, size)

    def protect_rtp(self, buffer: PacketBuffer, size: int) -> int:
        """Raises BadMedia."""
        if not self.required:
            return size
        if self.sender is None:
            raise BadMedia("srtp_no_key")
        return self.sender.protect(buffer, size)


def sdes_keys(remote: RemoteParameters) -> SrtpKeys | None:
    """The keys of both a=crypto lines, None while one is missing. Raises BadMedia."""
    send, receive = remote.sdes_send, remote.sdes_receive
    if send is None or receive is None:
        return None
    if send.suite != receive.suite:
        raise BadMedia("srtp_suite", f"SDES suites differ: {send.suite} and {receive.suite}")
    profile = profile_of_suite(receive.suite, receive.key_salt)
    profile_of_suite(send.suite, send.key_salt)
    return SrtpKeys(profile, send.key_salt, receive.key_salt)
