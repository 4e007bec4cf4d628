"""`jackfield route explain` shows what rules, plans and privacy do to a request on its way in and out."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.cli import main

DROP_IN = """
[appliance]
domains = example.com
[listener udp]
transport = udp
port = 5060
[numberplan uk]
country-code = 44
national-prefix = 0
national-lengths = 9-10
[rules carrier-in]
10 = remove X-Secret
[rules carrier-out]
10 = set from.user {p-asserted-identity.user} when has P-Asserted-Identity
20 = remove from.display
[trunk carrier]
gateways = 192.0.2.50:5060
trusted = 192.0.2.50
rules-in = carrier-in
rules-out = carrier-out
numbers-in = uk
numbers-out = uk:national
codecs = PCMA
[trunk other]
gateways = 192.0.2.51
trusted-identity = no
[group both]
members = carrier, other
[user 1001]
password = secret
number = +442079460001
numbers-in = uk
[route 10-carrier]
match = prefix:+44
target = group:both
callers = users
[route 20-phones]
match = any
target = aor
callers = trunks
"""


def explained(directory: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    (directory / "10.conf").write_text(DROP_IN)
    assert main(["route", "explain", "--conf-dir", str(directory), *arguments]) == 0
    return capsys.readouterr().out


def test_the_way_out_by_each_trunk_of_a_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = explained(tmp_path, capsys, "--from", "1001", "--to", "02079460000", "--header", "Privacy: user;id")
    assert "1. numberplan uk: uri 02079460000 became +442079460000\n" in said
    assert (
        "to trunk carrier: trunk carrier is trusted: p-asserted-identity is <sip:+442079460001@example.com>\n" in said
    )
    assert "to trunk carrier: numberplan uk: uri +442079460000 became 02079460000\n" in said
    assert "to trunk carrier: rules carrier-out 10: from.user 1001 became 02079460001\n" in said
    assert "trunk carrier lets these codecs pass: pcma\n" in said
    assert 'to trunk other: trunk other is not trusted: from is "Anonymous" <sip:anonymous@anonymous.invalid>\n' in said


def test_the_way_in_from_a_trunk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = ("--source", "192.0.2.50", "--header", "X-Secret: 1", "--header", "Privacy: header;critical")
    said = explained(tmp_path, capsys, "--from", "sip:02079460999@a.example", "--to", "02079460000", *source)
    assert "1. rules carrier-in 10: x-secret 1 is removed\n" in said
    assert "numberplan uk: from 02079460999 became +442079460999\n" in said
    assert "500 Privacy Service Unavailable" in said
