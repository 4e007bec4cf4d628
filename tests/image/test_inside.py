"""A box of the image looked at from within: its units, what it needs of memory, and what lynis finds.

Long: `scripts/test image`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.accounts.account import hash_password
from tests.image.examination import Examination
from tests.image.qemu import Box, Operator
from tests.image.sticks import stick
from tests.image.test_units import MOST, UNITS
from tests.peers.ports import free_port

pytestmark = pytest.mark.skipif(not os.environ.get("JACKFIELD_LONG"), reason="some minutes: scripts/test image")

PASSWORD = "right-horse-battery"
CONF = (
    "[appliance]\nname = box-7\n"
    f"[account operator]\nrole = administrator\npassword-hash = {hash_password(PASSWORD)}\n"
    "[snmp]\nenabled = yes\nauth-password = for-authentication\nprivacy-password = for-privacy\n"
)
GROWN_BYTES = 1 << 30
MOST_MEMORY_MIB = 512
README = Path(__file__).parents[2] / "firmware-image" / "README.md"
LYNIS_S = 3600
TAKE_UP_S = 120
PROFILE = (
    ("^plugin=debian\n", ""),
    ("^ssl-certificate-paths=.*", "ssl-certificate-paths=/data/jackfield"),
)
"""What is Debian's own would take half of its time: how packages are kept up to date, and a hundred authorities."""
STICK = {"conf.d/60-time.conf": "[time]\nservers = 10.0.2.2\n", "jackfield-9.9.9.raucb": "no bundle at all"}
OFFS = {
    "haproxy": (
        "haproxy.cfg",
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n"
        "listen one\n bind 127.0.0.1:7000\n server one 127.0.0.1:5060\n",
    ),
    "keepalived": (
        "keepalived.cfg",
        "vrrp_instance one {\n interface CARD\n virtual_router_id 7\n virtual_ipaddress {\n 192.0.2.9\n }\n}\n",
    ),
    "redis-server": ("redis.cfg", "bind 127.0.0.1\ndir /var/lib/redis\n"),
}
"""Units that a box has and does not run, and what turns each on."""
CLOCKS = "date --utc +%F", "hwclock --utc --show"
LYNIS = shutil.which("lynis", path="/usr/sbin")


@pytest.fixture(scope="module")
def inside(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examination]:
    """The shell of a box that has been well since its first start."""
    folder = tmp_path_factory.mktemp("inside")
    [raw] = image.glob("*-vm.raw")
    disk = folder / "disk.raw"
    subprocess.run(["cp", "--sparse=always", raw, disk], check=True)
    os.truncate(disk, raw.stat().st_size + GROWN_BYTES)
    box = Box(disk, CONF, sticks=(stick(folder, "JACKFIELD", STICK), *lynis(folder)), forwards={free_port(): 161})
    examination = Examination(box)
    box.power_on()
    try:
        box.wait_for_start()
        operator = Operator(box, "operator", PASSWORD)
        operator.sign_in()
        box.wait("the health check", lambda: operator.status()["slots"][0]["state"] == "well")  # type: ignore[index]
        with examination:
            yield examination
    finally:
        box.power_cut()
        disk.unlink()


def lynis(folder: Path) -> Iterator[Path]:
    """What examines, as a disk: the box has no way to install it."""
    if not LYNIS:
        return
    tree, made = folder / "lynis", folder / "lynis.squashfs"
    tree.mkdir()
    for given in ("/usr/share/lynis", "/etc/lynis"):
        shutil.copytree(given, tree, dirs_exist_ok=True)
    shutil.copy(LYNIS, tree)
    profile = (tree / "default.prf").read_text()
    for line, instead in PROFILE:
        profile, changed = re.subn(line, instead, profile, flags=re.MULTILINE)
        assert changed == 1, line
    (tree / "default.prf").write_text(profile)
    subprocess.run(["mksquashfs", tree, made, "-all-root", "-quiet", "-no-progress"], check=True)
    yield made


def test_all_units_are_well_and_nobody_can_log_in(inside: Examination) -> None:
    assert inside.run("systemctl is-system-running --wait") == "running"
    assert inside.run("systemctl --failed --plain --no-legend") == ""
    assert inside.run("pgrep -a getty") == ""
    assert inside.run("cut -d: -f2 /etc/shadow | grep -v '^[!*]'") == ""
    assert inside.run("find / -xdev -perm /6000 -type f") == ""


def test_units_of_ours_are_shut_in(inside: Examination) -> None:
    ours = "systemctl list-units --all --plain --no-legend 'jackfield*.service' | cut -d' ' -f1"
    said = inside.run(f"for unit in $({ours}); do systemd-analyze security --no-pager $unit | tail -1; done")
    levels = {name: float(level) for name, level in re.findall(r"level for (\S+)\.service: ([0-9.]+)", said)}
    print(f"\n{levels}")
    assert {
        "jackfield",
        "jackfield-boxd",
        "jackfield-console@ttyS0",
        "jackfield-firstboot",
        "jackfield-watchdog",
    } <= set(levels)
    assert max(levels.values()) < MOST, levels


def test_what_the_units_are_left_suffices_for_their_work(inside: Examination) -> None:
    """Machines of QEMU have no watchdog of their own."""
    assert inside.run("lsmod | grep -c ^softdog") == "1"
    assert inside.run("cat /sys/class/watchdog/watchdog0/state") == "active"
    assert "'jackfield-9.9.9.raucb'" in boxd(inside, "'update-find'"), "it mounts sticks"
    assert "'server': ''" in boxd(inside, "'time'"), "it asks chrony"
    assert "200 OK" in inside.run(f"systemd-run --quiet --pipe --wait {boxds_limits()} chronyc reload sources")
    assert inside.run("hostname") == "box-7", "it names the machine"
    tomorrow, today = (inside.run(f"date --utc --date {day} '+%F %R'") for day in ("tomorrow", "now"))
    for utc in (tomorrow, today):
        assert boxd(inside, f"'time-set', utc='{utc}'") == "{'ok': True}", "it sets both clocks"
        assert [inside.run(f"{clock} | cut -c 1-10") for clock in CLOCKS] == [utc[:10]] * len(CLOCKS)
    boxd(inside, "'update-install', file='jackfield-9.9.9.raucb', stick='yes'")
    progress = "/run/jackfield-update/progress.json"
    said = inside.run(f"until grep -q failed {progress}; do sleep 1; done; cat {progress}")
    assert "jackfield-9.9.9.raucb is not an update bundle" in said, "an update has a unit of its own"
    inside.run("echo 0.0.1 >/data/box/version; systemctl restart jackfield-new-version")
    assert inside.run("ls /data/box/snapshots; cat /data/box/version").split() == ["0.0.1", "0.1.0"]
    said = inside.run("journalctl --no-pager -b -o cat -u 'jackfield*'")
    for fault in ("not permitted", "Permission denied", "Traceback"):
        assert fault not in said, said


def boxd(inside: Examination, words: str) -> str:
    """What it answers."""
    asked = f"from appliance.box.asking import ask_box; print(ask_box({words}))"
    return inside.run(f'PYTHONSAFEPATH=1 /usr/lib/jackfield/bin/python3 -c "{asked}"')


def boxds_limits() -> str:
    """Those of its unit that keep it from devices and networks, as systemd-run takes them."""
    lines = (UNITS / "jackfield-boxd.service").read_text().splitlines()
    kept = ("ProtectProc=", "DevicePolicy=", "DeviceAllow=", "IPAddressDeny=", "RestrictAddressFamilies=", "SystemCall")
    kept += ("CapabilityBoundingSet=", "Private", "NoNewPrivileges=", "MemoryDenyWriteExecute=")
    return " ".join(f"-p {shlex.quote(line)}" for line in lines if line.startswith(kept))


def test_memory_at_rest(inside: Examination) -> None:
    kib = {line.split(":")[0]: int(line.split()[1]) for line in inside.run("cat /proc/meminfo").splitlines()}
    used = (kib["MemTotal"] - kib["MemAvailable"]) >> 10
    print(f"\nmemory at rest: {used} MiB in use of {kib['MemTotal'] >> 10} MiB, of which (PSS)")
    for name in ("jackfield", "jackfield-boxd", "jackfield-console@tty1", "jackfield-console@ttyS0", "snmpd", "chrony"):
        pid = inside.run(f"systemctl show --property MainPID --value {name}")
        assert pid != "0", f"{name} does not run"
        pss = int(inside.run(f"awk '/^Pss:/ {{print $2}}' /proc/{pid}/smaps_rollup"))
        print(f"    {name}: {pss >> 10} MiB")
    assert used < MOST_MEMORY_MIB


def test_a_listener_of_a_drop_in_opens_its_port_at_the_reload_and_closes_it_again(inside: Examination) -> None:
    """In a moment: the box answers the reload and tells boxd then."""
    opened = "nft list chain inet jackfield input"
    assert "policy drop" in inside.run(opened)
    assert "5099" not in inside.run(opened)
    drop_in = "/data/jackfield/etc/conf.d/99-more.conf"
    inside.run(f"printf '[listener more]\\ntransport = udp\\nport = 5099\\n' >{drop_in} && chmod 644 {drop_in}")
    said = inside.run("jackfield reload")
    said += inside.run(f"timeout {TAKE_UP_S} sh -c 'until {opened} | grep -q 5099; do sleep 1; done' && echo opened")
    assert "opened" in said, said
    said = inside.run(f"rm {drop_in}; jackfield reload")
    said += inside.run(f"timeout {TAKE_UP_S} sh -c 'while {opened} | grep -q 5099; do sleep 1; done' && echo closed")
    assert "closed" in said, said


def test_haproxy_keepalived_and_redis_are_off_until_they_are_configured(inside: Examination) -> None:
    """As at a start of the box: the conditions of their units are looked at anew."""
    assert inside.run(f"systemctl is-active {' '.join(OFFS)}").split() == ["inactive"] * len(OFFS)
    for file, text in OFFS.values():
        text = text.replace("CARD", inside.run("ls /sys/class/net | grep -m 1 ^e"))
        inside.run(f"printf %s {shlex.quote(text)} >/data/jackfield/etc/conf.d/{file}")
    inside.run(f"systemctl start {' '.join(OFFS)}")
    said = inside.run(f"systemctl is-active {' '.join(OFFS)}; systemctl status --no-pager {' '.join(OFFS)}")
    assert said.split()[: len(OFFS)] == ["active"] * len(OFFS), said
    inside.run(f"systemctl stop {' '.join(OFFS)}; rm /data/jackfield/etc/conf.d/*.cfg")


@pytest.mark.skipif(not LYNIS, reason="lynis is not installed")
def test_lynis_finds_nothing_that_is_not_explained(inside: Examination) -> None:
    explained = set(re.findall(r"`([A-Z]{3,5}(?:-[0-9]{4})?)`", README.read_text()))
    inside.run("mkdir -p /run/lynis && mount -t squashfs -o ro /dev/vdc /run/lynis")
    words = "./lynis audit system --quick --no-colors --quiet --profile ./default.prf"
    inside.run(f"cd /run/lynis && {words} --logfile /run/lynis.log --report-file /run/lynis.dat", LYNIS_S)
    found = inside.run(r"grep -E '^(warning|suggestion)\[\]=|^hardening_index' /run/lynis.dat")
    print(f"\n{found}")
    said = re.findall(r"^(?:warning|suggestion)\[\]=([A-Z]+(?:-[0-9]+)?)", found, re.MULTILINE)
    assert "hardening_index" in found
    assert set(said) <= explained, sorted(set(said) - explained)
