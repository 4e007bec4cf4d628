"""The image as it is built, started in QEMU: page, telephone, SNMP and console."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from appliance.accounts.account import hash_password
from tests.image.qemu import Box, Operator
from tests.peers.baresip import Baresip
from tests.peers.ports import free_block, free_port

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")

PASSWORD = "word-of-1001"
SNMP_WORDS = ("for-authentication", "for-privacy")
GROWN_BYTES = 1 << 30
MEDIA_PORTS = 8
SPOKEN_HZ = 700


@attrs.frozen
class Started:
    """A box that answers, and how it is reached from here."""

    box: Box
    sip: int
    snmp: int
    start_s: float
    powered_at: float


@pytest.fixture(scope="module")
def started(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("boot")
    [raw] = image.glob("*-vm.raw")
    disk = folder / "disk.raw"
    subprocess.run(["cp", "--sparse=always", raw, disk], check=True)
    os.truncate(disk, raw.stat().st_size + GROWN_BYTES)
    # What the box tells phones about itself must hold out here: the same ports inside, loopback for an address.
    sip, snmp, media = free_port(), free_port(), free_block(MEDIA_PORTS)
    conf = (
        f"[listener udp]\ntransport = udp\nport = {sip}\n"
        f"[appliance]\nadvertise = 127.0.0.1\n"
        f"[media]\nports = {media}-{media + MEDIA_PORTS - 1}\n"
        f"[user 1001]\npassword = {PASSWORD}\n"
        f"[account operator]\nrole = administrator\npassword-hash = {hash_password(PASSWORD)}\n"
        f"[time]\nservers = 10.0.2.2\n"
        f"[snmp]\nenabled = yes\nauth-password = {SNMP_WORDS[0]}\nprivacy-password = {SNMP_WORDS[1]}\n"
    )
    forwards = {sip: sip, snmp: 161, **{media + n: media + n for n in range(MEDIA_PORTS)}}
    box = Box(disk, conf, forwards=forwards)
    powered_at = time.monotonic()
    box.power_on()
    try:
        yield Started(box, sip, snmp, box.wait_for_start(), powered_at)
    finally:
        box.power_cut()
        print(box.end())


def test_the_status_page_is_there(started: Started) -> None:
    operator = Operator(started.box, "operator", PASSWORD)
    operator.sign_in()
    page = operator.client.get("/").text
    assert "form-token" in page, "not signed in"
    assert operator.status()["version"] == "0.1.0"


def test_a_phone_registers_and_hears_itself_on_the_echo_line(started: Started, tmp_path: Path) -> None:
    registrar = ("127.0.0.1", started.sip)
    with Baresip(tmp_path / "phone", "1001", PASSWORD, registrar=registrar, tone_hz=SPOKEN_HZ) as phone:
        phone.expect_registered(60)
        phone.dial("9196")
        phone.expect_event("CALL_ESTABLISHED", 60)
        heard = phone.expect_tone(SPOKEN_HZ, timeout_s=60)
        since = time.monotonic() - started.powered_at
        print(f"page {started.start_s:.0f} s after power-on, first call heard after {since:.0f} s")
    assert abs(heard - SPOKEN_HZ) < 6


def test_snmpd_answers_by_version_3(started: Started) -> None:
    words = ["snmpget", "-v3", "-l", "authPriv", "-u", "jackfield", "-a", "SHA-256", "-A", SNMP_WORDS[0], "-x", "AES"]
    words += ["-X", SNMP_WORDS[1], "-t", "10", "-r", "5", "-On", f"127.0.0.1:{started.snmp}"]
    answer = subprocess.run([*words, "1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.1.1.0"], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "STRING" in answer.stdout


def test_the_serial_line_shows_state_and_menu(started: Started) -> None:
    shown = started.box.shown
    started.box.wait("the menu", lambda: "Press a number" in shown(), 120)
    for entry in ("1  Network", "2  Time", "3  Password", "5  Self-test", "8  Previous version", "9  Factory reset"):
        assert entry in shown()
    started.box.wait("address and fingerprint", lambda: "https://10.0.2." in shown() and "SHA-256" in shown(), 120)
