"""The appliance in this process, on free ports of loopback, with what is needed to look at its web side."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpx

from appliance.app import Appliance, open_appliance
from appliance.config.loader import load_settings
from appliance.identity import open_identity
from appliance.web.service import WebSide

CONF = """
[listener udp]
transport = udp
port = 0
bind = 127.0.0.1
[media]
bind = 127.0.0.1
ports = 22000-22199
[web]
bind = 127.0.0.1, ::1
http-bind = 127.0.0.1, ::1
https-port = 0
http-port = 0
[guards]
shed = no
[user 1001]
"""


@attrs.frozen
class Box:
    """A running appliance. `https` and `http` are its two origins on 127.0.0.1; `password` is the administrator's."""

    appliance: Appliance
    web: WebSide
    password: str

    @property
    def https(self) -> str:
        return f"https://127.0.0.1:{self.web.secure[0][1]}"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.web.plain[0][1]}"

    def client(self, base: str = "", **options: object) -> httpx.AsyncClient:
        """A browser without a page, and patient; the box's own certificate is trusted."""
        options = {"timeout": 60, **options}
        return httpx.AsyncClient(base_url=base or self.https, verify=self.trust(), **options)  # type: ignore[arg-type]

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.appliance.identity.certificate))


@asynccontextmanager
async def open_box(folder: Path, more: str = "") -> AsyncIterator[Box]:
    """`more` is configuration that is read after the usual."""
    (folder / "a.conf").write_text(CONF)
    (folder / "b.conf").write_text(more)
    settings = load_settings(folder)
    identity = open_identity(folder / "var", settings)
    async with open_appliance(folder, settings.with_passwords(identity.passwords), identity) as appliance:
        assert appliance.web is not None
        yield Box(appliance, appliance.web, identity.new_passwords["admin"].reveal())
