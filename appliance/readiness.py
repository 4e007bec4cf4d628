"""What systemd is told: ready, reloading, stopping, still alive (sd_notify(3)).

Silent where NOTIFY_SOCKET is not set, and a fault in telling never becomes a fault of the appliance.
"""

from __future__ import annotations

import os
import socket
import time

import attrs


@attrs.frozen
class Readiness:
    """The notification socket of the service manager; address is a path, or @name for an abstract one."""

    address: str | None = None

    @classmethod
    def from_environment(cls) -> Readiness:
        """Where NOTIFY_SOCKET points; the variable is taken away, so that no child speaks for us."""
        return cls(os.environ.pop("NOTIFY_SOCKET", None) or None)

    def ready(self, text: str) -> None:
        self._tell(f"READY=1\nSTATUS={text}")

    def reloading(self) -> None:
        # systemd pairs the READY=1 that follows with this stamp (Type=notify-reload).
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, text: str) -> None:
        self._tell(f"STOPPING=1\nSTATUS={text}")

    def alive(self) -> None:
        self._tell("WATCHDOG=1")

    @staticmethod
    def watchdog_s() -> float | None:
        """How often systemd wants a sign of life, or None; half of its limit."""
        limit = os.environ.get("WATCHDOG_USEC", "")
        return int(limit) / 2e6 if limit.isdigit() and int(limit) > 0 else None

    def _tell(self, message: str) -> None:
        if self.address is None:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(message.encode(), address)
        except OSError:
            pass
