"""Run in a network and mount namespace of its own, by test_networkd.py: boxd's trial of addresses on a real networkd.

Prints a line for each step.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import trio

from appliance.box import network_change
from appliance.box.boxd import VERBS, answer_untrusted
from appliance.box.machine import Machine, Ran, run_program
from appliance.box.verb import Json, Peer

NETWORKD = "/usr/lib/systemd/systemd-networkd"
CONF = "[listener udp]\ntransport = udp\nport = 5060\n[interface eth0]\naddress = {}/24\ngateway = {}\n"
OLD = CONF.format("192.0.2.5", "192.0.2.1")
NEW = CONF.format("198.51.100.7", "198.51.100.1")
TABLE = {one.name: one for one in VERBS}
TRIAL_S = 12


def prepare(root: Path) -> None:
    """Everything here is the namespaces' own."""
    for folder in (
        "run/systemd/network",
        "run/systemd/netif/links",
        "run/systemd/netif/leases",
        "run/dbus",
        "data/box",
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for words in (
        "mount --make-rprivate /",
        f"mount --bind {root}/run/systemd /run/systemd",
        "mkdir -p /run/dbus",
        f"mount --bind {root}/run/dbus /run/dbus",
        "mount -t sysfs -o ro sysfs /sys",  # read-only, so that networkd does not wait for udev
        "chown -R systemd-network:systemd-network /run/systemd/netif",
        "ip link set lo up",
        "ip link add eth0 type veth peer name eth1",
        "ip link set eth1 up",
    ):
        subprocess.run(words.split(), check=True)


@contextmanager
def running(*words: str) -> Iterator[None]:
    """A daemon, for as long as the block lasts."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


async def run_when_heard(words: Sequence[str], given: bytes) -> Ran:
    """networkd takes a moment to come to the bus."""
    for _ in range(600):
        ran = await run_program(words, given)
        if not ran.code or words[0] != "networkctl":
            break
        await trio.sleep(0.1)
    return ran


async def has(address: str) -> None:
    """The kernel has this address, and its route, and the other one no more."""
    other = {"192.0.2.5": "198.51.100.7", "198.51.100.7": "192.0.2.5"}[address]
    with trio.fail_after(60):
        while True:
            found = (await run_program(["ip", "-br", "address", "show", "dev", "eth0"])).output
            routes = (await run_program(["ip", "route"])).output
            if f"{address}/24" in found and other not in found and f"via {address.rpartition('.')[0]}.1" in routes:
                print(address, flush=True)
                return
            await trio.sleep(0.1)


async def ask(machine: Machine, verb: str, **words: Json) -> None:
    answer = await answer_untrusted(json.dumps({"verb": verb, **words}).encode(), Peer(1, 0), machine, TABLE)
    assert answer["ok"], answer


async def main(root: Path) -> None:
    machine = Machine(root, run_when_heard)
    drop_in = machine.conf_dir / "network.conf"
    drop_in.write_text(OLD)
    await network_change.begin(machine)
    await has("192.0.2.5")
    drop_in.write_text(NEW)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network_change.watch, machine)
        await ask(machine, "network-apply", seconds=TRIAL_S)
        await has("198.51.100.7")
        await has("192.0.2.5")  # nobody has confirmed
        await ask(machine, "network-apply", seconds=TRIAL_S)
        await has("198.51.100.7")
        await ask(machine, "network-confirm")
        await trio.sleep(TRIAL_S + 1)
        await has("198.51.100.7")
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    prepare(Path(sys.argv[1]))
    with running("dbus-daemon", "--system", "--nofork", "--nopidfile"), running(NETWORKD):
        trio.run(main, Path(sys.argv[1]))
