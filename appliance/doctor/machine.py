"""The machine: clock, disk, open files, buffers and ports of the kernel, versions. All read from /proc and the like."""

from __future__ import annotations

import os
import platform
import resource
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from appliance.config import Settings

from .finding import Finding, Grade
from .kernel_clock import synchronised

MIB: Final = 1 << 20
_SPARE_FILES: Final = 200
"""Databases, logs, connections to trunks."""


def examine_machine(settings: Settings, state_dir: Path, proc: Path = Path("/proc")) -> Iterator[Finding]:
    yield _clock(synchronised())
    yield _disk(state_dir)
    yield files_finding(settings, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield from buffer_findings(settings, _number(proc / "sys/net/core/rmem_max"))
    yield from port_findings(settings, proc)
    yield Finding(
        "versions",
        "python",
        Grade.OK if sys.version_info >= (3, 11) else Grade.FAULT,
        f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}, Linux {platform.release()}",
        "" if sys.version_info >= (3, 11) else "Install Python 3.11 or later.",
    )


def _clock(kept: bool | None) -> Finding:
    if kept is None:
        return Finding(
            "clock", "synchronisation", Grade.NOTE, "the kernel does not say whether the clock is kept right"
        )
    if kept:
        return Finding("clock", "synchronisation", Grade.OK, "the clock is kept right")
    return Finding(
        "clock",
        "synchronisation",
        Grade.WARNING,
        "nobody keeps the clock right: certificates, logins and records lean on it",
        "Run chrony or systemd-timesyncd.",
    )


def _disk(state_dir: Path) -> Finding:
    place = next((one for one in (state_dir, *state_dir.absolute().parents) if one.exists()), Path("/"))
    disk = os.statvfs(place)
    free, whole = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    said = f"{free // MIB} MiB of {whole // MIB} MiB are free under {place}"
    if free < 100 * MIB or free < whole * 0.02:
        return Finding("disk", str(place), Grade.FAULT, said, "Free space, or move the state directory.")
    if free < 500 * MIB or free < whole * 0.1:
        return Finding("disk", str(place), Grade.WARNING, said, "Free space before it runs out.")
    if not os.access(place, os.W_OK):
        return Finding(
            "disk", str(place), Grade.FAULT, f"{place} cannot be written by this user", "Give it to the user."
        )
    return Finding("disk", str(place), Grade.OK, said)


def files_finding(settings: Settings, allowed: int) -> Finding:
    """`allowed` is the hard limit: the box raises the soft one to it by itself."""
    streams = sum(one.max_connections for one in settings.listeners.values() if one.transport.value != "udp")
    ports = settings.media.ports.high - settings.media.ports.low + 1
    most = streams + settings.web.max_connections + ports + _SPARE_FILES
    if allowed == resource.RLIM_INFINITY or allowed >= most:
        return Finding("limits", "open files", Grade.OK, f"up to {most} files can be needed, and may be open")
    return Finding(
        "limits",
        "open files",
        Grade.WARNING,
        f"{allowed} files may be open, but connections and media ports can need {most}",
        f"Set LimitNOFILE={most} in the service (or ulimit -Hn), or lower max-connections and [media] ports.",
    )


def buffer_findings(settings: Settings, most: int | None) -> Iterator[Finding]:
    """Whether the kernel gives UDP listeners the receive buffer that they ask for."""
    asked = [one.receive_buffer_bytes for one in settings.listeners.values() if one.transport.value == "udp"]
    wanted = max(asked, default=0)
    if not wanted:
        return
    if most is None:
        yield Finding("kernel", "rmem_max", Grade.NOTE, "net.core.rmem_max cannot be read")
    elif most < wanted:
        yield Finding(
            "kernel",
            "rmem_max",
            Grade.WARNING,
            f"UDP listeners ask for a receive buffer of {wanted} bytes, the kernel gives {most}: bursts are lost",
            f"sysctl -w net.core.rmem_max={wanted}, and the same in /etc/sysctl.d.",
        )
    else:
        yield Finding("kernel", "rmem_max", Grade.OK, f"receive buffers of {wanted} bytes can be had")


def port_findings(settings: Settings, proc: Path = Path("/proc")) -> Iterator[Finding]:
    """Whether the kernel hands out our media ports to others' outgoing connections, and whether IPv6 is there."""
    media = settings.media.ports
    try:
        low, high = map(int, (proc / "sys/net/ipv4/ip_local_port_range").read_text().split())
        reserved = (proc / "sys/net/ipv4/ip_local_reserved_ports").read_text().strip()
    except (OSError, ValueError):
        yield Finding("kernel", "ports", Grade.NOTE, "the kernel's range of local ports cannot be read")
    else:
        taken = max(low, media.low), min(high, media.high)
        if taken[0] > taken[1] or _reserves(reserved, taken):
            yield Finding("kernel", "ports", Grade.OK, "media ports are handed out to nobody else")
        else:
            yield Finding(
                "kernel",
                "ports",
                Grade.NOTE,
                f"the kernel hands out {taken[0]}-{taken[1]} to outgoing connections, too: "
                "a media port is skipped while another program has it",
                f"sysctl -w net.ipv4.ip_local_reserved_ports={media.low}-{media.high}, and the same in /etc/sysctl.d.",
            )
    if any(":" in host for one in settings.listeners.values() for host in one.bind):
        off = _number(proc / "sys/net/ipv6/conf/all/disable_ipv6")
        if off:
            yield Finding(
                "kernel",
                "ipv6",
                Grade.WARNING,
                "listeners bind IPv6 addresses, but the kernel has IPv6 turned off",
                "sysctl -w net.ipv6.conf.all.disable_ipv6=0, or take the IPv6 addresses out of bind.",
            )


def _reserves(reserved: str, span: tuple[int, int]) -> bool:
    for part in filter(None, reserved.split(",")):
        low, _, high = part.partition("-")
        if int(low) <= span[0] and int(high or low) >= span[1]:
            return True
    return False


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
