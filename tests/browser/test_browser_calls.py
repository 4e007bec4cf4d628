"""A browser registers over WSS and talks: to the test lines, to a plain RTP phone, to another browser.

Real Chromium, real JsSIP, real baresip; what is heard is measured by its frequency.
"""

from __future__ import annotations

import pytest

from tests.browser.conftest import MakePhone, MakePlainPhone

pytestmark = pytest.mark.peer


def test_browser_hears_its_own_tone_on_the_echo_line(browser_phone: MakePhone) -> None:
    phone = browser_phone("1001", tone_hz=530)
    phone.call("9196")
    phone.expect("confirmed")
    phone.expect_tone(530)
    phone.hang_up()
    phone.expect("ended")


def test_browser_hears_the_milliwatt_tone(browser_phone: MakePhone) -> None:
    phone = browser_phone("1001")
    phone.call("9197")
    phone.expect("confirmed")
    assert phone.expect_tone(1004, within_hz=2) == pytest.approx(1004, abs=2)
    phone.hang_up()
    phone.expect("ended")


def test_browser_calls_a_plain_phone(browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    plain = plain_phone("1002", tone_hz=620)
    browser = browser_phone("1001", tone_hz=440)
    browser.call("1002")
    browser.expect("confirmed")
    plain.expect_event("CALL_ESTABLISHED")
    browser.expect_tone(620)
    plain.expect_tone(440)
    browser.hang_up()
    plain.expect_event("CALL_CLOSED")


def test_plain_phone_calls_a_browser(browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    plain = plain_phone("1002", tone_hz=620)
    browser = browser_phone("1001", tone_hz=440)
    plain.dial("1001")
    browser.expect("session")
    browser.answer()
    browser.expect("confirmed")
    plain.expect_event("CALL_ESTABLISHED")
    browser.expect_tone(620)
    plain.expect_tone(440)
    plain.command("hangup")
    browser.expect("ended")


def test_hold_and_resume(browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    plain = plain_phone("1002", tone_hz=620)
    browser = browser_phone("1001", tone_hz=440)
    browser.call("1002")
    browser.expect("confirmed")
    browser.expect_tone(620)
    plain.expect_tone(440)
    browser.hold()
    browser.expect_silence()
    browser.resume()
    browser.expect_tone(620)
    plain.expect_tone(440)
    browser.hang_up()
    plain.expect_event("CALL_CLOSED")


def test_hold_by_the_plain_phone(browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    plain = plain_phone("1002", tone_hz=620)
    browser = browser_phone("1001", tone_hz=440)
    browser.call("1002")
    browser.expect("confirmed")
    browser.expect_tone(620)
    plain.command("hold")
    browser.expect("hold")
    browser.expect_silence()
    plain.command("resume")
    browser.expect("unhold")
    browser.expect_tone(620)
    plain.command("hangup")
    browser.expect("ended")


def test_digits_from_browser_to_plain_phone(browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    plain = plain_phone("1002")
    browser = browser_phone("1001")
    browser.call("1002")
    browser.expect("confirmed")
    browser.expect_tone(620)
    browser.send_digits("19#")
    for digit in "19#":
        assert plain.expect_event("CALL_DTMF_START")["param"] == digit
    browser.hang_up()
    plain.expect_event("CALL_CLOSED")


def test_digits_from_plain_phone_to_browser(browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    """A browser tells its page nothing of RFC 4733 events: it plays them, and the two tones of a digit are heard."""
    plain = plain_phone("1002")
    browser = browser_phone("1001")
    browser.call("1002")
    browser.expect("confirmed")
    browser.expect_tone(620)
    browser.expect_digit_after(lambda: plain.send_digits("5"), 770, 1336)
    browser.hang_up()
    plain.expect_event("CALL_CLOSED")


def test_digits_between_browsers_beside_opus(browser_phone: MakePhone) -> None:
    """Telephone-event at 48 kHz: each hears the two tones of the other's digit, for as long as it was pressed."""
    caller, callee = browser_phone("1001"), browser_phone("1003", tone_hz=700)
    caller.call("1003")
    callee.expect("session")
    callee.answer()
    caller.expect("confirmed")
    caller.expect_tone(700)
    callee.expect_tone(440)
    callee.expect_digit_after(lambda: caller.send_digits("55"), 770, 1336)
    caller.expect_digit_after(lambda: callee.send_digits("99"), 852, 1477)
    caller.hang_up()
    callee.expect("ended")


def test_digits_in_info_both_ways_between_browsers(browser_phone: MakePhone) -> None:
    caller, callee = browser_phone("1001"), browser_phone("1003")
    caller.call("1003")
    callee.expect("session")
    callee.answer()
    caller.expect("confirmed")
    callee.expect("confirmed")
    caller.send_digits("12", "INFO")
    callee.send_digits("89", "INFO")
    callee.expect_digits("12")
    caller.expect_digits("89")
    callee.hang_up()
    caller.expect("ended")


def test_browsers_hear_each_other(browser_phone: MakePhone) -> None:
    caller, callee = browser_phone("1001", tone_hz=440), browser_phone("1003", tone_hz=700)
    caller.call("1003")
    callee.expect("session")
    callee.answer()
    caller.expect("confirmed")
    caller.expect_tone(700)
    callee.expect_tone(440)
    caller.hang_up()
    callee.expect("ended")


def test_browsers_see_each_other(browser_phone: MakePhone) -> None:
    caller, callee = browser_phone("1001", tone_hz=440), browser_phone("1003", tone_hz=700)
    caller.call("1003", video=True)
    callee.expect("session")
    callee.answer(video=True)
    caller.expect("confirmed")
    caller.expect_video()
    callee.expect_video()
    caller.expect_tone(700)
    callee.expect_tone(440)
    callee.hang_up()
    caller.expect("ended")


def test_callee_in_the_browser_may_refuse(browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    plain = plain_phone("1002")
    browser = browser_phone("1001")
    plain.dial("1001")
    browser.expect("session")
    browser.hang_up()
    closed = plain.expect_event("CALL_CLOSED")
    assert "480" in closed["param"] or "486" in closed["param"] or "603" in closed["param"]


def test_caller_in_the_browser_may_give_up(browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    plain = plain_phone("1002", answer="manual")
    browser = browser_phone("1001")
    browser.call("1002")
    plain.expect_event("CALL_INCOMING")
    browser.expect("progress")
    browser.hang_up()
    plain.expect_event("CALL_CLOSED")


def test_ice_restart_keeps_the_call(browser_phone: MakePhone, plain_phone: MakePlainPhone) -> None:
    plain = plain_phone("1002", tone_hz=620)
    browser = browser_phone("1001", tone_hz=440)
    browser.call("1002")
    browser.expect("confirmed")
    browser.expect_tone(620)
    browser.restart_ice()
    browser.expect_tone(620)
    plain.expect_tone(440)
    browser.hang_up()
    plain.expect_event("CALL_CLOSED")
