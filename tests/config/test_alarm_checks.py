"""Mistakes in what tells, each with its file, line and remedy."""

from pathlib import Path

import pytest

from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected
from tests.peers.tls import make_certificate

BASE = "[listener udp]\ntransport = udp\nport = 5060\n"


def mistakes(folder: Path, text: str) -> list[str]:
    (folder / "a.conf").write_text(BASE + text)
    with pytest.raises(ConfigRejected) as refused:
        load_settings(folder)
    return [str(one).removeprefix(f"{folder}/") for one in refused.value.mistakes]


def test_marks_in_the_wrong_order(tmp_path: Path) -> None:
    [one] = mistakes(tmp_path, "[alarms]\ndisk-low = 95 %\n")
    assert one.startswith("a.conf:5: [alarms] disk-low: 95% is not below disk-high (90%)")
    assert one.endswith("Make disk-low lower or disk-high higher.")


@pytest.mark.parametrize("kind", ["syslog", "hep"])
def test_tls_settings_of_a_collector_without_tls(tmp_path: Path, kind: str) -> None:
    certificate = make_certificate(tmp_path / "both.pem")
    [one] = mistakes(tmp_path, f"[{kind} a]\nhost = logs.example.com\ntransport = udp\nca = {certificate}\n")
    assert one == f"a.conf:7: [{kind} a] ca: means nothing over udp. Set transport = tls, or take it away."


def test_a_collector_twice(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "[syslog a]\nhost = logs.example.com\n[syslog b]\nhost = logs.example.com\n")
    assert found == [
        "a.conf:7: [syslog b] host: is the same collector as [syslog a], which would get every event twice. "
        "Take one of them away."
    ]


def test_a_certificate_that_is_not_there(tmp_path: Path) -> None:
    [one] = mistakes(tmp_path, "[syslog a]\nhost = logs.example.com\ncertificate = none.pem\n")
    assert "a.conf:6: [syslog a] certificate:" in one
    assert "cannot be read" in one


def test_a_level_of_no_room(tmp_path: Path) -> None:
    [one] = mistakes(tmp_path, "[log]\nlevels = web=loud\n")
    assert one.startswith("a.conf:5: [log] levels: ")
    assert "web=debug" in one


def test_a_webhook_over_the_net_without_tls(tmp_path: Path) -> None:
    [one] = mistakes(tmp_path, "[webhook a]\nurl = http://hooks.example.com/x\n")
    assert one.startswith("a.conf:5: [webhook a] url: goes to hooks.example.com without TLS")
    assert one.endswith("Use https, or a server on this machine.")


def test_a_webhook_with_a_password_in_its_address(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "[webhook a]\nurl = https://user:word\n")


def test_an_alarm_that_there_is_not(tmp_path: Path) -> None:
    [one] = mistakes(tmp_path, "[webhook a]\nurl = https://hooks.example.com/x\nalarms = trunk-dwon\n")
    assert "'trunk-dwon' is no alarm, did you mean trunk-down?" in one


def test_a_mail_server_far_away_in_the_clear_and_half_a_sign_in(tmp_path: Path) -> None:
    base = "[mail a]\nhost = mail.example.com\nsender = a@example.com\nrecipients = b@example.com\n"
    [one] = mistakes(tmp_path, base + "security = none\n")
    assert one.startswith("a.conf:8: [mail a] security: none would send alarms")
    [one] = mistakes(tmp_path, base + "username = box\n")
    assert one == "a.conf:8: [mail a] username: stands without password. Give password too, or take it away."
