"""Plain phones through the appliance: test lines, SRTP by SDES over TLS against RTP and WebRTC, reload, kill -9.

Real baresip on both sides or a real browser; what is heard is measured by its frequency.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.browser.chromium import Chromium
from tests.browser.conftest import DOMAIN, MakePhone, MakePlainPhone
from tests.peers.appliance import ROOT, Appliance
from tests.peers.processes import wait_until

pytestmark = pytest.mark.peer

SRTP = {"transport": "tls", "media_encryption": "srtp-mand"}


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_phone_hears_itself_on_the_echo_line(plain_phone: MakePlainPhone, transport: str) -> None:
    phone = plain_phone("1002", tone_hz=530, transport=transport)
    phone.dial("9196")
    phone.expect_event("CALL_ESTABLISHED")
    phone.expect_tone(530)
    phone.command("hangup")


def test_phone_hears_the_milliwatt_tone(plain_phone: MakePlainPhone) -> None:
    phone = plain_phone("1002")
    phone.dial("9197")
    phone.expect_event("CALL_ESTABLISHED")
    phone.expect_tone(1004)
    phone.command("hangup")


def test_phone_on_ipv6_hears_itself_on_the_echo_line(plain_phone: MakePlainPhone) -> None:
    phone = plain_phone("1002", tone_hz=530, host="::1")
    phone.dial("9196")
    phone.expect_event("CALL_ESTABLISHED")
    phone.expect_tone(530)
    phone.command("hangup")


def test_phones_on_ipv4_and_ipv6_hear_each_other(plain_phone: MakePlainPhone) -> None:
    old = plain_phone("1002", tone_hz=620)
    new = plain_phone("1003", tone_hz=440, host="::1")
    new.dial("1002")
    new.expect_event("CALL_ESTABLISHED")
    new.expect_tone(620)
    old.expect_tone(440)
    old.command("hangup")
    new.expect_event("CALL_CLOSED")


def test_browser_and_phone_on_ipv6_hear_each_other(browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    plain = plain_phone("1002", tone_hz=620, host="::1")
    browser = browser_phone("1001", tone_hz=440)
    browser.call("1002")
    browser.expect("confirmed")
    browser.expect_tone(620)
    plain.expect_tone(440)
    plain.command("hangup")
    browser.expect("ended")


def test_srtp_phone_and_rtp_phone_hear_each_other(plain_phone: MakePlainPhone) -> None:
    protected = plain_phone("1004", tone_hz=440, **SRTP)
    plain = plain_phone("1002", tone_hz=620)
    protected.dial("1002")
    protected.expect_event("CALL_ESTABLISHED")
    protected.expect_tone(620)
    plain.expect_tone(440)
    plain.command("hangup")
    protected.expect_event("CALL_CLOSED")


def test_rtp_phone_calls_an_srtp_phone(plain_phone: MakePlainPhone) -> None:
    protected = plain_phone("1004", tone_hz=440, **SRTP)
    plain = plain_phone("1002", tone_hz=620)
    plain.dial("1004")
    plain.expect_event("CALL_ESTABLISHED")
    protected.expect_tone(620)
    plain.expect_tone(440)
    protected.command("hangup")
    plain.expect_event("CALL_CLOSED")


def test_browser_and_srtp_phone_hear_each_other(browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    protected = plain_phone("1004", tone_hz=620, **SRTP)
    browser = browser_phone("1001", tone_hz=440)
    browser.call("1004")
    browser.expect("confirmed")
    browser.expect_tone(620)
    protected.expect_tone(440)
    browser.hang_up()
    protected.expect_event("CALL_CLOSED")


def test_call_lives_through_a_reload(box: Appliance, browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    plain = plain_phone("1002", tone_hz=620)
    browser = browser_phone("1001", tone_hz=440)
    browser.call("1002")
    browser.expect("confirmed")
    browser.expect_tone(620)
    box.write({"route 12-tone": {"match": "exact:9198", "target": "line:tone"}}, "60-more.conf")
    command = [sys.executable, "-m", "appliance", "reload"]
    command += ["--conf-dir", str(box.conf_dir), "--state-dir", str(box.state_dir)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    browser.expect_tone(620)
    plain.expect_tone(440)
    browser.hang_up()
    plain.expect_event("CALL_CLOSED")
    browser.call("9198")
    browser.expect_tone(1004)
    browser.hang_up()


@pytest.mark.parametrize(("scheme", "side"), [("wss", "https"), ("ws", "http")])
def test_browser_comes_in_through_the_web_port(box: Appliance, chromium: Chromium, scheme: str, side: str) -> None:
    url = f"{scheme}://127.0.0.1:{box.ports[side]}/sip"
    phone = chromium.phone("1005", box.passwords["1005"], url=url, domain=DOMAIN, tone_hz=530)
    ended = box.log.count('callee="line echo"')
    phone.register()
    phone.call("9196")
    phone.expect("confirmed")
    phone.expect_tone(530)
    phone.hold()
    phone.expect_silence()
    phone.resume()
    phone.expect_tone(530)
    phone.hang_up()
    wait_until(lambda: box.log.count('callee="line echo"') > ended, "the end of the call")
    assert 'ending="the caller hung up"' in box.log.rpartition('callee="line echo"')[2].partition("\n")[0]
    phone.close()


def test_phones_are_back_after_kill9(box: Appliance, browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    """A UDP phone is reachable at once, a browser comes back by itself."""
    plain = plain_phone("1002", tone_hz=620)
    browser = browser_phone("1001", tone_hz=440)
    box.kill9()
    browser.expect("disconnected")
    box.restart()
    browser.expect("registered", times=2)
    browser.call("1002")
    browser.expect("confirmed")
    browser.expect_tone(620)
    plain.expect_tone(440)
    browser.hang_up()
    plain.expect_event("CALL_CLOSED")
