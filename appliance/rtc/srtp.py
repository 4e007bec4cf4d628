"""SRTP contexts on libsrtp (RFC 3711, 7714): keys from SDP (RFC 4568) or from DTLS (RFC 5764).

Works in place on one PacketBuffer, without pylibsrtp's copying wrapper: the relay receives into the buffer,
calls `srtp_unprotect` on a context's `handle` and sends from the same bytes. Who may call with which
packet is not decided here. Keys never show in a repr.
"""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from pylibsrtp._binding import ffi, lib

from appliance.rtc.errors import BadMedia

srtp_protect: Any = lib.srtp_protect
"""(handle, buffer.cdata, buffer.length) → status; for the packet path, which has no time for a method."""
srtp_unprotect: Any = lib.srtp_unprotect

CAPACITY = 4096
TRAILER = 160
"""SRTP_MAX_TRAILER_LEN and the SRTCP index, rounded up."""
REPLAY_WINDOW = 1024
"""Video with retransmissions needs far more than the 64 of RFC 3711 §3.3.2."""

CAUSES = {7: "srtp_auth", 9: "srtp_replay", 10: "srtp_replay", 13: "srtp_no_key", 21: "malformed"}
"""libsrtp's status to the cause that a dropped packet is counted by."""


@frozen
class SrtpProfile:
    """`name` as DTLS has it (RFC 5764 §4.1.2), `suite` as SDP has it (RFC 4568 §6.2, RFC 7714 §14)."""

    name: str
    suite: str
    key_length: int
    salt_length: int
    number: int


AES128_CM_SHA1_80 = SrtpProfile(
    "SRTP_AES128_CM_SHA1_80", "AES_CM_128_HMAC_SHA1_80", 16, 14, lib.srtp_profile_aes128_cm_sha1_80
)
AEAD_AES_128_GCM = SrtpProfile("SRTP_AEAD_AES_128_GCM", "AEAD_AES_128_GCM", 16, 12, lib.srtp_profile_aead_aes_128_gcm)
PROFILES = (AEAD_AES_128_GCM, AES128_CM_SHA1_80)
"""Preferred first."""
BY_SUITE: Mapping[str, SrtpProfile] = {profile.suite: profile for profile in PROFILES}
BY_NAME: Mapping[str, SrtpProfile] = {profile.name: profile for profile in PROFILES}


class PacketBuffer:
    """Memory that packets are received into, transformed in and sent from. `length` is libsrtp's in-out
    length."""

    __slots__ = ("cdata", "length", "view")

    def __init__(self) -> None:
        self.cdata: Any = ffi.new("unsigned char[]", CAPACITY + TRAILER)
        self.length: Any = ffi.new("int *")
        self.view = memoryview(ffi.buffer(self.cdata))

    def put(self, packet: bytes) -> int:
        size = len(packet)
        if size > CAPACITY:
            raise BadMedia("malformed", f"packet of {size} bytes")
        self.view[:size] = packet
        return size


def profile_of_suite(suite: str, key_salt: bytes) -> SrtpProfile:
    """Raises BadMedia for a suite that is not ours or a key of the wrong length."""
    profile = BY_SUITE.get(suite)
    if profile is None:
        raise BadMedia("srtp_suite", f"SRTP suite {suite} is not known")
    wanted = profile.key_length + profile.salt_length
    if len(key_salt) != wanted:
        raise BadMedia("srtp_key", f"{suite} needs {wanted} bytes of key and salt, not {len(key_salt)}")
    return profile


class SrtpContext:
    """One direction of one transport, for any number of SSRCs.

    `handle` is the srtp_t for `srtp_protect` and `srtp_unprotect`. The slow methods return the new length
    and raise BadMedia with the cause to count by.
    """

    __slots__ = ("_owner", "handle", "profile")

    def __init__(self, profile: SrtpProfile, key_salt: bytes, *, inbound: bool) -> None:
        self.profile = profile
        policy = ffi.new("srtp_policy_t *")
        _check(lib.srtp_crypto_policy_set_from_profile_for_rtp(ffi.addressof(policy.rtp), profile.number))
        _check(lib.srtp_crypto_policy_set_from_profile_for_rtcp(ffi.addressof(policy.rtcp), profile.number))
        key = ffi.new("unsigned char[]", key_salt)
        policy.key = key
        policy.ssrc.type = lib.ssrc_any_inbound if inbound else lib.ssrc_any_outbound
        policy.window_size = REPLAY_WINDOW
        # We carry what the far sender sent; a packet that it sent twice goes out twice.
        policy.allow_repeat_tx = 1
        owner = ffi.new("srtp_t *")
        _check(lib.srtp_create(owner, policy))
        self._owner: Any = ffi.gc(owner, _dealloc)
        self.handle: Any = owner[0]

    def protect(self, buffer: PacketBuffer, size: int) -> int:
        return self._transform(lib.srtp_protect, buffer, size)

    def unprotect(self, buffer: PacketBuffer, size: int) -> int:
        return self._transform(lib.srtp_unprotect, buffer, size)

    def protect_rtcp(self, buffer: PacketBuffer, size: int) -> int:
        return self._transform(lib.srtp_protect_rtcp, buffer, size)

    def unprotect_rtcp(self, buffer: PacketBuffer, size: int) -> int:
        return self._transform(lib.srtp_unprotect_rtcp, buffer, size)

    def _transform(self, function: Any, buffer: PacketBuffer, size: int) -> int:
        buffer.length[0] = size
        status = function(self.handle, buffer.cdata, buffer.length)
        if status:
            raise BadMedia(CAUSES.get(status, "srtp_other"), f"libsrtp status {status}")
        return int(buffer.length[0])


@frozen
class SrtpKeys:
    """Both directions of one transport."""

    profile: SrtpProfile
    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)

    def contexts(self) -> tuple[SrtpContext, SrtpContext]:
        """(receive, send)."""
        return (
            SrtpContext(self.profile, self.receive, inbound=True),
            SrtpContext(self.profile, self.send, inbound=False),
        )


def keys_from_exporter(profile: SrtpProfile, material: bytes, *, client: bool) -> SrtpKeys:
    """RFC 5764 §4.2: client key, server key, client salt, server salt. `client` says that we are the DTLS
    client."""
    key, salt = profile.key_length, profile.salt_length
    client_key, server_key = material[:key], material[key : 2 * key]
    client_salt, server_salt = material[2 * key : 2 * key + salt], material[2 * key + salt : 2 * (key + salt)]
    ours, theirs = client_key + client_salt, server_key + server_salt
    return SrtpKeys(profile, ours, theirs) if client else SrtpKeys(profile, theirs, ours)


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"libsrtp refused a policy: status {status}")


def _dealloc(owner: Any) -> None:
    lib.srtp_dealloc(owner[0])
