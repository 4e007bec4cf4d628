"""Contradictions about where records go, and who gets reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected

MAIL = "[mail noc]\nhost = mail.example.com\nsender = a@example.com\nrecipients = b@example.com\n"
LISTENER = "[listener udp]\ntransport = udp\nport = 0\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[records]\nurl = http://192.0.2.1:8123\nusername = a\npassword = b\n", "in the clear to 192.0.2.1"),
        ("[records]\npassword = b\n", "means nothing without url"),
        ("[records]\nurl = https://a.example.com:x\n", "cannot be asked"),
        ("[records]\nurl = https://a.example.com\nca = nowhere.pem\n", "cannot be used"),
        ("[records]\nurl = ftp://a.example.com\n", "url"),
        ("[records]\ndatabase = a b\n", "a name of letters"),
        ("[report a]\nmail = nobody\n", "there is no [mail nobody]"),
        (f"{MAIL}[report a]\nmail = noc\ntrunk = b\n", "there is no [trunk b]"),
        (f"{MAIL}[report a]\nmail = noc\nat = 24:00\n", "no time of the day"),
        (f"{MAIL}[records]\nenabled = no\n[report a]\nmail = noc\n", "nothing to tell"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.conf").write_text(LISTENER + text)
    with pytest.raises(ConfigRejected, match=r"(?s).*" + said.replace("[", r"\[").replace("]", r"\]")):
        load_settings(tmp_path)


def test_what_is_right_is_taken(tmp_path: Path) -> None:
    more = "[records]\nurl = http://127.0.0.1:8123\nusername = a\npassword = b\n[report a]\nmail = noc\nevery = month\n"
    (tmp_path / "a.conf").write_text(LISTENER + MAIL + more)
    settings = load_settings(tmp_path)
    assert settings.records.url == "http://127.0.0.1:8123"
    assert "b" not in repr(settings.records.password)
    assert settings.reports["a"].at == 6 * 60
