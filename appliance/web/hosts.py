"""The Host header of the plain HTTP side: only this machine's own names count, so that no page of another name gets in.

A page of a foreign name may let that name lead to 127.0.0.1 (DNS rebinding) and would then be of our origin.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def of_this_machine(host: str) -> bool:
    """Whether a Host header, port and all, is localhost or a loopback address."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
