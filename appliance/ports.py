"""Whether the ports of all listeners can be had, told before anything is made or bound; and who holds the others.

Every port that cannot be had is told at once, with what to do about it. Holders are found in the kernel's tables
in /proc; of another user's program only the user can be told.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .config import Settings
from .transport.listener import bind_all
from .transport.options import ListenerOptions

_LISTENS: Final = "0A"  # TCP_LISTEN in /proc/net/tcp
_REMEDIES: Final = {
    errno.EADDRNOTAVAIL: "This machine has no such address: mend its bind",
    errno.EACCES: "Ports below 1024 need a privilege: give a higher port, or CAP_NET_BIND_SERVICE",
}


class PortsRefused(Exception):  # noqa: N818 (it says what happened)
    """Ports that cannot be had; the text has one line for each listener."""


def try_ports(settings: Settings) -> None:
    """Bind the ports of every listener for a moment. Raises PortsRefused."""
    refused = []
    for listener in settings.listeners.values():
        transport = listener.transport.value
        try:
            for sock in bind_all(
                ListenerOptions(name=listener.name, transport=transport, port=listener.port, bind=listener.bind)
            ):
                sock.close()
        except OSError as error:
            refused.append(_told(error, "udp" if transport == "udp" else "tcp", listener.port))
    if refused:
        raise PortsRefused("\n".join(refused))


def holders(protocol: str, port: int) -> list[str]:
    """The programs that listen on a port of udp or tcp, by name and process, as far as they can be told."""
    return sorted({_shown(*socket) for socket in _sockets(protocol, port)})


def _told(error: OSError, protocol: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        found = holders(protocol, port)
        by = f" ({', '.join(found)})" if found else ""
        remedy = f"Another program{by} listens there: end it, or give another port in the configuration"
    else:
        remedy = _REMEDIES.get(error.errno or 0, "Mend its port or bind")
    return f"{error.strerror}. {remedy}."


def _sockets(protocol: str, port: int, net: Path = Path("/proc/net")) -> Iterator[tuple[str, int]]:
    """Inode and user id of every socket that listens on the port."""
    for table in (protocol, f"{protocol}6"):
        try:
            rows = (net / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            _, local, _, state, _, _, _, uid, _, inode, *_ = row.split()
            if int(local.rpartition(":")[2], 16) == port and (protocol == "udp" or state == _LISTENS):
                yield inode, int(uid)


def _shown(inode: str, uid: int) -> str:
    """The process that has the socket open, or where it is not ours to see, its user."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(os.readlink(link) == f"socket:[{inode}]" for link in (process / "fd").iterdir()):
                name = re.sub(r"[^ -~]", "?", (process / "comm").read_text().strip())
                return f"{name}, process {process.name}"
        except OSError:
            continue  # another user's, or gone meanwhile
    return _of_user(uid)


def user_of(pid: int) -> str | None:
    """The user of a process as holders() names him whose program may not be looked into; None where there is none."""
    try:
        return _of_user(Path(f"/proc/{pid}").stat().st_uid)
    except OSError:
        return None


def _of_user(uid: int) -> str:
    try:
        return f"of user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"of user {uid}"
