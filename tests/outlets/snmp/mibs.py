"""The MIB modules that the tools need: ours, and those of the SMI, which come with the npm package net-snmp."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.peers.processes import PeerError, program

ROOT = Path(__file__).parents[3]
OURS = ROOT / "appliance" / "outlets" / "snmp" / "mibs" / "JACKFIELD-MIB.txt"
BASE = ROOT / "tests" / "browser" / "node_modules" / "net-snmp" / "lib" / "mibs"


def mib_directory(directory: Path, ours: Path = OURS) -> Path:
    """A directory with all of them, under the names that libsmi and net-snmp look for."""
    made = directory / "mibs"
    made.mkdir(exist_ok=True)
    if not BASE.is_dir():
        raise PeerError(
            "the npm package net-snmp is not installed: scripts/test installs the packages of tests/browser"
        )
    for module in ("SNMPv2-SMI", "SNMPv2-TC", "SNMPv2-CONF"):
        shutil.copy(BASE / f"{module}.mib", made / module)
    shutil.copy(ours, made / "JACKFIELD-MIB")
    return made


def lint(directory: Path, file: Path = OURS) -> str:
    """What smilint has to say at its strictest; its exit status is 0 even on errors."""
    made = mib_directory(directory, file)
    conf = directory / "smi.conf"
    conf.write_text(f"path {made}\n")
    done = subprocess.run(
        [program("smilint"), "-c", str(conf), "-l", "6", str(made / "JACKFIELD-MIB")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr
