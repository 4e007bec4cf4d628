"""SIP on the web port is marked like all SIP, the pages are not; a kernel that refuses shows as degraded."""

import errno
import socket
from pathlib import Path

import pytest
from trio_websocket import open_websocket_url

from appliance.marking import Marker
from appliance.transport.adopted import AdoptedConnection
from tests.web.box import open_box


def mark_of(sock: socket.socket) -> int:
    return int(sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS)) >> 2


@pytest.mark.parametrize("side", ["https", "http"])
async def test_sip_on_the_web_port_is_marked_and_again_at_a_reload(tmp_path: Path, side: str) -> None:
    async with open_box(tmp_path) as box:
        base = getattr(box, side)
        tls = box.trust() if side == "https" else None
        url = base.replace("http", "ws", 1) + "/sip"
        async with open_websocket_url(url, tls, subprotocols=["sip"], extra_headers=[("Origin", base)]) as phone:
            await phone.send_message("\r\n\r\n")
            await phone.get_message()
            transports = box.appliance.telephony.transports  # type: ignore[union-attr]
            [flow] = [one for one in transports._connections.values() if isinstance(one, AdoptedConnection)]
            assert mark_of(flow._sock) == 24  # type: ignore[arg-type]
            (tmp_path / "c.conf").write_text("[qos]\nsignalling = AF31\n")
            assert (await box.appliance.reload())["ok"]
            assert mark_of(flow._sock) == 26  # type: ignore[arg-type]


async def test_a_page_is_not_marked(tmp_path: Path) -> None:
    marked: list[object] = []
    async with open_box(tmp_path) as box, box.client() as client:
        marker = box.appliance.telephony.marker  # type: ignore[union-attr]
        marker.mark = lambda sock, dscp: marked.append(sock)  # type: ignore[method-assign]
        assert (await client.get("/healthz")).status_code == 200
    assert not marked


async def test_a_kernel_that_refuses_shows_as_degraded_and_the_box_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Marker, sock: object, dscp: int | None) -> None:
        self.refuse(dscp or 0, OSError(errno.EPERM, "no"))

    with monkeypatch.context() as patched:
        patched.setattr(Marker, "mark", refuse)
        async with open_box(tmp_path) as box, box.client() as client:
            assert "qos: the kernel refuses" in " ".join(box.appliance.supervisor.degraded)
            answer = await client.get("/healthz")
            assert (answer.status_code, answer.json()["degraded"]) == (200, ["qos"])
            patched.undo()
            assert (await box.appliance.reload())["ok"]
            assert not box.appliance.supervisor.degraded
