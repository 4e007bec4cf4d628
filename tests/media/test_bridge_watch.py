"""When a call counts as dead, and what is said about it."""

import pytest

from appliance.media.backend import EventKind, MediaEvent
from appliance.media.bridge import Bridge, MediaCall
from appliance.media.profile import Profile, ProfileKind
from tests.media.fake_backend import FakeBackend
from tests.rtc.sdp_samples import BROWSER_AUDIO, PHONE, crlf


class Table:
    """A browser (port 30000) that talks with a phone (port 30002)."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.dead: list[str] = []
        self.call: MediaCall = Bridge(self.backend).open_call("call-w", self.dead.append)
        for leg, kind in (("a", ProfileKind.AUTO), ("b1", ProfileKind.RTP)):
            self.call.add_leg(leg, Profile(kind, "203.0.113.5"))
        self.talk()

    def talk(self, way: str = "sendrecv") -> None:
        offer = BROWSER_AUDIO.replace("sendrecv", way)
        self.call.offer(crlf(offer), from_leg="a", to_leg="b1")
        self.call.answer(crlf(PHONE), from_leg="b1", to_leg="a")

    def tell(self, port: int, kind: EventKind, index: int | None = 0) -> None:
        self.backend.at(port).on_event(MediaEvent(kind, 77.5, f"{kind.value} at {port}", index))


@pytest.fixture
def table() -> Table:
    return Table()


def test_one_silent_side_is_shown_and_the_call_goes_on(table: Table) -> None:
    table.tell(30002, EventKind.SILENT)
    assert table.dead == []
    legs = {leg.name: leg.transports[0].streams[0] for leg in table.call.snapshot().legs}
    assert (legs["a"].silent_since, legs["b1"].silent_since) == (None, 77.5)


def test_both_sides_silent_end_the_call_once_with_a_sentence(table: Table) -> None:
    table.tell(30002, EventKind.SILENT)
    table.tell(30000, EventKind.SILENT)
    table.tell(30000, EventKind.SILENT)
    (sentence,) = table.dead
    assert "the caller: silent at 30000" in sentence
    assert "the callee: silent at 30002" in sentence


def test_what_is_heard_again_is_not_silent(table: Table) -> None:
    table.tell(30002, EventKind.SILENT)
    table.tell(30002, EventKind.HEARD_AGAIN)
    table.tell(30000, EventKind.SILENT)
    assert table.dead == []


def test_a_leg_that_is_silent_and_has_lost_ice_ends_the_call(table: Table) -> None:
    table.tell(30000, EventKind.ICE_LOST, None)
    assert table.dead == []
    table.tell(30000, EventKind.SILENT)
    assert table.dead == ["the caller: silent at 30000; the caller: ice-lost at 30000"]


def test_ice_that_comes_back_saves_the_call(table: Table) -> None:
    table.tell(30000, EventKind.ICE_LOST, None)
    table.tell(30000, EventKind.ICE_CONNECTED, None)
    table.tell(30000, EventKind.SILENT)
    assert table.dead == []


@pytest.mark.parametrize("way", ["sendonly", "inactive"])
def test_a_held_call_is_never_dead(table: Table, way: str) -> None:
    table.talk(way)
    table.tell(30000, EventKind.SILENT)
    table.tell(30002, EventKind.SILENT)
    assert table.dead == []


def test_silence_from_before_a_hold_does_not_count_after_it(table: Table) -> None:
    table.tell(30000, EventKind.SILENT)
    table.talk("inactive")
    table.talk()
    table.tell(30002, EventKind.SILENT)
    assert table.dead == []


def test_a_closed_call_hears_nothing(table: Table) -> None:
    ends = table.backend.open()
    table.call.close()
    for endpoint in ends:
        endpoint.on_event(MediaEvent(EventKind.SILENT, 1.0, "late", 0))
    assert table.dead == []


def test_snapshot_tells_figures_per_leg_and_direction(table: Table) -> None:
    media = table.call.snapshot()
    assert media.call_id == "call-w"
    browser, phone = media.legs
    assert (browser.transports[0].kind, phone.transports[0].kind) == ("WEBRTC", "RTP")
    stream = phone.transports[0].streams[0]
    assert (stream.codec, stream.direction, stream.joined_to) == ("PCMA/8000", "sendrecv", "a")
    assert (stream.received.packets, stream.sent.packets) == (5, 4)
