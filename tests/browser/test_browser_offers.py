"""Harder ways into a call with a browser: no offer, early media, forks to unlike phones, video that one side lacks.

SIPp echoes the RTP that it gets (-rtp_echo), so that the browser hears its own tone through it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import DOMAIN, MakePhone, MakePlainPhone
from tests.peers.appliance import Appliance
from tests.peers.sipp import Sipp

pytestmark = pytest.mark.peer


def _register(box: Appliance, directory: Path, user: str, port: int) -> None:
    keys = {"domain": DOMAIN, "contact": f"sip:{user}@127.0.0.1:{port}", "expires": "60"}
    with Sipp(
        "register",
        directory,
        target=box.address("udp"),
        service=user,
        user=(user, box.passwords[user]),
        keys=keys,
    ) as phone:
        phone.finish()


def test_call_without_offer_reaches_the_browser(box: Appliance, browser_phone: MakePhone, tmp_path: Path) -> None:
    browser = browser_phone("1001", tone_hz=530)
    with Sipp(
        "call_without_offer",
        tmp_path,
        target=box.address("udp"),
        service="1001",
        user=("1006", box.passwords["1006"]),
        keys={"domain": DOMAIN, "caller": "1006"},
        options=["-rtp_echo"],
    ) as caller:
        browser.expect("session")
        browser.answer()
        browser.expect("confirmed")
        browser.expect_tone(530)
        browser.hang_up()
        caller.finish()


def test_early_media_is_heard_before_the_answer(box: Appliance, browser_phone: MakePhone, tmp_path: Path) -> None:
    with Sipp("early_media", tmp_path, service="1007", options=["-rtp_echo", "-d", "12000"]) as callee:
        _register(box, tmp_path, "1007", callee.port)
        browser = browser_phone("1001", tone_hz=530)
        browser.call("1007")
        browser.expect_tone(530)
        assert browser.happened("confirmed") == 0
        browser.expect("confirmed")
        browser.expect_tone(530)
        browser.hang_up()
        callee.finish()


def test_browser_wins_a_fork_against_a_plain_phone(
    box: Appliance, browser_phone: MakePhone, plain_phone: MakePlainPhone, tmp_path: Path
) -> None:
    with Sipp("ring_until_cancelled", tmp_path, service="1001") as ringing:
        _register(box, tmp_path, "1001", ringing.port)
        browser = browser_phone("1001", tone_hz=440)
        plain = plain_phone("1002", tone_hz=620)
        plain.dial("1001")
        browser.expect("session")
        ringing.expect_message(r"^SIP/2.0 180")
        browser.answer()
        plain.expect_event("CALL_ESTABLISHED")
        browser.expect_tone(620)
        plain.expect_tone(440)
        ringing.finish()
        plain.command("hangup")
        browser.expect("ended")


def test_plain_phone_wins_a_fork_against_a_browser(browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    browser = browser_phone("1008")
    plain = plain_phone("1008", tone_hz=620)
    caller = browser_phone("1001", tone_hz=440)
    caller.call("1008")
    caller.expect("confirmed")
    caller.expect_tone(620)
    plain.expect_tone(440)
    browser.expect("failed")  # cancelled: answered elsewhere
    caller.hang_up()
    plain.expect_event("CALL_CLOSED")


def test_video_call_to_a_phone_without_video_keeps_the_audio(
    browser_phone: MakePhone, plain_phone: MakePlainPhone
) -> None:
    plain = plain_phone("1002", tone_hz=620)
    browser = browser_phone("1001", tone_hz=440)
    browser.call("1002", video=True)
    browser.expect("confirmed")
    browser.expect_tone(620)
    plain.expect_tone(440)
    assert browser.figures()["framesDecoded"] == 0
    browser.hang_up()
    plain.expect_event("CALL_CLOSED")


def test_call_of_a_browser_ends_with_its_bye_after_kill9(
    box: Appliance, browser_phone: MakePhone, plain_phone: MakePlainPhone
) -> None:
    plain = plain_phone("1002", tone_hz=620)
    browser = browser_phone("1001", tone_hz=440)
    browser.call("1002")
    browser.expect("confirmed")
    plain.expect_tone(440)
    box.kill9()
    browser.expect("disconnected")
    box.restart()
    browser.expect("registered", times=2)
    browser.hang_up()
    plain.expect_event("CALL_CLOSED")
    browser.expect("ended")
