"""[snmp]: addresses, and who may read without SNMPv3."""

from pathlib import Path

import pytest

from appliance.commands.snmp import snmpd_conf
from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected
from appliance.config.snmp import SnmpSettings, agentx_address

LISTENER = "[listener udp]\ntransport = udp\nport = 5060\n"


def loaded(directory: Path, text: str) -> SnmpSettings:
    (directory / "a.conf").write_text(f"{LISTENER}\n[snmp]\n{text}\n")
    return load_settings(directory).snmp


@pytest.mark.parametrize("text", ["/var/agentx/master", "tcp:localhost:705", "tcp:[::1]:705"])
def test_where_the_master_listens(text: str) -> None:
    assert str(agentx_address().read(text)) == text


@pytest.mark.parametrize("text", ["agentx", "tcp:localhost", "tcp:localhost:0", "/" + "x" * 200])
def test_where_no_master_can_listen(text: str) -> None:
    with pytest.raises(ValueError, match=text[:10]):
        agentx_address().read(text)


def test_without_a_word_there_is_only_authpriv(tmp_path: Path) -> None:
    conf = snmpd_conf(loaded(tmp_path, "enabled = yes"), "jackfield")
    assert "rouser jackfield authpriv" in conf
    assert "community" not in [line.split()[0][-9:] for line in conf.splitlines() if line and line[0] != "#"]
    assert conf != snmpd_conf(loaded(tmp_path, "enabled = yes"), "jackfield"), "passphrases are made anew"


def test_what_is_asked_for_is_written(tmp_path: Path) -> None:
    text = """
        auth-password = one-of-two-words
        privacy-password = two-of-two-words
        receivers = 192.0.2.10, [2001:db8::1]:1162
        receivers-v2c = 192.0.2.20
        receivers-v1 = 192.0.2.21:1162
        inform = no
        community = readers
        managers = 192.0.2.0/24, 2001:db8::/64
    """
    lines = snmpd_conf(loaded(tmp_path, "\n".join(line.strip() for line in text.splitlines())), "box").splitlines()
    login = "-v 3 -u jackfield -l authPriv -a SHA-256 -A one-of-two-words -x AES -X two-of-two-words"
    assert f"trapsess {login} udp:192.0.2.10:162" in lines
    assert f"trapsess {login} udp6:[2001:db8::1]:1162" in lines
    assert "trapsess -v 2c -c readers udp:192.0.2.20:162" in lines
    assert "trapsess -v 1 -c readers udp:192.0.2.21:1162" in lines
    assert "rocommunity readers 192.0.2.0/24 -V jackfield" in lines
    assert "rocommunity6 readers 2001:db8::/64 -V jackfield" in lines
    assert 'createUser jackfield SHA-256 "one-of-two-words" AES "two-of-two-words"' in lines


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("community = readers", "nobody who may use it"),
        ("managers = 192.0.2.1", "off without a community"),
        ("receivers-v2c = 192.0.2.1", "told by SNMPv2c, which is off without a community"),
        ("receivers-v1 = 192.0.2.1", "told by SNMPv1, which is off without a community"),
        ("watched-statuses = GREET 200", "is not a method, a status and a number"),
        ("watched-statuses = INVITE 999", "is not a method, a status and a number"),
        ("auth-password = short", "8 characters"),
        ("privacy-password = with blanks in it", "8 characters"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigRejected, match=said):
        loaded(tmp_path, text)
