"""What this box is made of at its first start and keeps: key and certificate, token secret, passwords.

Everything lies in the state directory, for the owner's eyes only (0700, files 0600), written whole or not at
all. Nothing that exists is ever made anew by itself; what is damaged is an error that says what to do.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import argon2
import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .box.setup_code import SETUP
from .config import Secret, Settings
from .interfaces import local_addresses, local_names
from .logs import log
from .storage.whole_file import write_whole

CERTIFICATE_DAYS: Final = 730
TOKEN_BYTES: Final = 32
# Without signs that look alike, and easy to type on a phone.
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"


class StateDamaged(Exception):  # noqa: N818 (it says what happened)
    """A file of the state directory is missing or cannot be used; the text says which and what to do."""


@attrs.frozen
class Identity:
    """The box's own keys and passwords.

    administrators: argon2 hashes by name. passwords: digest passwords made for users whose password is auto.
    new_passwords: administrators' passwords made just now, to be shown once and kept nowhere.
    """

    state_dir: Path
    certificate: Path
    private_key: Path
    token_secret: bytes = attrs.field(repr=False)
    administrators: Mapping[str, str] = attrs.field(repr=False)
    passwords: Mapping[str, Secret]
    new_passwords: Mapping[str, Secret]


def open_state_dir(state_dir: Path) -> Path:
    """Make the state directory, or make sure that an existing one is for our eyes only.

    Raises StateDamaged where it cannot be used.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if state_dir.stat().st_mode & 0o077:
            state_dir.chmod(0o700)
        if not os.access(state_dir, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "Name a directory that this user may write by --state-dir."
        raise StateDamaged(f"the state directory {state_dir} cannot be used: {reason}. {remedy}") from error
    return state_dir.resolve()


def open_identity(state_dir: Path, settings: Settings, *, starting: bool = True) -> Identity:
    """Read what there is and make what is missing. Raises StateDamaged.

    starting: false at a reload, which makes passwords of new users, but no administrator's: nobody might be
    there to read it.
    """
    state_dir = open_state_dir(state_dir)
    certificate, private_key = _own_certificate(state_dir, settings)
    token_file = state_dir / "token.key"
    token_secret = _keep(token_file, lambda: secrets.token_bytes(TOKEN_BYTES))
    if len(token_secret) != TOKEN_BYTES:
        raise StateDamaged(f"{token_file} is damaged. Delete it: calls in progress lose their way, nothing else.")
    administrators = _texts(state_dir / "administrators.json")
    new_passwords = _new_administrator(state_dir / "administrators.json", administrators, settings) if starting else {}
    return Identity(
        state_dir=state_dir,
        certificate=certificate,
        private_key=private_key,
        token_secret=token_secret,
        administrators=administrators,
        passwords=_user_passwords(state_dir / "passwords.json", settings.users_without_password),
        new_passwords=new_passwords,
    )


def _keep(file: Path, make: Callable[[], bytes]) -> bytes:
    """The file's bytes; where there is none, it is made first."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        _write(file, make())
        return file.read_bytes()
    except OSError as error:
        raise StateDamaged(f"{file} cannot be read: {error.strerror}. Mend its permissions.") from error


def _write(file: Path, data: bytes) -> None:
    try:
        write_whole(file, data)
    except OSError as error:
        raise StateDamaged(f"{file} cannot be written: {error.strerror}. Make room or mend permissions.") from error


def _texts(file: Path) -> dict[str, str]:
    """A file of names and texts."""
    data = _keep(file, lambda: b"{}\n")
    try:
        texts = json.loads(data)
    except ValueError:
        texts = None
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise StateDamaged(f"{file} is damaged. Put back a copy, or delete it: its passwords are then made anew.")
    return texts


def _write_texts(file: Path, texts: Mapping[str, str]) -> None:
    _write(file, json.dumps(texts, indent=1, sort_keys=True).encode() + b"\n")


def make_password(groups: int = 3, letters: int = 5) -> Secret:
    """A password that is hard to guess (about 5 bits a letter) and easy to read out."""
    words = ("".join(secrets.choice(_ALPHABET) for _ in range(letters)) for _ in range(groups))
    return Secret("-".join(words))


def _new_administrator(file: Path, known: dict[str, str], settings: Settings) -> dict[str, Secret]:
    """The password of an administrator who had none yet; the hash is added to the known ones."""
    name = settings.web.administrator
    if name in known or (file.parent / SETUP).exists():
        return {}  # a fresh image is given its administrator on the set-up page
    password = make_password()
    known[name] = argon2.PasswordHasher().hash(password.reveal())
    _write_texts(file, known)
    log.info("identity.made", what="administrator", name=name)
    return {name: password}


def keep_administrator(state_dir: Path, name: str, password_hash: str) -> None:
    """Give an administrator this argon2 hash; a reload takes it up. Raises StateDamaged."""
    file = state_dir / "administrators.json"
    _write_texts(file, _texts(file) | {name: password_hash})


def _user_passwords(file: Path, users: Iterable[str]) -> dict[str, Secret]:
    known = _texts(file)
    missing = [user for user in users if user not in known]
    if missing:
        known |= {user: make_password().reveal() for user in missing}
        _write_texts(file, known)
        log.info("identity.made", what="user passwords", users=",".join(missing))
    return {user: Secret(text) for user, text in known.items()}


def _own_certificate(state_dir: Path, settings: Settings) -> tuple[Path, Path]:
    """The self-signed certificate and its key: made once, never anew by themselves."""
    certificate, private_key = state_dir / "certificate.pem", state_dir / "private-key.pem"
    if certificate.exists() != private_key.exists():
        missing, left = (certificate, private_key) if private_key.exists() else (private_key, certificate)
        raise StateDamaged(f"{missing} is missing. Put it back, or delete {left} too: both are then made anew.")
    if not certificate.exists():
        hosts = _certificate_hosts(settings)
        chain, key = _self_signed(settings.appliance.name, hosts)
        _write(private_key, key)
        _write(certificate, chain)
        log.info("identity.made", what="certificate", hosts=",".join(hosts), days=CERTIFICATE_DAYS)
        return certificate, private_key
    try:
        made = x509.load_pem_x509_certificate(certificate.read_bytes())
        serialization.load_pem_private_key(private_key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        text = f"{certificate} or {private_key} is damaged: {error}. Put back copies, or delete both."
        raise StateDamaged(text) from error
    _look_at(made, certificate, settings)
    return certificate, private_key


def _certificate_hosts(settings: Settings) -> tuple[str, ...]:
    ours = [*local_names(), *local_addresses(), *settings.appliance.advertise, *(settings.appliance.domains or ())]
    for listener in settings.listeners.values():
        ours += listener.advertise or ()
    return tuple(dict.fromkeys(ours))


def _look_at(made: x509.Certificate, file: Path, settings: Settings) -> None:
    """Warn where the certificate is about to end or does not name what we are called by now."""
    remedy = f"delete {file.name} and private-key.pem, restart"
    left = made.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    if left.days < 30:
        log.warning("certificate.ends", file=file, days=left.days, remedy=remedy)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    held = {
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    }
    missing = [host for host in _certificate_hosts(settings) if host not in held]
    if missing:
        log.warning("certificate.lacks", file=file, hosts=",".join(missing), remedy=remedy)


def _self_signed(name: str, hosts: Iterable[str]) -> tuple[bytes, bytes]:
    """A certificate for these host names and addresses, and its P-256 key, both in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName([_san(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return made.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)


def _san(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
