"""The verbs for clock and packet filter."""

import json
from pathlib import Path

import pytest

from appliance.box.boxd import VERBS, answer_untrusted
from appliance.box.clock import SOURCES
from appliance.box.firewall import open_ports, rules_of
from appliance.box.machine import APART, Ran
from appliance.box.verb import Json, Peer
from appliance.config.loader import load_settings
from tests.box.machines import Programs, image_in

TABLE = {one.name: one for one in VERBS}
SHIPPED = Path(__file__).parent.parent.parent / "conf.d"
TRACKING = "C0000201,192.0.2.1,2,1700000000.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,64.1,{}"


async def ask(folder: Path, programs: Programs, verb: str, **words: Json) -> dict[str, Json]:
    machine = image_in(folder, programs)
    (machine.conf_dir / "10.conf").write_text(
        "[listener udp]\ntransport = udp\nport = 5060\n[time]\nservers = ntp.example.com, 192.0.2.1\n"
    )
    return await answer_untrusted(json.dumps({"verb": verb, **words}).encode(), Peer(1, 0), machine, TABLE)


@pytest.mark.parametrize(("leap", "synchronised"), [("Normal", True), ("Not synchronised", False)])
async def test_whether_the_clock_is_kept_right_is_told(tmp_path: Path, leap: str, synchronised: bool) -> None:
    answer = await ask(tmp_path, Programs(answers={"chronyc": Ran(0, TRACKING.format(leap))}), "time")
    assert answer["synchronised"] is synchronised
    assert answer["server"] == ("192.0.2.1" if synchronised else "")


async def test_the_clock_is_set_by_hand_in_utc(tmp_path: Path) -> None:
    programs, apart = Programs(), " ".join(APART)
    assert (await ask(tmp_path, programs, "time-set", utc="2026-01-31 12:30"))["ok"]
    assert programs.ran == [f"{apart} date --utc --set @1769862600", f"{apart} hwclock --systohc --utc"]
    for wrong in ("soon", "2026-02-30 00:00", "2200-01-01 00:00"):
        assert not (await ask(tmp_path, programs, "time-set", utc=wrong))["ok"]
    assert len(programs.ran) == 2


async def test_servers_of_the_configuration_are_told_to_chrony(tmp_path: Path) -> None:
    assert (await ask(tmp_path, Programs(), "time-servers"))["ok"]
    assert (tmp_path / SOURCES).read_text() == "server ntp.example.com iburst\nserver 192.0.2.1 iburst\n"


async def test_debians_pool_is_asked_only_where_no_server_is_named(tmp_path: Path) -> None:
    machine = image_in(tmp_path, Programs())
    (machine.conf_dir / "10.conf").write_text("[listener udp]\ntransport = udp\nport = 5060\n")
    assert (await answer_untrusted(b'{"verb": "time-servers"}', Peer(1, 0), machine, TABLE))["ok"]
    assert (tmp_path / SOURCES).read_text().startswith("pool ")


def test_only_ports_of_the_configuration_are_open() -> None:
    assert open_ports(load_settings(SHIPPED)) == {
        "udp": ["5060", "30000-39999"],
        "tcp": ["5060", "5061", "5066", "7443", "8443"],
    }


def test_a_listener_on_loopback_opens_nothing_and_snmp_its_port(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(
        "[listener a]\ntransport = tcp\nport = 5060\nbind = 127.0.0.1, ::1\n[web]\nbind = 127.0.0.1\n"
        "[media]\nbind = 127.0.0.1\n[snmp]\nenabled = yes\n"
        "addresses = udp:161, udp6:[2001:db8::1]:1161, udp:127.0.0.1:162\n"
    )
    assert open_ports(load_settings(tmp_path)) == {"udp": ["161", "1161"], "tcp": []}


async def test_a_box_that_listens_nowhere_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(
        "[listener a]\ntransport = tcp\nport = 5060\nbind = 127.0.0.1\n[web]\nbind = 127.0.0.1\n[media]\nbind = ::1\n"
    )
    rules = rules_of(load_settings(tmp_path))
    assert "dport {" not in rules
    assert "policy drop" in rules


async def test_all_that_a_reload_may_change_is_taken_up_at_once(tmp_path: Path) -> None:
    programs = Programs()
    assert (await ask(tmp_path, programs, "take-up"))["ok"]
    assert programs.ran == ["nft -f -", "chronyc reload sources", f"{' '.join(APART)} hostname jackfield"]


async def test_the_filter_is_taken_up_as_a_whole(tmp_path: Path) -> None:
    programs = Programs()
    answer = await ask(tmp_path, programs, "firewall")
    assert answer == {"ok": True, "udp": ["5060", "30000-39999"], "tcp": ["8443"]}
    assert programs.ran == ["nft -f -"]
    assert b"udp dport { 5060, 30000-39999 } notrack" in programs.given[0]
    assert (await ask(tmp_path, Programs(answers={"nft": Ran(1, "syntax error")}), "firewall"))["ok"] is False
