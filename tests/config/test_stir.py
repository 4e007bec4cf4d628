"""What may be wrong about [stir] and the trunks that sign, and how it is said."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected, Mistake
from appliance.config.stir_material import load_material
from tests.stir_certificates import Holder, pem

ROOT = Holder.of_authority()
OURS, OTHER = ROOT.issue(), ROOT.issue()
GOOD = """
[listener udp]
transport = udp
port = 5060
[stir]
certificate = ours.pem
private-key = ours.key
x5u = https://cert.example.com/ours.pem
authorities = authorities
wait = 1 s
[trunk carrier]
gateways = 192.0.2.1
sign = auto
verify = require
"""


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "ours.pem").write_bytes(pem(OURS.certificate, ROOT.certificate))
    (tmp_path / "ours.key").write_bytes(OURS.key_pem)
    (tmp_path / "other.key").write_bytes(OTHER.key_pem)
    (tmp_path / "p384.key").write_bytes(ROOT.issue(curve=ec.SECP384R1()).key_pem)
    (tmp_path / "empty").mkdir()
    (tmp_path / "authorities").mkdir()
    (tmp_path / "authorities" / "root.pem").write_bytes(pem(ROOT.certificate))
    (tmp_path / "a.conf").write_text(text)
    return tmp_path


def only_mistake(tmp_path: Path, text: str) -> Mistake:
    with pytest.raises(ConfigRejected) as caught:
        load_settings(write(tmp_path, text))
    [mistake] = caught.value.mistakes
    return mistake


def test_a_whole_section_loads_with_its_key_and_authorities(tmp_path: Path) -> None:
    material = load_material(load_settings(write(tmp_path, GOOD)).stir)
    assert material.key is not None
    assert material.key.public_key() == OURS.key.public_key()
    assert material.authorities == (ROOT.certificate,)


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        ("ours.key", "other.key", "private-key", "holds another key than that of the certificate"),
        ("ours.key", "p384.key", "private-key", "no key on P-256"),
        ("private-key = ours.key", "", "certificate", "holds no private key"),
        ("certificate = ours.pem", "certificate = none.pem", "certificate", "cannot be read"),
        ("certificate = ours.pem", "certificate = ours.key", "certificate", "holds no certificate"),
        ("https://cert", "http://cert", "x5u", "is not https"),
        ("authorities = authorities", "authorities = empty", "authorities", "holds no .pem"),
        ("authorities = authorities", "", "verify", "no authority is known"),
        ("x5u = https://cert.example.com/ours.pem", "", "sign", "nothing to sign with"),
        ("wait = 1 s", "", "verify", "refuses the first call"),
        ("wait = 1 s", "wait = 1 s\nnumberplan = uk", "numberplan", "there is no [numberplan uk]"),
    ],
)
def test_each_mistake_is_found_at_its_place(tmp_path: Path, old: str, new: str, where: str, says: str) -> None:
    mistake = only_mistake(tmp_path, GOOD.replace(old, new))
    assert mistake.key == where
    assert says in mistake.mistake
    assert mistake.place.line > 0


def test_nothing_is_needed_where_nothing_is_signed(tmp_path: Path) -> None:
    head = GOOD.partition("[stir]")[0]
    assert load_material(load_settings(write(tmp_path, head)).stir).key is None
