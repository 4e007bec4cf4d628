"""A change of addresses on the console of a box in QEMU: it goes back by itself, over a restart too, unless it is kept.

Long: `scripts/test image`. QEMU leads a port of loopback to each of the addresses.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import httpx
import pytest

from appliance.accounts.account import hash_password
from tests.image.qemu import Box, Operator
from tests.peers.ports import free_port

pytestmark = pytest.mark.skipif(not os.environ.get("JACKFIELD_LONG"), reason="some minutes: scripts/test image")

PASSWORD = "right-horse-battery"
OLD, NEW, THIRD = "10.0.2.77", "10.0.2.78", "10.0.2.79"
CONF = (
    f"[interface e*]\naddress = {OLD}/24\ngateway = 10.0.2.2\n"
    f"[account operator]\nrole = administrator\npassword-hash = {hash_password(PASSWORD)}\n"
    "[time]\nservers = 10.0.2.2\n"
)
PRESS_S, RETURN_S = 300, 600
"""The trial is two minutes long; a box that is emulated takes its time over all else."""


def change_on_console(box: Box, address: str) -> None:
    """To this one; it is then on trial."""
    box.wait("the menu", lambda: "Press a number" in box.shown())
    for keys, shows in (
        ("1", "s  addresses of your own"),
        ("s", "Card:"),
        ("\r", "Address with its length"),
        ("\x7f" * 20 + f"{address}/24\r", "Gateway:"),
        ("10.0.2.2\r", "Name servers:"),
        ("\r", "Keep these addresses?"),
    ):
        box.press(keys, shows, PRESS_S)


def test_new_addresses_go_back_by_themselves_unless_they_are_kept(image: Path, tmp_path: Path) -> None:
    [raw] = image.glob("*-vm.raw")
    disk, there, further = tmp_path / "disk.raw", free_port(), free_port()
    subprocess.run(["cp", "--sparse=always", raw, disk], check=True)
    box = Box(disk, CONF, address=OLD, elsewhere={there: NEW, further: THIRD})

    def only_at(port: int) -> bool:
        return box.answers(port) and not any(box.answers(one) for one in {box.https, there, further} - {port})

    box.power_on()
    try:
        box.wait_for_start()
        operator = Operator(box, "operator", PASSWORD)
        operator.sign_in()

        change_on_console(box, NEW)
        box.wait("the page at the new address", lambda: only_at(there), RETURN_S)
        print(f"back after {box.wait('the page at the old address', lambda: only_at(box.https), RETURN_S):.0f} s")
        box.wait("the console to say so", lambda: "The old addresses are back" in box.shown(), RETURN_S)

        change_on_console(box, NEW)
        box.wait("the page at the new address", lambda: only_at(there), RETURN_S)
        operator.client.base_url = httpx.URL(f"https://127.0.0.1:{there}")
        confirmed = operator.client.post("/do/machine", data={"action": "confirm", "token": operator.token})
        assert confirmed.json()["ok"], confirmed.text
        box.press("o", "The addresses are kept.", PRESS_S)  # for they were, by the page

        change_on_console(box, THIRD)
        box.wait("the page at the third address", lambda: only_at(further), RETURN_S)
        box.power_cut()
        box.power_on()
        box.wait("the page where it was confirmed", lambda: only_at(there))
    finally:
        box.power_cut()
        disk.unlink()
