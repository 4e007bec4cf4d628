"""Addresses on trial with the kernel's own network and a real systemd-networkd, in a namespace of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.box import networkd_trial
from tests.box.machines import image_in

ROOT = Path(__file__).parent.parent.parent


def _cannot() -> str:
    """Why this machine cannot show it, "" where it can."""
    if os.geteuid():
        return "needs root, for a network namespace"
    if not Path(networkd_trial.NETWORKD).exists() or shutil.which("dbus-daemon") is None:
        return "systemd-networkd or dbus-daemon is not installed"
    tried = ["unshare", "--net", "--mount", "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]
    return "" if not subprocess.run(tried, capture_output=True, check=False).returncode else "no namespaces, or no veth"


@pytest.mark.skipif(bool(_cannot()), reason=_cannot())
def test_addresses_that_nobody_confirms_go_away_and_those_that_are_confirmed_stay(tmp_path: Path) -> None:
    image_in(tmp_path)
    boot_id = tmp_path / "proc/sys/kernel/random/boot_id"
    boot_id.parent.mkdir(parents=True)
    boot_id.write_text("one\n")
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.geteuid() and folder.name.startswith("pytest-"):
            folder.chmod(0o755)  # networkd reads its files as a user of its own
    done = subprocess.run(
        ["unshare", "--net", "--mount", sys.executable, "-m", "tests.box.networkd_trial", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["192.0.2.5", "198.51.100.7", "192.0.2.5", "198.51.100.7", "198.51.100.7"]
