"""Addresses of the image: networkd's files, the trial that ends by itself, and what outlives a restart."""

import json
from pathlib import Path

import pytest
import trio

from appliance.box import network_change
from appliance.box.boxd import VERBS, answer_untrusted
from appliance.box.machine import Machine, Ran
from appliance.box.network import FOLDER
from appliance.box.verb import Json, Peer
from appliance.cli import main
from appliance.commands.network import network_lines
from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected
from tests.box.machines import Programs, image_in

TABLE = {one.name: one for one in VERBS}
LISTENER = "[listener udp]\ntransport = udp\nport = 5060\n"
OLD = "[interface eth0]\naddress = 192.0.2.5/24\ngateway = 192.0.2.1\n"
NEW = """[interface eth0]
address = 198.51.100.7/24, 2001:db8::7/64
gateway = 198.51.100.1
dns = 192.0.2.53
mtu = 1400
"""


class Boots:
    """The clock of a boot, and which boot it is."""

    def __init__(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self._file = machine.root / network_change.BOOT_ID
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self.boot("one")
        monkeypatch.setattr(network_change, "boot_clock", lambda: self.now)

    def boot(self, name: str) -> None:
        self._file.write_text(f"{name}\n")


@pytest.fixture
def programs() -> Programs:
    return Programs()


@pytest.fixture
def machine(tmp_path: Path, programs: Programs) -> Machine:
    made = image_in(tmp_path, programs)
    (made.conf_dir / "10.conf").write_text(LISTENER)
    return made


@pytest.fixture
def boots(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Boots:
    return Boots(machine, monkeypatch)


def configure(machine: Machine, text: str) -> None:
    (machine.conf_dir / "network.conf").write_text(text)


def in_force(machine: Machine) -> str:
    return "".join(file.read_text() for file in sorted((machine.root / FOLDER).glob("*.network")))


async def ask(machine: Machine, verb: str, **words: Json) -> dict[str, Json]:
    return await answer_untrusted(json.dumps({"verb": verb, **words}).encode(), Peer(1, 0), machine, TABLE)


async def from_old_to_new(machine: Machine, new: str = NEW) -> None:
    """The old addresses are in force, the new ones configured."""
    configure(machine, OLD)
    await network_change.begin(machine)
    configure(machine, new)


async def looked_once(machine: Machine) -> None:
    """The watch has looked at the clock."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network_change.watch, machine)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_a_section_becomes_a_file_of_networkd(machine: Machine, boots: Boots) -> None:
    configure(machine, NEW + "[interface en*]\n")
    await network_change.begin(machine)
    first, second = sorted((machine.root / FOLDER).glob("*.network"))
    lines = first.read_text().splitlines()
    for line in (
        "Name=eth0",
        "DHCP=no",
        "IPv6AcceptRA=no",
        "Address=198.51.100.7/24",
        "Address=2001:db8::7/64",
        "Gateway=198.51.100.1",
        "DNS=192.0.2.53",
        "MTUBytes=1400",
    ):
        assert line in lines
    assert {"Name=en*", "DHCP=yes", "IPv6AcceptRA=yes", "ClientIdentifier=mac"} <= set(second.read_text().splitlines())
    assert first.stat().st_mode & 0o777 == 0o644, "networkd runs as a user of its own"


async def test_what_is_not_confirmed_in_time_goes_back(machine: Machine, boots: Boots, programs: Programs) -> None:
    await from_old_to_new(machine)
    assert await ask(machine, "network-apply", seconds=60) == {"ok": True, "changed": True, "confirm_within_s": 60}
    assert "198.51.100.7/24" in in_force(machine)
    boots.now += 59
    await looked_once(machine)
    assert "198.51.100.7/24" in in_force(machine)
    assert (await ask(machine, "network-show"))["confirm_within_s"] == 1
    boots.now += 1
    before = len(programs.ran)
    await looked_once(machine)
    assert "192.0.2.5/24" in in_force(machine)
    assert "198.51.100.7/24" not in in_force(machine)
    assert programs.ran[before:] == ["networkctl reload"]
    shown = await ask(machine, "network-show")
    assert (shown["confirm_within_s"], shown["differs"]) == (None, True)
    assert "nothing waits" in str((await ask(machine, "network-confirm"))["error"])


async def test_what_is_confirmed_stays_over_a_restart(machine: Machine, boots: Boots) -> None:
    await from_old_to_new(machine)
    await ask(machine, "network-apply")
    assert (await ask(machine, "network-confirm"))["ok"]
    boots.now += 10_000
    await looked_once(machine)
    boots.boot("two")
    for file in (machine.root / FOLDER).iterdir():
        file.unlink()
    await network_change.begin(machine)
    assert "198.51.100.7/24" in in_force(machine)


async def test_a_trial_goes_on_when_boxd_is_started_again(machine: Machine, boots: Boots) -> None:
    await from_old_to_new(machine)
    await ask(machine, "network-apply", seconds=60)
    boots.now += 30
    await network_change.begin(machine)
    assert "198.51.100.7/24" in in_force(machine)
    boots.now += 31
    await network_change.begin(machine)
    assert "192.0.2.5/24" in in_force(machine)


async def test_a_restart_of_the_machine_ends_a_trial_whatever_its_clock_says(machine: Machine, boots: Boots) -> None:
    await from_old_to_new(machine)
    await ask(machine, "network-apply", seconds=60)
    boots.boot("two")
    boots.now = 3.0
    await network_change.begin(machine)
    assert "192.0.2.5/24" in in_force(machine)


async def test_one_may_go_back_at_once(machine: Machine, boots: Boots) -> None:
    await from_old_to_new(machine)
    await ask(machine, "network-apply")
    assert (await ask(machine, "network-revert"))["ok"]
    assert "192.0.2.5/24" in in_force(machine)
    configure(machine, OLD)
    assert await ask(machine, "network-apply") == {"ok": True, "changed": False}


async def test_what_networkd_does_not_take_goes_back(machine: Machine, boots: Boots, programs: Programs) -> None:
    await from_old_to_new(machine)
    programs.answers = {"networkctl": Ran(1, "no bus")}
    assert not (await ask(machine, "network-apply"))["ok"]
    assert "192.0.2.5/24" in in_force(machine)
    assert (await ask(machine, "network-show"))["confirm_within_s"] is None


async def test_mistakes_in_the_configuration_change_no_address(machine: Machine, boots: Boots) -> None:
    await from_old_to_new(machine, NEW.replace("198.51.100.1\n", "203.0.113.1\n"))
    answer = await ask(machine, "network-apply")
    assert "network.conf:3 [interface eth0] gateway: jackfield check names them" in str(answer["error"])
    assert "192.0.2.5/24" in in_force(machine)


async def test_what_root_can_read_is_not_told_to_those_who_write_the_configuration(
    machine: Machine, boots: Boots, tmp_path: Path
) -> None:
    (tmp_path / "shadow").write_text("root:secret-words\n")
    configure(machine, f"[numbers a]\nfile = {tmp_path}/shadow\n")
    for verb in ("network-apply", "firewall", "take-up", "time-servers"):
        answer = await ask(machine, verb)
        assert "the configuration has mistakes" in str(answer["error"])
        assert "secret-words" not in str(answer)


async def test_a_time_that_is_none_is_refused(machine: Machine, boots: Boots) -> None:
    for seconds in ("x", 4, 3601, -1):
        assert "whole number from 5" in str((await ask(machine, "network-apply", seconds=seconds))["error"])


async def test_the_cards_are_shown_with_their_addresses(machine: Machine, boots: Boots, programs: Programs) -> None:
    said = [
        {"ifname": "lo", "link_type": "loopback"},
        {
            "ifname": "eth0",
            "operstate": "UP",
            "address": "52:54:00:12:34:56",
            "addr_info": [
                {"local": "192.0.2.5", "prefixlen": 24, "scope": "global"},
                {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
            ],
        },
    ]
    programs.answers = {"ip": Ran(0, json.dumps(said))}
    shown = await ask(machine, "network-show")
    assert shown["cards"] == [
        {"name": "eth0", "state": "up", "mac": "52:54:00:12:34:56", "addresses": ["192.0.2.5/24"]}
    ]


def test_the_command_shows_a_trial_and_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card: Json = {"name": "eth0", "state": "up", "mac": "m", "addresses": ["192.0.2.5/24"]}
    assert network_lines({"cards": [card], "confirm_within_s": 7, "differs": False}) == [
        "eth0  up  192.0.2.5/24  m",
        "On trial: the old addresses return in 7 s unless confirmed.",
    ]
    assert "network apply" in network_lines({"cards": [], "confirm_within_s": None, "differs": True})[0]
    assert main(["network", "apply", "--root", str(tmp_path)]) == 1
    assert "this is not a Jackfield image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[interface a]\naddress = 192.0.2.5\n", "has no length of its network"),
        ("[interface a]\naddress = 192.0.2.5/33\n", "is not an address"),
        ("[interface a]\ngateway = 192.0.2.1\n", "the addresses come by DHCP"),
        ("[interface a]\naddress = 192.0.2.5/24\ngateway = 192.0.2.1, 192.0.2.2\n", "two of one family"),
        (
            "[interface a]\naddress = 192.0.2.5/24\n[interface b]\naddress = 192.0.2.5/16\n",
            r"belongs to \[interface a\]",
        ),
    ],
)
def test_addresses_that_cannot_work_are_mistakes(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.conf").write_text(LISTENER + text)
    with pytest.raises(ConfigRejected, match=why):
        load_settings(tmp_path)


def test_a_link_local_gateway_is_well(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(LISTENER + "[interface a]\naddress = 2001:db8::5/64\ngateway = fe80::1\n")
    assert load_settings(tmp_path).interfaces["a"].gateway == ("fe80::1",)
