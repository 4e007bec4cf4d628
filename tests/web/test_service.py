"""The web side as monitoring and phones meet it: health, metrics, SIP on the page's own origin, a reload."""

from pathlib import Path

import httpx
import pytest
from trio_websocket import HandshakeError, open_websocket_url

from appliance.config.loader import load_settings
from appliance.identity import open_identity
from tests.web.box import Box, open_box

OPTIONS = (
    "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
    "From: <sip:a@example.com>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


async def test_healthz_says_ok_and_then_that_it_drains(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        box.appliance.supervisor.report("storage", "disk full at /secret/place")
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.json()["degraded"]) == (200, ["storage"])
        assert "secret" not in answer.text
        box.appliance.supervisor.draining = True
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.json()["reasons"]) == (503, ["draining"])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_both_sides_answer_on_ipv4_and_ipv6(tmp_path: Path, host: str) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        for origin in (box.https, box.http):
            assert (await client.get(origin.replace("127.0.0.1", host) + "/healthz")).status_code == 200


async def test_metrics_are_for_those_who_are_listed(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        answer = await client.get("/metrics")
        assert answer.status_code == 200
        assert "jackfield_calls_active 0\n" in answer.text
        (tmp_path / "c.conf").write_text("[web]\nmetrics-from = 192.0.2.1\n")
        assert (await box.appliance.reload())["ok"]
        answer = await client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"})
        assert answer.status_code == 403


def socket_url(box: Box, base: str, path: str = "/sip") -> str:
    return base.replace("http", "ws", 1) + path


@pytest.mark.parametrize("side", ["https", "http"])
async def test_a_phone_speaks_sip_on_the_origin_of_the_page(tmp_path: Path, side: str) -> None:
    async with open_box(tmp_path) as box:
        base = getattr(box, side)
        tls = box.trust() if side == "https" else None
        headers = [("Origin", base)]
        async with open_websocket_url(socket_url(box, base), tls, subprotocols=["sip"], extra_headers=headers) as phone:
            await phone.send_message(OPTIONS)
            assert (await phone.get_message()).startswith("SIP/2.0 200 ")
            [adopted] = [one for one in box.appliance.telephony.transports.snapshot() if one.name == "web"]  # type: ignore[union-attr]
            assert adopted.connections == 1


@pytest.mark.parametrize(
    ("path", "subprotocols", "origin", "status"),
    [
        ("/other", ["sip"], None, 404),
        ("/sip", [], None, 400),
        ("/sip", ["chat"], None, 400),
        ("/sip", ["sip"], "https://elsewhere.example.com", 403),
        ("/sip", ["sip"], "null", 403),
    ],
)
async def test_a_websocket_that_is_no_phone_of_ours_is_refused(
    tmp_path: Path, path: str, subprotocols: list[str], origin: str | None, status: int
) -> None:
    async with open_box(tmp_path) as box:
        headers = [("Origin", origin)] if origin else []
        url = socket_url(box, box.http, path)
        with pytest.raises((HandshakeError, BaseExceptionGroup)) as raised:
            async with open_websocket_url(url, subprotocols=subprotocols, extra_headers=headers):
                pass
        error: BaseException = raised.value
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        assert getattr(error, "status_code", None) == status


async def test_listed_origins_may_and_others_may_not(tmp_path: Path) -> None:
    async with open_box(tmp_path, "[web]\norigins = https://phone.example.com\n") as box:
        url = socket_url(box, box.http)
        headers = [("Origin", "https://phone.example.com")]
        async with open_websocket_url(url, subprotocols=["sip"], extra_headers=headers) as phone:
            await phone.send_message(OPTIONS)
            assert (await phone.get_message()).startswith("SIP/2.0 200 ")
        with pytest.raises((HandshakeError, BaseExceptionGroup)):
            async with open_websocket_url(url, subprotocols=["sip"], extra_headers=[("Origin", box.http)]):
                pass


async def test_a_reload_changes_the_certificate_under_connections_that_stand(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        assert (await client.get("/healthz")).status_code == 200
        other = tmp_path / "other"
        other.mkdir()
        open_identity(other / "var", load_settings(tmp_path))
        (tmp_path / "c.conf").write_text(
            f"[web]\ncertificate = {other}/var/certificate.pem\nprivate-key = {other}/var/private-key.pem\n"
        )
        before = box.trust()
        assert (await box.appliance.reload())["ok"]
        assert (await client.get("/healthz")).status_code == 200  # on the connection that stood
        async with httpx.AsyncClient(base_url=box.https, verify=before, timeout=60) as late:
            with pytest.raises(httpx.ConnectError):
                await late.get("/healthz")
