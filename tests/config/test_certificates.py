"""Certificates are verified with their keys before anything is taken up."""

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected


def write_pair(folder: Path, name: str, password: bytes | None = None) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sip.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    (folder / f"{name}.pem").write_bytes(made.public_bytes(pem))
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, lock))


def write_conf(folder: Path, certificate: str, key: str) -> None:
    text = f"[listener tls]\ntransport = tls\nport = 5061\ncertificate = {certificate}\nprivate-key = {key}\n"
    (folder / "a.conf").write_text(text)


def test_a_matching_pair_beside_the_file_is_found(tmp_path: Path) -> None:
    write_pair(tmp_path, "a")
    write_conf(tmp_path, "a.pem", "a.key")
    assert load_settings(tmp_path).listeners["tls"].certificate == tmp_path / "a.pem"


@pytest.mark.parametrize(("certificate", "key"), [("a.pem", "b.key"), ("a.key", "a.pem"), ("a.pem", "locked.key")])
def test_a_pair_that_does_not_fit_is_a_mistake(tmp_path: Path, certificate: str, key: str) -> None:
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "b")
    write_pair(tmp_path, "locked", b"secret")
    write_conf(tmp_path, certificate, key)
    with pytest.raises(ConfigRejected, match="cannot be used") as caught:
        load_settings(tmp_path)
    (one,) = caught.value.mistakes
    assert (one.place.line, one.key) == (4, "certificate")


@pytest.mark.parametrize(
    ("lines", "key", "says"),
    [
        ("tls-certificate = b.pem\ntls-private-key = a.key", "tls-certificate", "cannot be used"),
        ("tls-private-key = a.key", "tls-private-key", "stands without tls-certificate"),
        ("tls-ca = a.key", "tls-ca", "cannot be used"),
        ("tls-ca = nothing.pem", "tls-ca", "cannot be used"),
        ("tls-identity = sip.carrier.example", "tls-identity", "no listener asks for client certificates"),
    ],
)
def test_certificates_of_a_trunk_are_verified_as_well(tmp_path: Path, lines: str, key: str, says: str) -> None:
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "b")
    text = f"[listener udp]\ntransport = udp\nport = 5060\n[trunk carrier]\ngateways = 192.0.2.1\n{lines}\n"
    (tmp_path / "a.conf").write_text(text)
    with pytest.raises(ConfigRejected) as caught:
        load_settings(tmp_path)
    [mistake] = caught.value.mistakes
    assert (mistake.section, mistake.key) == ("[trunk carrier]", key)
    assert says in mistake.mistake
