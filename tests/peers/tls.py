"""TLS for programs that lack it (Debian's SIPp): a tunnel that speaks TLS on one side and plain TCP on the other.

It carries bytes and knows nothing of SIP. Certificates are made for loopback, signed by themselves.
"""

from __future__ import annotations

import datetime
import ipaddress
import select
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def make_certificate(path: Path, name: str = "localhost") -> Path:
    """A PEM with key and certificate for `name` and both loopback addresses; it is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    alternatives = [
        x509.DNSName(name),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    return path


class TlsTunnel:
    """Listens on `port` and carries each connection to `target`.

    With a certificate the listening side speaks TLS (a server that lacks it stands behind); without one the far
    side does (a client that lacks it comes in), and the server's certificate is taken as it is.
    """

    def __init__(self, target: tuple[str, int], certificate: Path | None = None) -> None:
        self._target = target
        self._server: ssl.SSLContext | None = None
        if certificate is not None:
            self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._server.load_cert_chain(certificate)
        self._client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client.check_hostname = False
        self._client.verify_mode = ssl.CERT_NONE
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far: socket.socket = socket.create_connection(self._target, 5)
                far.settimeout(None)
                if self._server is not None:
                    near = self._server.wrap_socket(near, server_side=True)
                else:
                    far = self._client.wrap_socket(far)
            except OSError:
                near.close()
                continue
            self._open += [near, far]
            thread = threading.Thread(target=_carry, args=(near, far), daemon=True)
            self._threads.append(thread)
            thread.start()

    def __enter__(self) -> TlsTunnel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._listener, *self._open):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(2)
        for one in (self._listener, *self._open):
            one.close()


def _carry(near: socket.socket, far: socket.socket) -> None:
    """Carry bytes both ways until either side ends; one thread, as a TLS connection is not for two."""
    try:
        while True:
            ready, _, _ = select.select([near, far], [], [])
            for source, sink in ((near, far), (far, near)):
                if source not in ready:
                    continue
                source.settimeout(0)
                try:
                    data = source.recv(65536)
                    while isinstance(source, ssl.SSLSocket) and source.pending():
                        data += source.recv(65536)
                except (ssl.SSLWantReadError, BlockingIOError):  # session tickets: nothing to carry
                    continue
                if not data:
                    return
                sink.settimeout(30)
                sink.sendall(data)
    except (OSError, ValueError):
        pass
    finally:
        near.close()
        far.close()
