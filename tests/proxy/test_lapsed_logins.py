"""What was challenged and never came back with a right password is told: once a minute and source, never a flood."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from appliance.proxy.lapsed_logins import MISSING, MOST_SOURCES, MOST_WAITING, PAUSE_S, REFUSED, WAIT_S, LapsedLogins
from appliance.proxy.records import Records
from appliance.storage.record_question import EventQuestion

from .pretend_net import Box
from .test_sign_in import asking, wrong

Event = tuple[str, str, str, str]


class Heard:
    """A box, and what it tells."""

    def __init__(self) -> None:
        self.box = Box()
        self.events: list[Event] = []
        self.box.core.sign_in.lapsed.tell = lambda *event: self.events.append(event)

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.box.run(1.0)
            self.box.core.sweep()


def test_a_call_that_never_comes_back_is_told() -> None:
    heard = Heard()
    phone = heard.box.peer("192.0.2.20")
    phone.send(asking(phone, "INVITE", "1001"))
    heard.wait(WAIT_S - 1)
    assert heard.events == []
    heard.wait(2)
    why = "INVITE sip:1002@example.com: challenged, and never came back with a password"
    assert heard.events == [(MISSING, "1001", "192.0.2.20", why)]


@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "OPTIONS"])
def test_a_wrong_password_is_told_with_the_user_and_what_was_asked(method: str) -> None:
    heard = Heard()
    phone = heard.box.peer("192.0.2.20")
    request = asking(phone, method, "1001")
    phone.send(wrong(phone, request, "1001"))
    heard.wait(WAIT_S + 1)
    assert heard.events == [(REFUSED, "1001", "192.0.2.20", f"{method} {request.uri}: wrong password")]


def test_who_comes_back_and_who_only_pings_is_no_news() -> None:
    heard = Heard()
    phone = heard.box.peer("192.0.2.20")
    phone.register("1001")
    phone.invite("sip:1002@example.com")
    phone.send(phone.request("OPTIONS", "sip:1002@example.com", call_id="ping"))
    heard.wait(PAUSE_S + WAIT_S)
    assert heard.events == []
    assert heard.box.core.sign_in.lapsed.waiting == {}


def test_a_scanner_is_one_event_a_minute() -> None:
    lapsed, events = LapsedLogins(), list[Event]()
    lapsed.tell = lambda *event: events.append(event)
    for second in range(181):
        for number in range(20):
            user = f"{1000 + number}"
            lapsed.challenged(f"{second}-{number}", "198.51.100.3", user, "INVITE", f"sip:{user}@x", "", float(second))
        lapsed.sweep(float(second))
    assert [kind for kind, *_ in events] == [MISSING] * len(events)
    assert 3 <= len(events) <= 4
    assert events[1][1] == "1019 and 19 others"
    assert events[1][3].startswith("1219 requests, the last one INVITE sip:1019@x: challenged")


def test_a_swarm_of_scanners_does_not_flood_the_store() -> None:
    lapsed, events = LapsedLogins(), list[Event]()
    lapsed.tell = lambda *event: events.append(event)
    sent = 0
    for second in range(61):
        for number in range(200):
            sent += 1
            source = f"198.51.{second}.{number}"
            lapsed.challenged(f"{sent}", source, f"u{sent}", "REGISTER", "sip:x", "unknown user", float(second))
        lapsed.sweep(float(second))
        assert len(lapsed.waiting) <= MOST_WAITING
    for second in range(61, 61 + int(PAUSE_S + WAIT_S)):
        lapsed.sweep(float(second))
    assert MOST_SOURCES < len(events) <= 3 * (MOST_SOURCES + 1)
    sums = [int(detail.split()[0]) for _, _, source, detail in events if not source]
    assert sum(sums) + len([source for _, _, source, _ in events if source]) == sent
    assert "more than 50 others" in str(events)


def test_what_waits_and_what_is_kept_of_it_is_bounded() -> None:
    lapsed = LapsedLogins()
    lapsed.challenged("c", "s", "u", "INVITE", "sip:x", "", 0.0)
    assert lapsed.waiting == {}, "nobody wants to be told"
    lapsed.tell = lambda *event: None
    for number in range(MOST_WAITING * 2):
        lapsed.challenged(f"{number}" + "c" * 5000, "s", "u" * 5000, "INVITE", "sip:" + "x" * 5000, "", 0.0)
    assert len(lapsed.waiting) == MOST_WAITING
    assert max(len(f"{key}{one.user}{one.asked}") for key, one in lapsed.waiting.items()) < 500


async def test_the_store_has_it(tmp_path: Path) -> None:
    heard = Heard()
    async with trio.open_nursery() as nursery:
        records = Records(heard.box.core, heard.box.settings, tmp_path, lambda what, fault: None)
        await nursery.start(records.run)
        phone = heard.box.peer("192.0.2.20")
        phone.send(wrong(phone, asking(phone, "INVITE", "1001"), "1001"))
        heard.wait(WAIT_S + 1)
        [event] = await records.events(EventQuestion())
        assert (event.kind, event.subject, event.source) == (REFUSED, "1001", "192.0.2.20")
        assert event.detail == "INVITE sip:1002@example.com: wrong password"
        nursery.cancel_scope.cancel()
