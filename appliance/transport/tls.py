"""TLS without sockets: bytes from the wire in, bytes for the wire out, on the standard library's memory BIOs.

Names in certificates follow RFC 5922: SIP URIs in subjectAltName go before DNS names, those before the common name,
and a wildcard matches nothing. Contexts are made once for each listener or kind of target and shared.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from typing import Any

from .options import TlsClientOptions, TlsServerOptions

_CHUNK = 65_536


class TlsLayer:
    """One side of one TLS connection. `ended`: the peer said goodbye."""

    __slots__ = ("_expected", "_in", "_object", "_out", "_server_side", "_verify", "ended", "established")

    def __init__(self, context: ssl.SSLContext, *, server_side: bool, server_name: str | None = None) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_side=server_side, server_hostname=server_name)
        self._server_side = server_side
        self._verify = context.verify_mode == ssl.CERT_REQUIRED
        self._expected = server_name
        self.established = False
        self.ended = False

    def start(self) -> bytes:
        """The first flight: a ClientHello; nothing on the server's side."""
        if not self._server_side:
            self._handshake()
        return self._out.read()

    def receive_untrusted(self, data: bytes) -> bytes:
        """The plaintext in `data`. Fetch `outgoing` after it, also when it raised `ssl.SSLError` (alerts)."""
        self._in.write(data)
        if not self.established and not self._handshake():
            return b""
        read = self._object.read
        plain = b""
        while True:
            try:
                more = read(_CHUNK)
            except ssl.SSLWantReadError:
                return plain
            except ssl.SSLZeroReturnError:
                more = b""
            if not more:
                self.ended = True
                return plain
            plain = plain + more if plain else more

    def _handshake(self) -> bool:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.established = True
        return True

    def encrypt(self, data: bytes) -> bytes:
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]
        return self._out.read()

    def outgoing(self) -> bytes:
        return self._out.read()

    def goodbye(self) -> bytes:
        """A close_notify, not waiting for the peer's (RFC 8446 §6.1)."""
        try:
            self._object.unwrap()
        except (ssl.SSLError, OSError):
            pass
        return self._out.read()

    @property
    def peer_identities(self) -> tuple[str, ...]:
        """Of the verified certificate of the peer; empty where it has none or was not asked."""
        certificate = self._object.getpeercert()
        return identities(certificate) if certificate else ()

    def name_fault(self) -> str | None:
        """Why the server's certificate is not the one that we wanted to meet, None where all is well."""
        if self._server_side or not self._verify or self._expected is None:
            return None
        certificate = self._object.getpeercert()
        return None if certificate and names(certificate, self._expected) else "tls-wrong-name"


def identities(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """Who the holder is (RFC 5922 §7.1): domains in lower case, and SIP URIs with a user as they stand.

    `certificate` in the form of `ssl.SSLSocket.getpeercert`.
    """
    alternatives = certificate.get("subjectAltName", ())
    found: list[str] = []
    users: list[str] = []
    for kind, value in alternatives:
        if kind == "URI" and value.lower().startswith(("sip:", "sips:")):
            if "@" in value:
                users.append(value)
            else:
                found.append(value.partition(":")[2].partition(";")[0].lower().rstrip("."))
    if not found:
        found = [value.lower().rstrip(".") for kind, value in alternatives if kind == "DNS"]
    if not found and not alternatives:
        subject = [pair for entry in certificate.get("subject", ()) for pair in entry]
        found = [value.lower() for name, value in subject if name == "commonName"]
    return (*dict.fromkeys(found), *dict.fromkeys(users))


def names(certificate: Mapping[str, Any], expected: str) -> bool:
    """Whether the certificate is for the SIP domain (or IP literal) `expected` (RFC 5922 §7.2: no wildcards)."""
    expected = expected.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(expected)
    except ValueError:
        return expected in identities(certificate)
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "IP Address" and ipaddress.ip_address(value) == address:
            return True
    return False


def server_context(options: TlsServerOptions) -> ssl.SSLContext:
    """Raises `OSError` or `ssl.SSLError` where a file cannot be used, `ValueError` where the options do not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _modern(context)
    context.load_cert_chain(options.certificate, options.private_key)
    if options.client_certificate != "none":
        if options.client_ca is None:
            raise ValueError("client certificates are asked for, but no authority (client_ca) is given to check them")
        context.load_verify_locations(options.client_ca)
        required = options.client_certificate == "required"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


def client_context(options: TlsClientOptions) -> ssl.SSLContext:
    """Raises `OSError` or `ssl.SSLError` where a file cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _modern(context)
    context.check_hostname = False  # RFC 5922 has rules of its own: see `names`
    if not options.verify:
        context.verify_mode = ssl.CERT_NONE
    elif options.ca is not None:
        context.load_verify_locations(options.ca)
    else:
        context.load_default_certs()
    if options.certificate is not None:
        context.load_cert_chain(options.certificate, options.private_key)
    return context


def _modern(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
