"""The appliance in one piece: its counts reach the metrics, a broken database is shown, a reload is all or nothing."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import trio
import trio.testing

from appliance.app import Appliance, open_appliance
from appliance.config.loader import load_settings
from appliance.identity import open_identity
from appliance.metrics import render_prometheus

CONF = """
[listener udp]
transport = udp
port = 0
bind = 127.0.0.1
[media]
bind = 127.0.0.1
ports = 20000-20019
[web]
bind = 127.0.0.1
http-bind = 127.0.0.1
https-port = 0
http-port = 0
[user 1001]
"""
OPTIONS = (
    "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{port}\r\nMax-Forwards: 70\r\n"
    "From: <sip:a@example.com>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: {port}\r\nCSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


@asynccontextmanager
async def appliance_in(folder: Path) -> AsyncIterator[Appliance]:
    (folder / "a.conf").write_text(CONF)
    settings = load_settings(folder)
    identity = open_identity(folder / "var", settings)
    async with open_appliance(folder, settings.with_passwords(identity.passwords), identity) as appliance:
        yield appliance


async def exchange(appliance: Appliance, request: str) -> bytes:
    """The first answer to a request, sent over UDP from a port of its own that stands in for {port}; a provisional
    one is passed over."""
    assert appliance.telephony is not None
    [listener] = [one for one in appliance.telephony.transports.snapshot() if one.name == "udp"]
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        await phone.bind(("127.0.0.1", 0))
        port = phone.getsockname()[1]
        await phone.sendto(
            request.replace("z9hG4bK{port}", f"z9hG4bK{uuid4().hex}").replace("{port}", str(port)).encode(),
            listener.addresses[0],
        )
        with trio.fail_after(60):
            while (answer := await phone.recv(4096)).startswith(b"SIP/2.0 1"):
                pass
        return answer


async def test_what_comes_in_is_counted_where_prometheus_looks(tmp_path: Path) -> None:
    async with appliance_in(tmp_path) as appliance:
        assert appliance.telephony is not None
        [listener] = [one for one in appliance.telephony.transports.snapshot() if one.name == "udp"]
        assert (await exchange(appliance, OPTIONS)).startswith(b"SIP/2.0 200 ")
        labels = f'listener="udp",transport="{listener.transport}"'
        text = render_prometheus(appliance.metrics)
        assert f'jackfield_listener_messages_total{{{labels},direction="in"}} 1\n' in text
        assert f'jackfield_listener_messages_total{{{labels},direction="out"}} 1\n' in text
        assert 'jackfield_service_ready{service="sip"} 1\n' in text
        assert "jackfield_calls_active 0\n" in text


async def test_a_room_that_refuses_a_reload_leaves_everything_as_it_was(tmp_path: Path) -> None:
    async with appliance_in(tmp_path) as appliance:
        applied = []

        def refuse(settings: object) -> None:
            raise ValueError("cannot take this")

        appliance.reloaders["first"] = lambda settings: lambda: applied.append("first")
        appliance.reloaders["second"] = refuse
        before = appliance.settings
        (tmp_path / "b.conf").write_text("[user 1002]\n")
        assert await appliance.reload() == {"ok": False, "mistakes": ["cannot take this"]}
        assert appliance.settings is before
        assert not applied
        del appliance.reloaders["second"]
        assert (await appliance.reload())["ok"]
        assert applied == ["first"]
        assert list(appliance.settings.users) == ["1001", "1002"]


async def test_a_bug_in_a_reload_is_shown_and_ends_nothing(tmp_path: Path) -> None:
    async with appliance_in(tmp_path) as appliance:

        def stumble(settings: object) -> None:
            raise KeyError("a bug")

        appliance.reloaders["faulty"] = stumble
        answer = await appliance.supervisor.reload()
        assert answer["ok"] is False
        assert any(fault.startswith("reload: KeyError") for fault in appliance.status()["degraded"])
        assert appliance.metrics.reloads.of("refused").value == 1
        del appliance.reloaders["faulty"]
        assert (await appliance.supervisor.reload())["ok"]
        assert appliance.status()["state"] == "ready"


async def test_a_new_call_while_draining_gets_503_with_retry_after(tmp_path: Path) -> None:
    async with appliance_in(tmp_path) as appliance, trio.open_nursery() as nursery:
        appliance.supervisor.in_progress = lambda: 1  # a call that does not end
        nursery.start_soon(appliance.supervisor.wait_stopped)
        appliance.supervisor.stop()
        await trio.testing.wait_all_tasks_blocked()
        assert appliance.status()["state"] == "draining"
        assert (await exchange(appliance, OPTIONS)).startswith(b"SIP/2.0 200 ")
        answer = await exchange(appliance, OPTIONS.replace("OPTIONS", "INVITE"))
        assert answer.startswith(b"SIP/2.0 503 ")
        assert b"\r\nretry-after: " in answer.lower()
        appliance.supervisor.stop()


@pytest.mark.parametrize("secret", ["password", "ha1", "argon2"])
async def test_status_holds_no_secret(tmp_path: Path, secret: str) -> None:
    async with appliance_in(tmp_path) as appliance:
        shown = str(appliance.status())
        assert secret not in shown
        assert appliance.identity.passwords["1001"].reveal() not in shown
