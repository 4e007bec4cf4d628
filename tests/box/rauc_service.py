"""The real rauc service on a message bus of its own, with the real grub-editenv; only the start of a machine is played.

`Slots` are files. GRUB's part (choosing a slot and counting tries, firmware-image/grub/grub.cfg) is done by `start`;
the true one runs in tests/image.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from appliance.box.machine import Machine, Ran, run_program
from tests.box.bundles import Signer, trusting_box


@attrs.define
class StartedBox:
    """`machine` runs real programs, but of systemd's only what `answers` says."""

    folder: Path
    machine: Machine
    signer: Signer
    environment: dict[str, str]
    ran: list[str] = attrs.field(factory=list)
    service: subprocess.Popen[bytes] | None = None
    slot: str = ""
    fault: str = ""
    """What is wrong with the box of now, before anything is installed on it."""

    def environment_block(self) -> dict[str, str]:
        """GRUB's."""
        words = ["grub-editenv", self.folder / "efi/grub/grubenv", "list"]
        lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def start(self, version: str = "") -> str:
        """Power on: GRUB chooses a slot and counts the try. `version` is that of the image there."""
        self.stop()
        block = self.environment_block()
        well = [one for one in block["ORDER"].split() if block[f"{one}_OK"] == "1" and block[f"{one}_TRY"] != "3"]
        self.slot = well[0]
        tries = int(block[f"{self.slot}_TRY"]) + 1
        self._set(f"{self.slot}_TRY={tries}")
        if version:
            (self.folder / "etc/os-release").write_text(f"IMAGE_ID=jackfield\nIMAGE_VERSION={version}\n")
        words = ["rauc", f"--conf={self.folder}/etc/rauc/system.conf", f"--override-boot-slot={self.slot}", "service"]
        with (self.folder / "service.log").open("ab") as log:
            self.service = subprocess.Popen(words, env=self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while subprocess.run(["rauc", "status"], env=self.environment, capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, (self.folder / "service.log").read_text()
            time.sleep(0.05)
        return self.slot

    def write_slot(self, slot: str, version: str) -> None:
        """What rauc does at an installation, whose dm-verity needs a kernel of one's own: see tests/image."""
        self._set(f"{slot}_OK=1", f"{slot}_TRY=0", f"ORDER={slot} {'A' if slot == 'B' else 'B'}")
        (self.folder / f"slot-{slot.lower()}").write_bytes(b"hsqs" + version.encode())

    def stop(self) -> None:
        if self.service is not None:
            self.service.terminate()
            self.service.wait(60)
            self.service = None

    def _set(self, *pairs: str) -> None:
        subprocess.run(["grub-editenv", self.folder / "efi/grub/grubenv", "set", *pairs], check=True)


@contextmanager
def started_box(folder: Path, signer: Signer) -> Iterator[StartedBox]:
    """From slot A, version 1.2.3; slot B is empty, as on a new disk."""
    trusting_box(folder, signer)
    (folder / "slot-a").write_bytes(b"hsqs" + bytes(1 << 20))
    (folder / "slot-b").write_bytes(bytes(1 << 20))
    words = ["dbus-daemon", "--session", "--nofork", "--print-address=1"]
    bus = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert bus.stdout is not None
    address = bus.stdout.readline().decode().strip()
    environment = os.environ | {"DBUS_STARTER_BUS_TYPE": "session", "DBUS_SESSION_BUS_ADDRESS": address}

    async def run(words: tuple[str, ...], given: bytes) -> Ran:
        box.ran.append(" ".join(words))
        if words[0].startswith("system"):
            return Ran(3 if "is-active" in words else 0, "")
        return await run_program(("env", *(f"{name}={environment[name]}" for name in _BUS), *words), given)

    box = StartedBox(folder, Machine(folder, run), signer, environment)  # type: ignore[arg-type]
    grubenv = folder / "efi/grub/grubenv"
    subprocess.run(["grub-editenv", grubenv, "create"], check=True)
    box._set("ORDER=A B", "A_OK=1", "A_TRY=0", "B_OK=0", "B_TRY=0")
    try:
        box.start()
        yield box
    finally:
        box.stop()
        bus.terminate()
        bus.wait(60)
        bus.stdout.close()


_BUS = ("DBUS_STARTER_BUS_TYPE", "DBUS_SESSION_BUS_ADDRESS")
