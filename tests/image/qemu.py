"""A Jackfield image in QEMU, emulated throughout (-accel tcg), reached by ports of loopback and a serial console.

Each wait has a deadline and watches something. The console's text is kept; what it ends with is shown where a wait
fails.
"""

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import attrs
import httpx

from tests.peers.ports import free_port

MEMORY_MB = 768
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
START_S = 1800
"""Until the web side answers: a minute or two on a machine with nothing else to do."""


class NotInTime(AssertionError):  # noqa: N818 (it says what happened)
    """A wait is over, and nothing came."""


class NotYet(Exception):  # noqa: N818 (it says what happened)
    """The web side is up, what stands behind it is not."""


@attrs.frozen
class Hardware:
    """Words of QEMU's: the disk, the network card, and what a stick is plugged into."""

    disk: tuple[str, ...]
    card: str
    stick: str
    bus: tuple[str, ...] = ()


VIRTIO = Hardware(("virtio-blk-pci,drive=disk,bootindex=0",), "virtio-net-pci", "virtio-blk-pci")
VMWARE = Hardware(("pvscsi,id=scsi", "scsi-hd,bus=scsi.0,drive=disk,bootindex=0"), "vmxnet3", "virtio-blk-pci")
METAL = Hardware(
    ("ahci,id=sata", "ide-hd,bus=sata.0,drive=disk,bootindex=0"), "e1000e", "usb-storage", ("qemu-xhci,id=usb",)
)


@attrs.define
class Box:
    """A disk, and the machine that runs from it or does not."""

    disk: Path
    conf: str = ""
    """A drop-in, handed over as a credential at the first start."""
    sticks: tuple[Path, ...] = ()
    https: int = attrs.field(factory=free_port)
    forwards: Mapping[int, int] = attrs.field(factory=dict)
    """UDP ports of loopback, and the box's ports that they lead to.

    QEMU answers none of them where the box is shut in, so it is not then; its configuration must name nobody outside.
    """
    address: str = ""
    """The box's, where it does not ask QEMU for one."""
    elsewhere: Mapping[int, str] = attrs.field(factory=dict)
    """Ports of loopback that lead to its page at other addresses that it may come to have."""
    hardware: Hardware = VIRTIO
    more: tuple[str, ...] = ()
    """Further words of QEMU's."""
    process: subprocess.Popen[bytes] | None = None
    console: Path = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.console = self.disk.with_suffix(".console")
        self.console.write_bytes(b"")

    def power_on(self) -> None:
        assert self.process is None
        words = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"]  # goes with us, however we go
        words += ["-accel", "tcg,thread=multi", "-m", str(MEMORY_MB), "-smp", "2", "-cpu", "max"]
        words += ["-nodefaults", "-display", "none", "-no-user-config"]
        line = f"socket,id=serial,path={self._line},server=on,wait=off,logfile={self.console},logappend=on"
        words += ["-chardev", line, "-serial", "chardev:serial"]
        words += ["-drive", f"if=none,id=disk,format=raw,cache=unsafe,file={self.disk}"]
        for device in (*self.hardware.disk, *self.hardware.bus):
            words += ["-device", device]
        for number, stick in enumerate(self.sticks):
            words += ["-drive", f"if=none,id=stick{number},format=raw,file={stick}"]
            words += ["-device", f"{self.hardware.stick},drive=stick{number}"]
        shut = "off" if self.forwards else "on"
        leads = "".join(
            f",hostfwd=udp:127.0.0.1:{here}-{self.address}:{there}" for here, there in self.forwards.items()
        )
        pages = {self.https: self.address, **self.elsewhere}
        web = "".join(f",hostfwd=tcp:127.0.0.1:{here}-{address}:8443" for here, address in pages.items())
        words += ["-netdev", f"user,id=net,restrict={shut}{web}{leads}"]
        words += ["-device", f"{self.hardware.card},netdev=net", "-device", "virtio-rng-pci"]
        words += ["-qmp", f"unix:{self.disk.with_suffix('.qmp')},server=on,wait=off", *self.more]
        if self.conf:
            (conf := self.disk.with_suffix(".conf")).write_text(self.conf)
            words += ["-fw_cfg", f"name=opt/io.systemd.credentials/jackfield.conf.90-test,file={conf}"]
        with self.disk.with_suffix(".qemu").open("ab") as said:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def power_cut(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None

    def press_power(self, deadline_s: float = 600) -> None:
        """The button, as ACPI has it: the box shuts itself down. Raises `NotInTime`."""
        assert self.process is not None
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self.disk.with_suffix(".qmp")))
            said = monitor.makefile("rb")
            for word in ("qmp_capabilities", "system_powerdown"):
                said.readline()
                monitor.sendall(json.dumps({"execute": word}).encode())
            said.readline()
        try:
            self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise NotInTime(f"off: not within {deadline_s} s. The console ends with:\n{self.end()}") from None
        self.process = None

    @property
    def _line(self) -> Path:
        """The serial line, as a Unix socket."""
        return self.disk.with_suffix(".line")

    def shown(self) -> str:
        """All that the console has shown so far, a line for each place of its screen."""
        return _ESCAPE.sub("\n", self.console.read_text(errors="replace"))

    def end(self) -> str:
        """Of the console."""
        return self.shown()[-3000:]

    def press(self, keys: str, shows: str, deadline_s: float = 120) -> None:
        """Type on the console, and wait until it shows something in answer. Raises `NotInTime`."""
        heard = bytearray()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.connect(str(self._line))
            line.sendall(keys.encode())
            line.setblocking(False)

            def look() -> bool:
                with suppress(BlockingIOError):
                    while data := line.recv(1 << 16):
                        heard.extend(data)
                # Not the log, where QEMU repeats a letter now and then while somebody listens.
                return shows in _ESCAPE.sub("\n", heard.decode(errors="replace"))

            self.wait(repr(shows), look, deadline_s)

    def wait(self, what: str, look: Callable[[], bool], deadline_s: float = START_S) -> float:
        """Look until it is so; the seconds that it took. Raises `NotInTime`."""
        began = time.monotonic()
        while time.monotonic() < began + deadline_s:
            assert self.process is not None
            if self.process.poll() is not None:
                raise NotInTime(f"QEMU ended while waiting for {what}: {self.disk.with_suffix('.qemu').read_text()}")
            with suppress(httpx.TransportError, NotYet):
                if look():
                    return time.monotonic() - began
            time.sleep(0.5)
        raise NotInTime(f"{what}: not within {deadline_s} s. The console ends with:\n{self.end()}")

    def answers(self, port: int = 0) -> bool:
        try:
            url = f"https://127.0.0.1:{port or self.https}/healthz"
            return httpx.get(url, verify=False, timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def wait_for_start(self, deadline_s: float = START_S) -> float:
        return self.wait("the web side", self.answers, deadline_s)


@attrs.define
class Operator:
    """An administrator, signed in at the box; signs in again where the box has restarted."""

    box: Box
    name: str
    password: str
    client: httpx.Client = attrs.field(init=False)
    token: str = ""

    def __attrs_post_init__(self) -> None:
        base = f"https://127.0.0.1:{self.box.https}"
        self.client = httpx.Client(base_url=base, verify=False, timeout=120)

    def sign_in(self) -> None:
        answer = self.client.post("/sign-in", data={"name": self.name, "password": self.password})
        assert answer.status_code == 303, answer.text
        self.token = self.client.get("/").text.split('name="form-token" content="', 1)[1].split('"', 1)[0]

    def status(self) -> dict[str, object]:
        answer = self.client.get("/update/status")
        if answer.status_code == 401:
            self.sign_in()
            answer = self.client.get("/update/status")
        if answer.status_code != 200 or not answer.json()["ok"]:
            raise NotYet(answer.text)
        found: dict[str, object] = answer.json()
        return found

    def do(self, action: str, file: str = "") -> dict[str, object]:
        answer: dict[str, object] = self.client.post(
            "/do/update", data={"action": action, "file": file, "token": self.token}
        ).json()
        return answer

    def send(self, bundle: Path) -> Mapping[str, object]:
        with bundle.open("rb") as content:
            headers = {"Content-Length": str(bundle.stat().st_size)}
            answer = self.client.put(
                "/update/bundle",
                params={"name": bundle.name},
                content=iter(lambda: content.read(1 << 18), b""),
                headers=headers,
                timeout=600,
            )
        found: Mapping[str, object] = answer.json()
        return found


def partitions(disk: Path) -> dict[str, tuple[int, int]]:
    """By name: where each begins and how long it is, in bytes."""
    words = ["sfdisk", "--json", disk]
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    said = json.loads(subprocess.run(words, env=environment, check=True, capture_output=True).stdout)["partitiontable"]
    return {one["name"]: (one["start"] * 512, one["size"] * 512) for one in said["partitions"]}


def debugfs(disk: Path, command: str, *options: str) -> str:
    """Of e2fsprogs, on the data partition of a disk that nobody runs from."""
    at = partitions(disk)["jackfield-data"][0]
    words = ["/usr/sbin/debugfs", *options, "-R", command, f"{disk}?offset={at}"]
    done = subprocess.run(words, check=True, capture_output=True, text=True, errors="backslashreplace")  # keys, too
    return done.stdout
