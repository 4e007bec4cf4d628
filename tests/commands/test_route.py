"""`jackfield route explain`: the words, step by step, and what it says of a question that cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.cli import main
from appliance.commands.answers import DONE, MISTAKEN
from tests.router.plans import BASE

CONF = """
[appliance]
domains = example.com
[numberplan uk]
country-code = 44
national-prefix = 0
[trunk c]
gateways = 192.0.2.30, 192.0.2.31
trusted = 192.0.2.30
numbers-in = uk
tenant = acme
[group both]
members = a, b
[schedule office]
zone = Europe/London
times = mon-fri 09:00-17:00
[numbers dn]
file = dn.dn
[table outside]
otherwise = reject:404
reason = Nowhere
[route 10-closed]
match = exact:8000
schedule = not office
target = reject:480
reason = We are closed
[route 20-desk]
match = exact:8000
callers = users, tenant:acme
target = aor:1002
then = group:both
[route 30-outside]
match = prefix:0
target = table:outside
strip = 1
[route 31-world]
table = outside
match = regex:[1-9][0-9]+
header = X-Class is gold
target = trunk:a
add = +
split = 50% trunk:b
[route 40-dn]
match = range:+440000000-+449999999, prefix:+44
callers = trunks
target = numbers:dn
"""
DN = "# agents\n+4420* trunk:a strip=3 add=0\n"


@pytest.fixture
def conf_dir(tmp_path: Path) -> Path:
    (tmp_path / "a.conf").write_text(BASE + CONF)
    (tmp_path / "dn.dn").write_text(DN)
    return tmp_path


def explained(capsys: pytest.CaptureFixture[str], conf_dir: Path, *options: str, status: int = DONE) -> str:
    assert main(["route", "explain", "--conf-dir", str(conf_dir), *options]) == status
    said = capsys.readouterr()
    return (said.out if status == DONE else said.err).replace(str(conf_dir), "conf.d")


def test_a_user_after_hours(capsys: pytest.CaptureFixture[str], conf_dir: Path) -> None:
    said = explained(capsys, conf_dir, "--from", "1001", "--to", "8000", "--at", "2026-11-23T18:00+00:00", "--all")
    assert said == (
        "INVITE sip:8000@example.com from sip:1001@example.com, user 1001 once the password is given,\n"
        "over UDP by listener udp, source unknown (give --source), at 2026-11-23 18:00:00 UTC\n"
        "  1. route 10-closed (exact:8000) leads to reject:480\n"
        "     not asked, since the number does not fit: 20-desk (exact:8000), 30-outside (prefix:0), "
        "31-world (regex:[1-9][0-9]+, table outside), 40-dn (range:+440000000-+449999999, prefix:+44)\n"
        "So: 480 We are closed\n"
    )


def test_a_trunk_whose_numbers_are_read_by_a_plan(capsys: pytest.CaptureFixture[str], conf_dir: Path) -> None:
    asked = ["--from", "02079460000", "--to", "02079460123", "--source", "192.0.2.30", "--at", "2026-11-23T12:00+00:00"]
    said = explained(capsys, conf_dir, *asked)
    assert said.splitlines()[2:] == [
        "  1. numberplan uk: uri 02079460123 became +442079460123",
        "  2. numberplan uk: from 02079460000 became +442079460000",
        "  3. numberplan uk: to 02079460123 became +442079460123",
        "  4. route 40-dn (range:+440000000-+449999999, prefix:+44) leads to numbers:dn",
        "  5. numbers dn: +442079460123 falls to +4420* (conf.d/dn.dn:2)",
        "  6. route 40-dn leads to trunk:a as 02079460123",
        "So: trunk:a as 02079460123",
        "    gateways of trunk a, priority: 192.0.2.10",
        "Not known without the running box: which gateways are in service.",
    ]


def test_tables_headers_and_shares(capsys: pytest.CaptureFixture[str], conf_dir: Path) -> None:
    asked = ["--from", "1001", "--to", "0155501", "--call-id", "x", "--header", "x-class: GOLD"]
    answer = json.loads(explained(capsys, conf_dir, *asked, "--json"))
    assert (answer["caller"], answer["called"], answer["number"]) == ("user 1001", "0155501", "+155501")
    assert answer["routes"] == ["30-outside", "31-world"]
    assert answer["steps"][0] == "route 30-outside (prefix:0) leads to table:outside as 155501"
    place = answer["steps"][1].partition("(this Call-ID stands at ")[2]
    assert (answer["target"] == "trunk:b") is (float(place.partition(" ")[0]) < 50)
    assert place.endswith("of 100: 50% trunk:b, 50% trunk:a)")
    without = explained(capsys, conf_dir, *asked[:-2])
    assert "header X-Class is gold does not hold: there is none" in without
    assert without.endswith("So: 404 Nowhere\n")


def test_what_comes_then_and_what_only_the_box_knows(capsys: pytest.CaptureFixture[str], conf_dir: Path) -> None:
    said = explained(capsys, conf_dir, "--from", "1001", "--to", "8000", "--at", "2026-11-23T12:00+00:00")
    assert "schedule office is open at Mon 2026-11-23 12:00 GMT" in said
    assert "So: aor:1002 as 1002\n    then group:both\n" in said
    assert "Not known without the running box: which phones are registered, which gateways are in service." in said


def test_a_tenants_trunk_may_where_another_may_not(capsys: pytest.CaptureFixture[str], conf_dir: Path) -> None:
    noon = ["--to", "8000", "--at", "2026-11-23T12:00+00:00"]
    assert "So: aor:1002" in explained(capsys, conf_dir, "--from", "x", "--source", "192.0.2.30", *noon)
    assert "So: 403 Forbidden" in explained(capsys, conf_dir, "--from", "x", "--source", "192.0.2.10", *noon)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--to", "sip:a b"], "--to: 'sip:a b' is no URI"),
        (["--to", "1", "--source", "here"], "--source: 'here' is not an IP address"),
        (["--to", "1", "--listener", "x"], "--listener: there is no [listener x]; known are inside, udp"),
        (["--to", "1", "--transport", "pigeon"], "--transport: 'pigeon' is not a transport"),
        (["--to", "1", "--header", "nonsense"], "--header: 'nonsense' is not NAME: VALUE"),
        (["--to", "1", "--header", "X: a\nY: b"], "--header"),
        (["--to", "1", "--at", "noon"], "--at: 'noon' is not a time"),
    ],
)
def test_a_question_that_cannot_be_asked(
    capsys: pytest.CaptureFixture[str], conf_dir: Path, options: list[str], said: str
) -> None:
    assert said in explained(capsys, conf_dir, "--from", "1001", *options, status=MISTAKEN)


def test_mistakes_of_the_configuration_come_first(capsys: pytest.CaptureFixture[str], conf_dir: Path) -> None:
    (conf_dir / "b.conf").write_text("[route 99]\nmatch = any\ntarget = trunk:nobody\n")
    assert "there is no [trunk nobody]" in explained(capsys, conf_dir, "--from", "1", "--to", "2", status=MISTAKEN)
