"""DTLS-SRTP without a socket: one handshake on pyOpenSSL's memory BIOs, and the SRTP keys that come out of
it.

Datagrams and the time go in, datagrams go out. The certificate's chain means nothing here; its fingerprint
must be one that the peer's SDP names, or no key leaves this module. HelloVerify cookies are left out: a
ClientHello counts only from an address that ICE has validated, which proves more. RFC 5763, 5764, 6347,
8122, 8842.
"""

import datetime
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from appliance.rtc.srtp import BY_NAME, PROFILES, SrtpKeys, keys_from_exporter

MTU = 1200
EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"
HASHES: Mapping[str, type[hashes.HashAlgorithm]] = {
    "sha-1": hashes.SHA1,
    "sha-256": hashes.SHA256,
    "sha-384": hashes.SHA384,
    "sha-512": hashes.SHA512,
}
STRENGTH = ("sha-512", "sha-384", "sha-256", "sha-1")
HANDSHAKE_S = 30.0
HELD = 8
"""Datagrams kept while the peer's SDP has not come yet."""
RECORD_HEAD = 13
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL"


@frozen(repr=False)
class DtlsIdentity:
    """One key and self-signed certificate, with the two contexts that hold it. Made at start, kept for the
    process."""

    certificate: x509.Certificate
    _context: SSL.Context

    @classmethod
    def generate(cls) -> "DtlsIdentity":
        """ECDSA P-256 (RFC 8827 §6.5), valid from yesterday for a year."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jackfield")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=365))
            .sign(key, hashes.SHA256())
        )
        return cls.load(certificate, key)

    @classmethod
    def load(cls, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> "DtlsIdentity":
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _accept_any_chain)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        context.set_cipher_list(CIPHERS)
        context.set_tlsext_use_srtp(":".join(profile.name for profile in PROFILES).encode())
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION)
        return cls(certificate, context)

    def fingerprint(self, algorithm: str) -> bytes:
        """Of our certificate; algorithm as in SDP ("sha-256")."""
        return self.certificate.fingerprint(HASHES[algorithm]())

    def connection(self) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_ciphertext_mtu(MTU)
        return connection

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


class DtlsState(Enum):
    HANDSHAKING = "handshaking"
    CONNECTED = "connected"
    FAILED = "failed"


class DtlsSession:
    """One association. `client` is OUR role; `fingerprints` are (algorithm, digest) of the peer's SDP.

    Call `start`, then `receive_untrusted` per datagram and `poll` when `due` has come; after each, send what
    `take_datagrams` returns. `keys` are there when the state is CONNECTED; `failure` says why it is FAILED.
    """

    def __init__(
        self, identity: DtlsIdentity, *, client: bool, fingerprints: Sequence[tuple[str, bytes]], now: float
    ) -> None:
        self.state = DtlsState.HANDSHAKING
        self.client = client
        self.keys: SrtpKeys | None = None
        self.failure: str | None = None
        self.datagrams_in = 0
        self._fingerprints = tuple(fingerprints)
        self._connection = identity.connection()
        self._out: list[bytes] = []
        self._deadline = now + HANDSHAKE_S
        if client:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()

    def start(self, now: float) -> None:
        """Send the ClientHello, where we are the client."""
        if self.client:
            self._advance(now)

    def receive_untrusted(self, data: bytes, now: float) -> None:
        """Never raises: what is wrong with a datagram is OpenSSL's to ignore or ours to fail by."""
        if self.state is DtlsState.FAILED:
            return
        self.datagrams_in += 1
        self._connection.bio_write(data)
        if self.state is DtlsState.HANDSHAKING:
            self._advance(now)
        else:
            self._read_on()

    def poll(self, now: float) -> None:
        """Retransmit what is due (RFC 6347 §4.2.4), give up after HANDSHAKE_S."""
        if self.state is not DtlsState.HANDSHAKING:
            return
        if now >= self._deadline:
            self._fail("the DTLS handshake did not end in time" if self.datagrams_in else self._nobody())
            return
        timeout = self._connection.DTLSv1_get_timeout()
        if timeout is not None and timeout <= 0:
            try:
                self._connection.DTLSv1_handle_timeout()
            except SSL.Error as error:
                self._fail(f"the DTLS handshake failed: {_reason(error)}")
            self._flush()

    def _nobody(self) -> str:
        return "no DTLS came" if not self.client else "the peer never answered our DTLS ClientHello"

    def take_datagrams(self) -> list[bytes]:
        out, self._out = self._out, []
        return out

    def close(self) -> None:
        """Queue a close_notify."""
        if self.state is DtlsState.CONNECTED:
            try:
                self._connection.shutdown()
            except SSL.Error:
                pass
            self._flush()

    def _advance(self, now: float) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self._flush()
            self._fail(f"the DTLS handshake failed: {_reason(error)}")
            return
        else:
            self._finish()
        self._flush()

    def _finish(self) -> None:
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            self._fail("the peer showed no certificate")
            return
        if not matches(certificate, self._fingerprints):
            self._fail("the peer's certificate is not the one whose fingerprint its SDP gives")
            return
        name = self._connection.get_selected_srtp_profile().decode()
        profile = BY_NAME.get(name)
        if profile is None:
            self._fail("the peer shares no SRTP profile with us")
            return
        size = 2 * (profile.key_length + profile.salt_length)
        material = self._connection.export_keying_material(EXPORTER_LABEL, size)
        self.keys = keys_from_exporter(profile, material, client=self.client)
        self.state = DtlsState.CONNECTED

    def _read_on(self) -> None:
        """After the handshake only retransmitted flights and alerts come; OpenSSL answers them while
        reading."""
        try:
            for _ in range(16):
                self._connection.recv(4096)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            pass
        except SSL.Error:
            pass
        self._flush()

    def _fail(self, sentence: str) -> None:
        self.state, self.failure, self.keys = DtlsState.FAILED, sentence, None

    def _flush(self) -> None:
        while True:
            try:
                data = self._connection.bio_read(65536)
            except SSL.Error:
                return
            self._out.extend(pack_records(data))


def pack_records(data: bytes) -> list[bytes]:
    """DTLS records (RFC 6347 §4.1) gathered into datagrams of at most MTU bytes: a memory BIO forgets the
    borders."""
    datagrams: list[bytes] = []
    at = start = 0
    while at + RECORD_HEAD <= len(data):
        end = at + RECORD_HEAD + int.from_bytes(data[at + 11 : at + 13], "big")
        if end - start > MTU and at > start:
            datagrams.append(data[start:at])
            start = at
        at = end
    if start < len(data):
        datagrams.append(data[start:])
    return datagrams


def matches(certificate: x509.Certificate, fingerprints: Sequence[tuple[str, bytes]]) -> bool:
    """RFC 8122 §5: of the strongest hash that the SDP offers and we know, one fingerprint must match."""
    for algorithm in STRENGTH:
        offered = [value for name, value in fingerprints if name == algorithm]
        if offered:
            return certificate.fingerprint(HASHES[algorithm]()) in offered
    return False


def _accept_any_chain(*_: Any) -> bool:
    return True


def _reason(error: SSL.Error) -> str:
    """OpenSSL's own words, without its file names."""
    if error.args and isinstance(error.args[0], list) and error.args[0]:
        return ", ".join(str(entry[-1]) for entry in error.args[0] if entry) or "no reason given"
    return str(error) or type(error).__name__
