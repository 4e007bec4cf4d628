"""The transport part of an m-line: addresses, ICE, DTLS fingerprints, SDES keys, rtcp-mux. Read and written here.

`read_transport` says what a peer's m-line means, `LocalTransport.fields` what ours says. ICE is lite: host
candidates and nothing to check (RFC 8445 §2.5, RFC 8839), DTLS-SRTP as in RFC 5763 and 5764, a=setup as in RFC
8842, fingerprints as in RFC 8122, a=rtcp as in RFC 3605, rtcp-mux as in RFC 5761.
"""

import ipaddress
import re
from collections.abc import Iterable
from enum import Enum

from attrs import field, frozen

from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import Field, Media, Session, attribute, malformed
from appliance.rtc.sdp_crypto import Crypto, cryptos_of

Address = tuple[str, int]

HOST_PRIORITY = (126 << 24) | (65_535 << 8) | 255
"""RFC 8445 §5.1.2.1: type preference 126 (host), one address, component 1."""

DIGEST_BYTES = {"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}

TRANSPORT_ATTRIBUTES = frozenset(
    [
        "acap",
        "acfg",
        "bundle-only",
        "candidate",
        "connection",
        "creq",
        "crypto",
        "csup",
        "dtls-id",
        "end-of-candidates",
        "fingerprint",
        "ice-lite",
        "ice-mismatch",
        "ice-options",
        "ice-pacing",
        "ice-pwd",
        "ice-ufrag",
        "key-mgmt",
        "mid",
        "pcfg",
        "remote-candidates",
        "rtcp",
        "rtcp-mux",
        "rtcp-mux-only",
        "setup",
        "tcap",
        "tls-id",
        "zrtp-hash",
    ]
)
"""What belongs to one leg's transport and is never copied to the other leg."""

_ICE_CHARS = re.compile(r"[A-Za-z0-9+/]{4,256}\Z")
_MAX_CANDIDATES = 64


class TransportKind(Enum):
    RTP = "RTP"
    SDES = "SDES"
    WEBRTC = "WEBRTC"
    """DTLS-SRTP, with ICE or, from a plain phone that does DTLS, without."""


@frozen
class PeerTransport:
    """What the peer's m-line says. `rtp` is None for 0.0.0.0 and for an ICE peer's placeholder; `held` marks
    0.0.0.0 without ICE. `rtcp` is where its RTCP goes unless both sides multiplex."""

    kind: TransportKind
    rtp: Address | None
    rtcp: Address | None
    held: bool
    mux: bool
    mid: str | None
    ice_ufrag: str | None = None
    ice_pwd: str | None = field(default=None, repr=False)
    ice_lite: bool = False
    candidates: tuple[Address, ...] = ()
    fingerprints: tuple[tuple[str, bytes], ...] = ()
    setup: str | None = None
    cryptos: tuple[Crypto, ...] = ()

    @property
    def has_ice(self) -> bool:
        return self.ice_ufrag is not None and self.ice_pwd is not None


@frozen
class LocalTransport:
    """What our m-line says. `host` is the address to advertise; `mux` puts a=rtcp-mux there."""

    kind: TransportKind
    protocol: str
    host: str
    rtp_port: int
    rtcp_port: int | None = None
    mux: bool = False
    mid: str | None = None
    ice_ufrag: str | None = None
    ice_pwd: str | None = field(default=None, repr=False)
    fingerprint: str | None = None
    setup: str | None = None
    cryptos: tuple[Crypto, ...] = ()

    def fields(self) -> list[Field]:
        lines: list[Field] = []
        if self.mid is not None:
            lines.append(attribute("mid", self.mid))
        if self.ice_ufrag is not None:
            lines.append(attribute("ice-ufrag", self.ice_ufrag))
            lines.append(attribute("ice-pwd", self.ice_pwd or ""))
        if self.fingerprint is not None:
            lines.append(attribute("fingerprint", self.fingerprint))
        if self.setup is not None:
            lines.append(attribute("setup", self.setup))
        lines.extend(crypto.line for crypto in self.cryptos)
        if self.mux:
            lines.append(attribute("rtcp-mux"))
        elif self.rtcp_port is not None and self.rtcp_port != self.rtp_port + 1:
            lines.append(attribute("rtcp", str(self.rtcp_port)))
        if self.ice_ufrag is not None:
            lines.append(attribute("candidate", f"1 1 udp {HOST_PRIORITY} {self.host} {self.rtp_port} typ host"))
            lines.append(attribute("end-of-candidates"))
        return lines


def connection_field(host: str) -> Field:
    return Field("c", f"IN {'IP6' if ':' in host else 'IP4'} {host}")


def kind_of(session: Session, media: Media) -> TransportKind | None:
    """By protocol, and for RTP/SAVP(F) by what keys stand there; None for anything that is not RTP."""
    protocol = media.protocol.upper()
    if protocol in ("RTP/AVP", "RTP/AVPF"):
        return TransportKind.RTP
    if protocol in ("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF"):
        return TransportKind.WEBRTC
    if protocol in ("RTP/SAVP", "RTP/SAVPF"):
        # Browsers of old offered DTLS-SRTP under RTP/SAVPF (RFC 5763 was not yet strict about it).
        keyed_by_dtls = session.attribute_of(media, "fingerprint") is not None
        return TransportKind.WEBRTC if keyed_by_dtls else TransportKind.SDES
    return None


def read_transport(session: Session, media: Media, shared: Media | None = None) -> PeerTransport:
    """`shared` is the m-line whose transport this one shares by BUNDLE: what is missing here is taken there.

    Raises BadMedia: status 400 for what cannot be read, 488 for what cannot be used (no fingerprint, no key, a
    host name for an address).
    """
    kind = kind_of(session, media)
    if kind is None:
        raise BadMedia("sdp-protocol", f"m={media.kind} uses {media.protocol}, which cannot be carried")

    def value(name: str) -> str | None:
        own = media.attribute(name)
        if own is None and shared is not None:
            own = shared.attribute(name)
        return own if own is not None else session.attribute(name)

    host = _connection_host(session, media)
    webrtc = kind is TransportKind.WEBRTC
    ufrag, pwd = (value("ice-ufrag"), value("ice-pwd")) if webrtc else (None, None)
    if ufrag is not None and pwd is not None and not (_ICE_CHARS.match(ufrag) and _ICE_CHARS.match(pwd)):
        raise malformed(f"a=ice-ufrag or a=ice-pwd of m={media.kind} is malformed")
    has_ice = ufrag is not None and pwd is not None
    unspecified = ipaddress.ip_address(host).is_unspecified
    rtp = None if unspecified or media.port == 0 else (host, media.port)
    fingerprints: tuple[tuple[str, bytes], ...] = ()
    if webrtc:
        own = media.has("fingerprint")
        holder = media if own else shared if shared is not None and shared.has("fingerprint") else session
        fingerprints = _fingerprints(holder.attributes("fingerprint"), media)
    cryptos = cryptos_of(media) if kind is TransportKind.SDES else ()
    if kind is TransportKind.SDES and not cryptos:
        raise BadMedia("sdp-crypto", f"no usable a=crypto under m={media.kind} {media.protocol}")
    return PeerTransport(
        kind=kind,
        rtp=rtp,
        rtcp=_rtcp_address(media, rtp),
        held=unspecified and not has_ice,
        mux=media.has("rtcp-mux") or media.has("rtcp-mux-only") or (shared is not None and webrtc),
        mid=media.attribute("mid"),
        ice_ufrag=ufrag if has_ice else None,
        ice_pwd=pwd if has_ice else None,
        ice_lite=session.has("ice-lite"),
        candidates=_candidates(media, shared) if has_ice else (),
        fingerprints=fingerprints,
        setup=_setup(value("setup"), media) if webrtc else None,
        cryptos=cryptos,
    )


def _connection_host(session: Session, media: Media) -> str:
    connection = session.connection_of(media)
    if connection is None:
        raise malformed(f"m={media.kind} has no c= line, nor has the session")
    host = connection.split()[2].partition("/")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise BadMedia("sdp-address", f"c= of m={media.kind} is no IP address: {host[:60]!a}") from None
    if address.is_multicast:
        raise BadMedia("sdp-address", f"c= of m={media.kind} is a multicast address, which is not carried")
    return host


def _rtcp_address(media: Media, rtp: Address | None) -> Address | None:
    if rtp is None:
        return None
    words = (media.attribute("rtcp") or "").split()
    if not words:
        return (rtp[0], rtp[1] + 1) if rtp[1] < 65_535 else None
    if not words[0].isdecimal() or len(words[0]) > 5 or not 0 < int(words[0]) < 65_536:
        raise malformed(f"a=rtcp of m={media.kind} has no port")
    host = words[3] if len(words) == 4 else rtp[0]
    try:
        usable = not ipaddress.ip_address(host).is_unspecified
    except ValueError:
        usable = False
    return (host if usable else rtp[0], int(words[0]))


def _fingerprints(values: Iterable[str], media: Media) -> tuple[tuple[str, bytes], ...]:
    found = []
    for value in values:
        algorithm, _, digest = value.partition(" ")
        algorithm = algorithm.lower()
        if algorithm not in DIGEST_BYTES:
            continue
        try:
            raw = bytes.fromhex(digest.strip().replace(":", ""))
        except ValueError:
            raise malformed(f"a=fingerprint of m={media.kind} is not hexadecimal") from None
        if len(raw) != DIGEST_BYTES[algorithm]:
            raise malformed(f"a=fingerprint of m={media.kind} has {len(raw)} bytes for {algorithm}")
        found.append((algorithm, raw))
    if not found:
        raise BadMedia("sdp-fingerprint", f"no usable a=fingerprint for m={media.kind} {media.protocol}")
    return tuple(found)


def _setup(value: str | None, media: Media) -> str | None:
    if value is not None and value not in ("actpass", "active", "passive", "holdconn"):
        raise malformed(f"a=setup of m={media.kind} is {value[:20]!a}")
    return value


def _candidates(media: Media, shared: Media | None) -> tuple[Address, ...]:
    """UDP candidates of component 1 with literal addresses; mDNS names and TCP are left to the checks that come
    from there."""
    source = media if shared is None or media.has("candidate") else shared
    found: list[Address] = []
    for value in source.attributes("candidate"):
        words = value.split()
        if len(words) < 8 or words[1] != "1" or words[2].lower() != "udp" or not words[5].isdecimal():
            continue
        try:
            ipaddress.ip_address(words[4])
        except ValueError:
            continue
        if len(words[5]) <= 5 and 0 < int(words[5]) < 65_536:
            found.append((words[4], int(words[5])))
        if len(found) == _MAX_CANDIDATES:
            break
    return tuple(found)
