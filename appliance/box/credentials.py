"""Configuration handed to a virtual machine by whoever starts it: systemd's credentials, SMBIOS strings, QEMU's fw_cfg.

`jackfield.conf` and `jackfield.conf.NAME` become drop-ins, `jackfield.hostname` the name. With QEMU, for example:
-smbios type=11,value=io.systemd.credential:jackfield.hostname=box-7, or -fw_cfg
name=opt/io.systemd.credentials/jackfield.conf,file=box.conf. Files of fw_cfg may also lie below opt/jackfield/.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .machine import Machine

PREFIX: Final = "jackfield."
LONGEST: Final = 1 << 20
_TEXT: Final = b"io.systemd.credential:"
_BINARY: Final = b"io.systemd.credential.binary:"
_FW_CFG: Final = "sys/firmware/qemu_fw_cfg/by_name/opt"
_OEM_STRINGS: Final = 11
MODULES: Final = ("qemu_fw_cfg", "dmi-sysfs")


def credentials(machine: Machine, environment: dict[str, str] | None = None) -> dict[str, bytes]:
    """Those for us, by name: "conf", "conf.60-carrier", "hostname". What systemd took in comes first."""
    given = (os.environ if environment is None else environment).get("CREDENTIALS_DIRECTORY")
    found: dict[str, bytes] = {}
    for folder in (Path(given) if given else None, machine.root / "run/credentials/@system"):
        if folder is not None:
            for file in _files(folder):
                found.setdefault(file.name, _read(file))
    for file in _files(machine.root / _FW_CFG / "io.systemd.credentials"):
        found.setdefault(file.name, _read(file / "raw"))
    for file in _files(machine.root / _FW_CFG / "jackfield"):
        found.setdefault(PREFIX + file.name, _read(file / "raw"))
    for file in _files(machine.root / "sys/firmware/dmi/entries"):
        if file.name.startswith(f"{_OEM_STRINGS}-"):
            for name, value in smbios_credentials_untrusted(_read(file / "raw")):
                found.setdefault(name, value)
    ours = {name.removeprefix(PREFIX): value for name, value in found.items() if name.startswith(PREFIX)}
    return {name: value for name, value in ours.items() if value}


def smbios_credentials_untrusted(entry: bytes) -> Iterator[tuple[str, bytes]]:
    """Those in an entry of OEM strings: a head whose second byte is its length, then strings, 0 behind each."""
    if len(entry) < 5 or entry[0] != _OEM_STRINGS:
        return
    for text in entry[entry[1] :].split(b"\0"):
        for start in (_BINARY, _TEXT):
            if text.startswith(start):
                name, equals, value = text.removeprefix(start).partition(b"=")
                try:
                    if equals:
                        yield name.decode("ascii"), base64.b64decode(value) if start is _BINARY else value
                except (UnicodeDecodeError, binascii.Error):
                    pass  # somebody else's mistake; what is missing is seen on the console


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read(file: Path) -> bytes:
    try:
        with open(file, "rb") as data:
            return data.read(LONGEST)
    except OSError:
        return b""
