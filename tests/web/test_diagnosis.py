"""Self-test, doctor and certificates from the pages: what they find, who may ask, one test at a time, written down."""

from __future__ import annotations

import datetime
from pathlib import Path

import trio

from appliance.config.sections import ApplianceSettings, WebSettings
from appliance.config.settings import Settings
from appliance.config.stir import StirSettings
from appliance.management.web_view import certificates_of
from tests.doctor.certificates import make_certificate
from tests.peers.ports import free_port
from tests.web.box import open_box
from tests.web.test_roles import ACCOUNTS, do, written
from tests.web.test_sign_in import sign_in

WSS = """
[appliance]
domains = localhost
[listener udp]
port = {udp}
[listener wss]
transport = wss
port = {wss}
bind = 127.0.0.1
"""
NOW = datetime.datetime.now(datetime.UTC)


async def test_an_operator_tests_the_box_and_sees_each_step_but_never_two_tests_at_once(tmp_path: Path) -> None:
    async with (
        open_box(tmp_path, ACCOUNTS + WSS.format(udp=free_port(), wss=free_port())) as box,
        box.client() as client,
    ):
        await sign_in(client, "word-of-olga", "olga")
        assert (await client.get("/status/now")).json()["test"]["passed"] is None
        assert (await do(client, "selftest")).status_code == 200
        second = await do(client, "selftest")
        assert (second.status_code, second.json()["error"].partition(".")[0]) == (409, "A self-test runs already")
        seen = set()
        with trio.fail_after(60):
            while (test := (await client.get("/status/now")).json()["test"])["running"] or not test["steps"]:
                seen.add(len(test["steps"]))
                await trio.sleep(0.3)
        assert len(seen) > 1  # it was shown while it ran
        assert test["passed"], test
        echo = test["steps"][-1]
        assert echo["name"] == "call the echo by WebRTC"
        assert echo["figures"]["round_trip_ms"] > 0
        assert echo["figures"]["mos"] > 3.6
        told = [(one.what, one.result.partition(":")[0]) for one in reversed(written(box)) if one.what == "self-test"]
        assert told == [("self-test", "done"), ("self-test", "failed")]


async def test_a_viewer_may_look_but_not_ask(tmp_path: Path) -> None:
    async with open_box(tmp_path, ACCOUNTS) as box, box.client() as client:
        for path in ("/find/certificates", "/find/quality"):
            assert (await client.get(path)).status_code == 401
        assert (await client.get("/diagnosis")).headers["location"] == "/sign-in"
        await sign_in(client, "word-of-victor", "victor")
        page = (await client.get("/diagnosis")).text
        assert "<button id=" not in page
        assert "/support" not in page
        for name in ("selftest", "doctor"):
            assert (await do(client, name)).status_code == 403
        assert not (await client.get("/status/now")).json()["test"]["running"]
        assert [one.what for one in written(box)][:2] == ["doctor", "self-test"]


async def test_the_doctor_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    async with open_box(tmp_path, ACCOUNTS) as box, box.client() as client:
        await sign_in(client, "word-of-olga", "olga")
        (tmp_path / "c.conf").write_text("[sip]\nmax-calls = many\n")
        findings = (await do(client, "doctor")).json()["findings"]
        wrong = [one for one in findings if one["subject"] == "conf.d" and one["grade"] == "fault"]
        assert "c.conf:2" in wrong[0]["about"]
        assert wrong[0]["remedy"]
        assert {"certificates", "disk", "ports", "clock"} <= {one["subject"] for one in findings}
        assert written(box)[0].what == "doctor"


async def test_the_own_certificate_is_shown_once_with_all_that_it_serves(tmp_path: Path) -> None:
    async with open_box(tmp_path, WSS.format(udp=0, wss=0)) as box, box.client() as client:
        await sign_in(client, box.password)
        answer = (await client.get("/find/certificates")).json()
        [row] = answer["rows"]
        assert row["serves"] == ["listener wss", "web"]
        assert "localhost" in row["names"]
        assert (row["ends_at"] - answer["now"]) / 86400 > 700
        assert "self-signed" in row["sentence"]


def test_certificates_for_signatures_are_listed_and_the_first_to_end_comes_first(tmp_path: Path) -> None:
    soon, soon_key = make_certificate(tmp_path / "soon", ("example.com",), 10)
    over, over_key = make_certificate(tmp_path / "over", ("carrier.example.net",), -3)
    settings = Settings(
        appliance=ApplianceSettings(domains=("example.com",)),
        web=WebSettings(certificate=soon, private_key=soon_key),
        stir=StirSettings(certificate=over, private_key=over_key),
    )
    looks = certificates_of(settings, tmp_path / "own.pem", tmp_path / "own.key", NOW)
    assert [(one.names, one.serves, one.tone) for one in looks] == [
        (("carrier.example.net",), ("stir",), "bad"),
        (("example.com",), ("web",), "fair"),
    ]
    assert "the other side refuses it" in looks[0].sentence
    assert "runs out in" in looks[1].sentence
    assert all(one.remedy for one in looks)
