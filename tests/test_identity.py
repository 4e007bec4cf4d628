"""First start: keys, certificate and passwords are made once, for the owner's eyes, and never anew by themselves."""

import ipaddress
import ssl
import stat
from pathlib import Path

import argon2
import attrs
import pytest
from cryptography import x509

from appliance.config import ApplianceSettings, Secret, Settings, UserSettings, WebSettings
from appliance.identity import StateDamaged, open_identity
from appliance.interfaces import local_addresses, own_domains

SETTINGS = Settings(
    appliance=ApplianceSettings(domains=("example.com",)),
    users={"1001": UserSettings(name="1001"), "1002": UserSettings(name="1002", password=Secret("own"))},
)


def test_the_first_start_makes_everything_and_the_second_nothing(tmp_path: Path) -> None:
    first = open_identity(tmp_path / "var", SETTINGS)
    second = open_identity(tmp_path / "var", SETTINGS)
    assert attrs.evolve(first, new_passwords={}) == second
    assert list(first.new_passwords) == ["admin"]
    assert list(first.passwords) == ["1001"]
    assert len(first.token_secret) == 32


def test_the_administrators_password_is_kept_as_a_hash_only(tmp_path: Path) -> None:
    identity = open_identity(tmp_path, SETTINGS)
    password = identity.new_passwords["admin"].reveal()
    assert argon2.PasswordHasher().verify(identity.administrators["admin"], password)
    assert not any(password.encode() in file.read_bytes() for file in tmp_path.iterdir())
    assert password not in repr(identity)


def test_nobody_else_may_look(tmp_path: Path) -> None:
    state_dir = tmp_path / "var"
    state_dir.mkdir(mode=0o755)
    open_identity(state_dir, SETTINGS)
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in state_dir.iterdir()} == {0o600}


def test_the_certificate_names_all_we_are_called(tmp_path: Path) -> None:
    identity = open_identity(tmp_path, SETTINGS)
    made = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "example.com"} <= set(names.get_values_for_type(x509.DNSName))
    addresses = {str(one) for one in names.get_values_for_type(x509.IPAddress)}
    assert set(local_addresses()) <= addresses
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(identity.certificate, identity.private_key)


def test_a_reload_makes_no_administrator_whose_password_nobody_sees(tmp_path: Path) -> None:
    open_identity(tmp_path, SETTINGS)
    renamed = attrs.evolve(SETTINGS, web=WebSettings(administrator="root"))
    assert not open_identity(tmp_path, renamed, starting=False).new_passwords
    assert list(open_identity(tmp_path, renamed).new_passwords) == ["root"]


def test_a_user_added_later_gets_a_password_and_the_others_keep_theirs(tmp_path: Path) -> None:
    before = open_identity(tmp_path, SETTINGS)
    users = {**SETTINGS.users, "1003": UserSettings(name="1003")}
    after = open_identity(tmp_path, attrs.evolve(SETTINGS, users=users))
    assert after.passwords["1001"] == before.passwords["1001"]
    assert after.passwords["1003"] != before.passwords["1001"]
    assert not after.new_passwords


@pytest.mark.parametrize("file", ["token.key", "administrators.json", "passwords.json", "certificate.pem"])
def test_a_damaged_file_is_told_and_not_replaced(tmp_path: Path, file: str) -> None:
    open_identity(tmp_path, SETTINGS)
    (tmp_path / file).write_bytes(b"[1, 2")
    with pytest.raises(StateDamaged, match=file):
        open_identity(tmp_path, SETTINGS)
    assert (tmp_path / file).read_bytes() == b"[1, 2"


def test_a_lost_key_does_not_change_the_certificate_silently(tmp_path: Path) -> None:
    identity = open_identity(tmp_path, SETTINGS)
    identity.private_key.unlink()
    with pytest.raises(StateDamaged, match=r"private-key\.pem is missing"):
        open_identity(tmp_path, SETTINGS)


def test_a_state_dir_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateDamaged, match="--state-dir"):
        open_identity(tmp_path / "file" / "var", SETTINGS)


def test_our_addresses_are_found_in_the_kernels_tables(tmp_path: Path) -> None:
    (tmp_path / "fib").write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n"
        "        |-- 192.0.2.2\n           /32 host LOCAL\n        |-- 192.0.2.255\n           /32 link BROADCAST\n"
    )
    (tmp_path / "if6").write_text(
        "00000000000000000000000000000001 01 80 10 80       lo\n"
        "fe800000000000000000000000000001 02 40 20 80     eth0\n"
        "20010db8000000000000000000000001 02 40 00 80     eth0\n"
    )
    assert local_addresses(tmp_path / "fib", tmp_path / "if6") == ("127.0.0.1", "192.0.2.2", "::1", "2001:db8::1")
    assert local_addresses(tmp_path / "none", tmp_path / "none") == ("127.0.0.1",)


def test_our_domains_are_the_configured_ones_first_and_our_addresses_always() -> None:
    ours = own_domains(("example.com",), ("192.0.2.9",))
    assert ours[:2] == ("example.com", "192.0.2.9")
    assert {"localhost", "127.0.0.1"} <= set(ours)
    for address in local_addresses():
        ipaddress.ip_address(address)
