"""A box that finds its configuration by itself: credentials, a stick, a cloud-init seed, and bad ones."""

import base64
import gzip
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.box.credentials import credentials, smbios_credentials_untrusted
from appliance.box.firstboot import MARK, first_boot
from appliance.box.machine import Machine, Ran, Refused
from appliance.box.seed import read_seed_untrusted
from appliance.box.setup_code import code_of
from appliance.config.loader import load_settings
from appliance.console.facts import gather
from tests.box.machines import Programs, image_in

LISTENER = "[listener udp]\ntransport = udp\nport = 5060\n"
HASH = "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43
NETWORK = """
version: 2
ethernets:
  nic:
    match: {name: "en*"}
    addresses: [192.0.2.5/24, "2001:db8::5/64"]
    routes: [{to: default, via: 192.0.2.1}]
    nameservers: {addresses: [192.0.2.53], search: [example.com]}
"""
USER_DATA = """#cloud-config
hostname: box-7
packages: [cowsay]
write_files:
  - path: /etc/jackfield/conf.d/60-more.conf
    content: |
      [user 2001]
  - path: /etc/shadow
    content: 'root::'
  - path: /etc/jackfield/conf.d/lists/agents.dn
    encoding: gz+b64
    content: AGENTS
""".replace("AGENTS", base64.b64encode(gzip.compress(b"2100 aor:2001\n")).decode())


class Mounts(Programs):
    """`mount` puts the stick of that label into place."""

    def __init__(self, root: Path, sticks: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__()
        self.root, self.sticks = root, sticks
        for label in sticks:
            (root / "dev/disk/by-label").mkdir(parents=True, exist_ok=True)
            (root / "dev/disk/by-label" / label).touch()

    async def run(self, words, given):  # type: ignore[no-untyped-def]
        if words[0] == "mount":
            for name, text in self.sticks[Path(words[-2]).name].items():
                file = Path(words[-1]) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        if words[0] == "umount":
            shutil.rmtree(words[-1])
        return await super().run(words, given)


def fresh_box(folder: Path, sticks: Mapping[str, Mapping[str, str]] | None = None) -> Machine:
    machine = image_in(folder, Mounts(folder, sticks or {}))
    (machine.conf_dir / "10.conf").write_text(LISTENER)
    return machine


async def test_a_box_that_is_told_nothing_waits_with_a_code(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    machine = fresh_box(tmp_path)
    said = await first_boot(machine)
    assert "addresses by DHCP" in said[0]
    code = code_of(machine.state_dir)
    assert len(code) == 9
    assert code not in "".join(said), "the log is no place for it"
    assert (machine.state_dir / "setup.json").stat().st_mode & 0o077 == 0
    assert await first_boot(machine) == [], "once is enough"
    assert code_of(machine.state_dir) == code


async def test_a_stick_brings_a_whole_configuration(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    files = {
        "conf.d/60-carrier.conf": "[trunk carrier-a]\ngateways = 192.0.2.10\n",
        "conf.d/90-accounts.conf": f"[account olga]\nrole = administrator\npassword-hash = {HASH}\n",
        "conf.d/.Trash/x.conf": "nonsense",
        "hostname": "box-9\n",
        "letter.txt": "not for the box",
    }
    machine = fresh_box(tmp_path, {"JACKFIELD": files})
    said = await first_boot(machine)
    assert said == ["the stick JACKFIELD: took 60-carrier.conf, 90-accounts.conf, 90-host-name.conf"]
    found = load_settings(machine.conf_dir)
    assert (set(found.trunks), found.appliance.name) == ({"carrier-a"}, "box-9")
    assert code_of(machine.state_dir) == "", "who has an administrator needs no code"
    assert (machine.conf_dir / "60-carrier.conf").stat().st_mode & 0o007 == 0


async def first_boot_with_late(box: Machine, label: str) -> None:
    """A first start whose kernel finds this drive four seconds later than the rest."""
    device = box.root / "dev/disk/by-label" / label
    device.unlink()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _found() -> None:
            await trio.sleep(4)
            device.touch()

        await first_boot(box)


async def test_a_drive_that_is_found_late_is_waited_for(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    box = fresh_box(tmp_path, {"JACKFIELD": {"60-name.conf": "[appliance]\nname = late\n"}})
    await first_boot_with_late(box, "JACKFIELD")
    assert (box.conf_dir / "60-name.conf").exists()


async def test_a_cd_with_a_seed_is_waited_for_where_a_stick_is_there_at_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    box = fresh_box(
        tmp_path,
        {"JACKFIELD": {"60-more.conf": "[user 2001]\n"}, "cidata": {"meta-data": "local-hostname: late\n"}},
    )
    await first_boot_with_late(box, "cidata")
    assert {one.name for one in box.conf_dir.iterdir()} >= {"60-more.conf", "90-host-name.conf"}


async def test_drop_ins_may_lie_in_the_root_of_the_stick_in_capitals(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    machine = fresh_box(tmp_path, {"JACKFIELD": {"60-MORE.CONF".lower(): "[user 2001]\n", "README.TXT": "x"}})
    await first_boot(machine)
    assert set(load_settings(machine.conf_dir).users) == {"2001"}


async def test_a_stick_with_a_mistake_changes_nothing_and_says_where(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    files = {"conf.d/60-good.conf": "[user 2001]\n", "conf.d/70-bad.conf": "[user 2002]\npasswrod = x\n"}
    machine = fresh_box(tmp_path, {"JACKFIELD": files})
    said = await first_boot(machine)
    assert said[0].startswith("the stick JACKFIELD: nothing was taken. conf.d/70-bad.conf:2: [user 2002] passwrod")
    assert any("70-bad.conf:2" in one for one in gather(machine, machine.conf_dir, machine.state_dir).faults)
    assert set(load_settings(machine.conf_dir).users) == set()
    assert code_of(machine.state_dir)
    assert (machine.own / MARK).exists()


async def test_a_stick_that_cannot_be_mounted_is_told(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    programs = Programs(answers={"mount": Ran(32, "wrong fs type")})
    machine = image_in(tmp_path, programs)
    (machine.conf_dir / "10.conf").write_text(LISTENER)
    (tmp_path / "dev/disk/by-label").mkdir(parents=True)
    (tmp_path / "dev/disk/by-label/JACKFIELD").touch()
    assert "wrong fs type" in (await first_boot(machine))[0]


async def test_a_seed_of_cloud_init_gives_name_files_and_addresses(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    seed = {"user-data": USER_DATA, "meta-data": "instance-id: i-1\nlocal-hostname: other\n", "network-config": NETWORK}
    machine = fresh_box(tmp_path, {"CIDATA": seed})
    said = await first_boot(machine)
    assert "the seed of cloud-init: took 60-more.conf, 90-host-name.conf, 90-network.conf, lists/agents.dn" in said
    assert "the seed of cloud-init: the file /etc/shadow was left out, this box does not know it" in said
    assert any("packages of user-data" in one for one in said)
    found = load_settings(machine.conf_dir)
    card = found.interfaces["en*"]
    assert found.appliance.name == "box-7"
    assert [str(one) for one in card.address] == ["192.0.2.5/24", "2001:db8::5/64"]
    assert (card.gateway, card.dns, card.search) == (("192.0.2.1",), ("192.0.2.53",), ("example.com",))
    assert (machine.conf_dir / "lists/agents.dn").read_text() == "2100 aor:2001\n"


def test_the_first_version_of_network_config_is_read_too() -> None:
    text = """
version: 1
config:
  - type: physical
    name: eth0
    subnets:
      - {type: static, address: 192.0.2.5, netmask: 255.255.255.0, gateway: 192.0.2.1, dns_nameservers: [192.0.2.53]}
  - type: physical
    name: eth1
    subnets: [{type: dhcp}]
"""
    written = read_seed_untrusted(b"", b"", text.encode()).files["90-network.conf"].decode()
    assert "[interface eth0]\naddress = 192.0.2.5/24\ngateway = 192.0.2.1\ndns = 192.0.2.53\n" in written
    assert "[interface eth1]\naddress = dhcp\n" in written


@pytest.mark.parametrize(
    ("path", "why"), [("../../shadow", "no name for a file"), (".hidden.conf", "no name"), ("a b.conf", "no name")]
)
async def test_a_name_that_leads_elsewhere_is_refused(
    tmp_path: Path, path: str, why: str, autojump_clock: trio.testing.MockClock
) -> None:
    data = f"#cloud-config\nwrite_files: [{{path: '/etc/jackfield/conf.d/{path}', content: x}}]\n"
    machine = fresh_box(tmp_path, {"CIDATA": {"user-data": data, "meta-data": "", "network-config": ""}})
    assert why in (await first_boot(machine))[0]
    assert [file.name for file in machine.conf_dir.iterdir()] == ["10.conf"]


def smbios(*texts: bytes) -> bytes:
    return bytes([11, 5, 0, 0, len(texts)]) + b"\0".join(texts) + b"\0\0"


async def test_credentials_are_found_wherever_the_machine_has_them(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    machine = fresh_box(tmp_path)
    system, dmi = tmp_path / "run/credentials/@system", tmp_path / "sys/firmware/dmi/entries/11-0"
    firmware = tmp_path / "sys/firmware/qemu_fw_cfg/by_name/opt"
    for folder in (system, dmi, firmware / "jackfield/conf.70-c", firmware / "io.systemd.credentials/other.x"):
        folder.mkdir(parents=True)
    (system / "jackfield.conf").write_text("[user 2001]\n")
    (firmware / "jackfield/conf.70-c/raw").write_text("[user 2003]\n")
    packed = base64.b64encode(b"[user 2002]\n")
    (dmi / "raw").write_bytes(
        smbios(
            b"a vendor's own",
            b"io.systemd.credential:jackfield.hostname=box-3",
            b"io.systemd.credential.binary:jackfield.conf.60-b=" + packed,
            b"io.systemd.credential:jackfield.conf=[user 9]",
        )
    )
    assert set(credentials(machine, {})) == {"conf", "conf.60-b", "conf.70-c", "hostname"}
    said = await first_boot(machine)
    assert "took 50-credential.conf, 60-b.conf, 70-c.conf, 90-host-name.conf" in said[0]
    found = load_settings(machine.conf_dir)
    assert (set(found.users), found.appliance.name) == ({"2001", "2002", "2003"}, "box-3")


def test_a_service_gets_its_credentials_from_systemd(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given/jackfield.hostname").write_text("box-4")
    found = credentials(Machine(tmp_path), {"CREDENTIALS_DIRECTORY": str(tmp_path / "given")})
    assert found == {"hostname": b"box-4"}


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=300) | st.binary(max_size=100).map(lambda one: smbios(b"io.systemd.credential.binary:" + one))
)
def test_any_smbios_entry_is_read_or_passed_over(data: bytes) -> None:
    list(smbios_credentials_untrusted(data))


_YAML = st.text("abc:-[]{}&*!|> \n'\"#0123456789./", max_size=200)


@settings(max_examples=150, deadline=None)
@given(_YAML, _YAML, _YAML)
def test_any_seed_is_read_or_refused(user: str, meta: str, network: str) -> None:
    try:
        read_seed_untrusted(b"#cloud-config\n" + user.encode(), meta.encode(), network.encode())
    except Refused:
        pass


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 60_000, "- " * 100_000, "? " * 100_000])
def test_a_seed_that_is_nested_without_end_is_refused_at_once(text: str) -> None:
    with pytest.raises(Refused, match="nested more than 64 deep"):
        read_seed_untrusted(b"#cloud-config\n" + text.encode(), b"", b"")


@pytest.mark.parametrize(
    "text",
    [
        "write_files: x",
        "write_files: [1, {path: 3}]",
        "hostname: [a]",
        "a: &a [*a]",
        "[" * 5000,
        "x: !!python/object:os.system",
    ],
)
def test_a_seed_of_strange_shape_does_no_harm(text: str) -> None:
    try:
        seed = read_seed_untrusted(
            b"#cloud-config\n" + text.encode(), b"", b"version: 2\nethernets: {a: 3, b: {routes: [1]}}"
        )
    except Refused:
        return
    assert seed.host_name == ""
