"""snmpd as the unit of the image starts it: its engine outlives a start, and a new password counts at once."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.image.build import ROOT
from tests.peers.ports import free_port

pytestmark = pytest.mark.skipif(not shutil.which("snmpd", path=f"{os.environ['PATH']}:/usr/sbin"), reason="no snmpd")

UNIT = ROOT / "firmware-image/root/usr/lib/systemd/system/snmpd.service.d/jackfield.conf"
START_S = 30
ENGINE, BOOTS = "1.3.6.1.6.3.10.2.1.1.0", "1.3.6.1.6.3.10.2.1.2.0"


def asked_after_a_start(folder: Path, password: str) -> list[str]:
    """Engine ID and count of starts."""
    own, run, port = folder / "var/lib/snmp", folder / "run", free_port()
    own.mkdir(parents=True, exist_ok=True)
    run.mkdir(exist_ok=True)
    (run / "snmpd.conf").write_text(
        f"createUser jackfield SHA-256 {password} AES for-privacy\nrouser jackfield authPriv\n"
        f"agentAddress udp:127.0.0.1:{port}\n"
    )
    lines = dict(line.partition("=")[::2] for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#")
    variable, _, path = lines["Environment"].partition("=")
    words = lines["ExecStart"].replace("-u Debian-snmp -g Debian-snmp ", "").split()
    environment = os.environ | {
        variable: path.replace("/var/lib/snmp", str(own)).replace("/run", str(run)),
        "SNMP_PERSISTENT_DIR": str(own),
    }
    agent = subprocess.Popen([*words, "-p", folder / "pid"], env=environment, stderr=subprocess.DEVNULL)
    try:
        return _ask(port, password)
    finally:
        agent.terminate()
        agent.wait(30)


def _ask(port: int, password: str) -> list[str]:
    words = ["snmpget", "-v3", "-l", "authPriv", "-u", "jackfield", "-a", "SHA-256", "-A", password, "-x", "AES"]
    words += ["-X", "for-privacy", "-t", "1", "-r", "0", "-Oqvx", f"127.0.0.1:{port}", ENGINE, BOOTS]
    until = time.monotonic() + START_S
    while True:
        said = subprocess.run(words, capture_output=True, text=True)
        if said.returncode == 0:
            *engine, boots = said.stdout.split()
            return ["".join(engine).strip('"'), boots]
        assert time.monotonic() < until, said.stderr
        time.sleep(0.1)


def test_its_engine_outlives_a_start_and_a_new_password_counts(tmp_path: Path) -> None:
    engine, boots = asked_after_a_start(tmp_path, "first-password")
    assert asked_after_a_start(tmp_path, "first-password") == [engine, str(int(boots) + 1)]
    assert asked_after_a_start(tmp_path, "other-password") == [engine, str(int(boots) + 2)]
