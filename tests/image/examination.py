"""A root's shell inside of a box, for looking at it: not of the image, but put into its data partition and `grub.cfg`.

The box starts from /data/examine, which adds a unit to those of the image and goes on to systemd. The shell is at a
port of virtio-serial; QEMU leads it to a Unix socket. It ends, and starts again, for as long as nobody is there.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from types import TracebackType
from typing import Final

from tests.image.qemu import Box, NotInTime, partitions

_PORT: Final = "/dev/virtio-ports/examine"
_SCRIPT: Final = f"""\
mkdir -p /run/systemd/system/multi-user.target.wants
cat >/run/systemd/system/examine.service <<'UNIT'
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/bin/bash -c 'while [ ! -e {_PORT} ]; do sleep 1; done; exec /bin/bash <>{_PORT} >&0 2>&1'
Restart=always
RestartSec=1
UNIT
ln -s ../examine.service /run/systemd/system/multi-user.target.wants/
exec /sbin/init
"""
_END: Final = b"\n=END=\n"


class Examination:
    """Of a box that is off and new: prepares its disk; powered on, `run` asks its shell."""

    def __init__(self, box: Box) -> None:
        self._said = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._path = box.disk.with_suffix(".examine")
        found = partitions(box.disk)
        (tree := box.disk.with_suffix(".tree")).mkdir()
        (tree / "examine").write_text(_SCRIPT)
        at, size = found["jackfield-data"]
        words = ["/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-L", "jackfield-data", "-E", f"offset={at}"]
        subprocess.run([*words, "-d", tree, box.disk, f"{size >> 10}k"], check=True)
        esp, grub = f"{box.disk}@@{found['ESP'][0]}", box.disk.with_suffix(".grub")
        subprocess.run(["mcopy", "-n", "-i", esp, "::grub/grub.cfg", grub], check=True)
        text, changed = re.subn(
            r'^(set arguments=".*)"$', r'\1 init=/bin/sh -- /data/examine"', grub.read_text(), flags=re.MULTILINE
        )
        assert changed == 1, text
        grub.write_text(text)
        subprocess.run(["mcopy", "-o", "-i", esp, grub, "::grub/grub.cfg"], check=True)
        box.more = (
            *box.more,
            *("-device", "virtio-serial-pci", "-chardev", f"socket,id=examine,path={self._path},server=on,wait=off"),
            *("-device", "virtserialport,chardev=examine,name=examine"),
        )

    def run(self, command: str, deadline_s: float = 600) -> str:
        """What it prints, on both outputs. Raises `NotInTime`."""
        until = time.monotonic() + deadline_s
        self._socket.sendall(f"({command}) 2>&1 </dev/null; printf '\\n=%s=\\n' END\n".encode())
        while _END not in self._said:
            self._socket.settimeout(max(until - time.monotonic(), 0.1))
            try:
                more = self._socket.recv(65_536)
            except TimeoutError:
                raise NotInTime(f"{command}: not within {deadline_s} s; it has said {self._said!r}") from None
            if not more:
                raise NotInTime(f"{command}: the shell is gone; it has said {self._said!r}")
            self._said += more
        said, _, self._said = self._said.partition(_END)
        return said.decode(errors="replace").strip()

    def __enter__(self) -> Examination:
        """The box is on by now, and has come up."""
        self._socket.connect(str(self._path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
