"""A box of the image looked at from within: its units, what it needs of memory, and what lynis finds.

Long: `scripts/test image`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.accounts.account import hash_password
from tests.image.examination import Examination
from tests.image.qemu import Box, Operator
from tests.peers.ports import free_port

pytestmark = pytest.mark.skipif(not os.environ.get("JACKFIELD_LONG"), reason="some minutes: scripts/test image")

PASSWORD = "right-horse-battery"
CONF = (
    f"[account operator]\nrole = administrator\npassword-hash = {hash_password(PASSWORD)}\n"
    "[snmp]\nenabled = yes\nauth-password = for-authentication\nprivacy-password = for-privacy\n"
    "[time]\nservers = 10.0.2.2\n"
)
GROWN_BYTES = 1 << 30
MOST_MEMORY_MIB = 512
USERS, ROOTS = 2.5, 3.1
"""The most that a unit may have of what systemd-analyze counts, and the one that is boxd's."""
README = Path(__file__).parents[2] / "firmware-image" / "README.md"
LYNIS_S = 1500
LYNIS = shutil.which("lynis", path="/usr/sbin")


@pytest.fixture(scope="module")
def inside(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examination]:
    """The shell of a box that has been well since its first start."""
    folder = tmp_path_factory.mktemp("inside")
    [raw] = image.glob("*-vm.raw")
    disk = folder / "disk.raw"
    subprocess.run(["cp", "--sparse=always", raw, disk], check=True)
    os.truncate(disk, raw.stat().st_size + GROWN_BYTES)
    box = Box(disk, CONF, sticks=(lynis(folder),) if LYNIS else (), forwards={free_port(): 161})
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


def lynis(folder: Path) -> Path:
    """What examines, as a disk: the box has no way to install it."""
    tree, made = folder / "lynis", folder / "lynis.squashfs"
    tree.mkdir()
    for given in ("/usr/share/lynis", "/etc/lynis"):
        shutil.copytree(given, tree, dirs_exist_ok=True)
    shutil.copy("/usr/sbin/lynis", tree)
    subprocess.run(["mksquashfs", tree, made, "-all-root", "-quiet", "-no-progress"], check=True)
    return made


def test_all_units_are_well_and_nobody_can_log_in(inside: Examination) -> None:
    assert inside.run("systemctl is-system-running --wait") == "running"
    assert inside.run("systemctl --failed --plain --no-legend") == ""
    assert inside.run("pgrep -a getty") == ""
    assert inside.run("cut -d: -f2 /etc/shadow | grep -v '^[!*]'") == ""
    assert inside.run("find / -xdev -perm /6000 -type f") == ""


def test_units_of_ours_are_shut_in(inside: Examination) -> None:
    said = inside.run("systemd-analyze security --no-pager 'jackfield*'", 300)
    levels = {name: float(level) for name, level in re.findall(r"^(jackfield\S*)\.service\s+([0-9.]+)", said, re.M)}
    print(f"\n{levels}")
    assert levels.pop("jackfield-boxd") < ROOTS
    assert {"jackfield", "jackfield-console@ttyS0", "jackfield-firstboot", "jackfield-watchdog"} <= set(levels)
    assert max(levels.values()) < USERS, levels


def test_what_the_units_are_left_suffices_for_their_work(inside: Examination) -> None:
    """Machines of QEMU have no watchdog of their own; chrony is asked and told as boxd does it."""
    assert inside.run("lsmod | grep -c ^softdog") == "1"
    assert inside.run("cat /sys/class/watchdog/watchdog0/state") == "active"
    limits = "-p RestrictAddressFamilies='AF_UNIX AF_NETLINK' -p IPAddressDeny=any -p ProtectProc=invisible"
    limits += " -p DevicePolicy=closed -p DeviceAllow='block-* rw' -p DeviceAllow='char-rtc rw'"
    run = f"systemd-run --quiet --pipe --wait {limits}"
    assert inside.run(f"{run} chronyc -c tracking").count(",") == 13
    assert "200 OK" in inside.run(f"{run} chronyc reload sources")
    assert inside.run(f"{run} hwclock --show >/dev/null && echo it is read") == "it is read"
    said = inside.run("journalctl --no-pager -b -o cat -u 'jackfield*'")
    for fault in ("Operation not permitted", "Permission denied", "Traceback"):
        assert fault not in said, said


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


@pytest.mark.skipif(not LYNIS, reason="lynis is not installed")
def test_lynis_finds_nothing_that_is_not_explained(inside: Examination) -> None:
    explained = set(re.findall(r"`([A-Z]{3,5}(?:-[0-9]{4})?)`", README.read_text()))
    inside.run("mkdir -p /run/lynis && mount -t squashfs -o ro /dev/vdb /run/lynis")
    words = "./lynis audit system --quick --no-colors --quiet --profile ./default.prf"
    inside.run(f"cd /run/lynis && {words} --logfile /run/lynis.log --report-file /run/lynis.dat", LYNIS_S)
    found = inside.run(r"grep -E '^(warning|suggestion)\[\]=|^hardening_index' /run/lynis.dat")
    print(f"\n{found}")
    said = re.findall(r"^(?:warning|suggestion)\[\]=([A-Z]+(?:-[0-9]+)?)", found, re.MULTILINE)
    assert "hardening_index" in found
    assert set(said) <= explained, sorted(set(said) - explained)
