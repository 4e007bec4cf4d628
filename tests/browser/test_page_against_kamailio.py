"""The page measures what it says: two browsers register at an independent proxy, then talk to each other directly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chromium import Chromium
from tests.peers.kamailio import Kamailio

pytestmark = pytest.mark.peer


def test_two_browsers_hear_and_see_each_other(tmp_path: Path) -> None:
    with Kamailio(tmp_path / "kamailio") as proxy, Chromium(tmp_path / "web") as chromium:
        url = f"ws://127.0.0.1:{proxy.port}"
        caller = chromium.phone("1001", proxy.password, url=url, domain=proxy.domain)
        callee = chromium.phone("1002", proxy.password, url=url, domain=proxy.domain, tone_hz=620)
        caller.register()
        callee.register()
        caller.call("1002", video=True)
        callee.expect("session")
        callee.answer(video=True)
        caller.expect("confirmed")
        callee.expect_tone(440)
        caller.expect_tone(620)
        caller.expect_video()
        callee.expect_video()
        caller.hold()
        callee.expect("hold")
        callee.expect_silence()
        caller.resume()
        callee.expect_tone(440)
        caller.send_digits("7", "INFO")
        callee.expect_digits("7")
        callee.hang_up()
        caller.expect("ended")
