"""Chromium's own offers and answers through the bridge and the real relay, with media on loopback.

Two peer connections in one page stand for two browsers; SIP is left out. The page makes its tone and its picture
itself, so no device and no secure context is needed.
"""

import functools
from collections.abc import Callable
from typing import Any

import pytest
import trio
from playwright.sync_api import Page, sync_playwright

from appliance.media.bridge import Bridge, MediaCall
from appliance.media.profile import Profile, ProfileKind
from appliance.media.relay import PythonRelay, open_relay
from appliance.rtc.sdp import Session, parse_untrusted
from tests.peers.processes import program

pytestmark = pytest.mark.peer

HOST = "127.0.0.1"

SCRIPT = """
window.picture = () => {
  const canvas = document.createElement('canvas');
  canvas.width = 160; canvas.height = 120;
  const context = canvas.getContext('2d');
  setInterval(() => { context.fillStyle = `hsl(${performance.now() / 10 % 360},90%,50%)`;
                      context.fillRect(0, 0, 160, 120); }, 50);
  return canvas.captureStream(20).getVideoTracks()[0];
};
window.tone = () => {
  const context = new AudioContext();
  const oscillator = context.createOscillator();
  const target = context.createMediaStreamDestination();
  oscillator.connect(target); oscillator.start();
  return target.stream.getAudioTracks()[0];
};
window.Browser = class {
  constructor() { this.pc = new RTCPeerConnection(); this.tracks = 0;
                  this.pc.ontrack = event => { this.tracks += event.streams.length; }; }
  add(kind) { const track = kind === 'audio' ? tone() : picture();
              this.pc.addTrack(track, new MediaStream([track])); }
  async gathered() {
    const limit = performance.now() + 20000;
    while (this.pc.iceGatheringState !== 'complete' && performance.now() < limit)
      await new Promise(done => setTimeout(done, 20));
    return this.pc.localDescription.sdp;
  }
  async offer(options) { await this.pc.setLocalDescription(await this.pc.createOffer(options));
                         return this.gathered(); }
  async take(sdp) { await this.pc.setRemoteDescription({ type: 'offer', sdp });
                    await this.pc.setLocalDescription(await this.pc.createAnswer()); return this.gathered(); }
  async finish(sdp) { await this.pc.setRemoteDescription({ type: 'answer', sdp }); }
  direct(kind, direction) { for (const t of this.pc.getTransceivers())
    if (t.receiver.track.kind === kind) t.direction = direction; }
  async heard(kind) {
    let count = 0;
    for (const report of (await this.pc.getStats()).values())
      if (report.type === 'inbound-rtp' && report.kind === kind)
        count += kind === 'video' ? report.framesDecoded : report.packetsReceived;
    return count;
  }
};
"""

PHONE_ANSWER = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 9 RTP/AVP 0 126
a=rtpmap:0 PCMU/8000
a=rtpmap:126 telephone-event/8000
"""


class Table:
    """A call between two connections of the page, or one and a plain phone. Lives in the browser's thread; the
    bridge and the relay are in trio's."""

    def __init__(self, page: Page, relay: PythonRelay) -> None:
        self.page = page
        self.relay = relay
        self.call: MediaCall = self._in_trio(functools.partial(Bridge(relay).open_call, "call-chromium"))

    def _in_trio(self, act: Callable[[], Any]) -> Any:
        return trio.from_thread.run_sync(act)

    def leg(self, name: str, kind: ProfileKind, *tracks: str) -> None:
        self._in_trio(functools.partial(self.call.add_leg, name, Profile(kind, HOST)))
        if kind is ProfileKind.WEBRTC:
            self.page.evaluate(f"() => {{ window.{name} = new Browser(); }}")
            for track in tracks:
                self.page.evaluate(f"() => {name}.add('{track}')")

    def offer(self, sdp: str, one: str, two: str) -> str:
        act = functools.partial(self.call.offer, sdp.encode(), from_leg=one, to_leg=two)
        return self._in_trio(act).decode()

    def answer(self, sdp: str, one: str, two: str) -> str:
        act = functools.partial(self.call.answer, sdp.encode(), from_leg=one, to_leg=two)
        return self._in_trio(act).decode()

    def negotiate(self, one: str = "a", two: str = "b1", options: str = "{}") -> tuple[Session, Session]:
        """A browser's offer to the other browser and its answer back, as the two saw them."""
        offer = self.offer(self.page.evaluate(f"() => {one}.offer({options})"), one, two)
        answer = self.answer(self.page.evaluate(f"sdp => {two}.take(sdp)", offer), two, one)
        self.page.evaluate(f"sdp => {one}.finish(sdp)", answer)
        return parse_untrusted(offer.encode()), parse_untrusted(answer.encode())

    def hears(self, leg: str, kind: str) -> None:
        """Waits until more of it arrives than has until now."""
        before = self.page.evaluate(f"() => {leg}.heard('{kind}')")
        self.page.wait_for_function(
            f"async before => await {leg}.heard('{kind}') > before + 4", arg=before, timeout=60_000, polling=100
        )


@pytest.fixture(scope="module")
def chromium_path() -> str:
    return program("chromium")


async def in_browser(path: str, act: Callable[[Table], None]) -> None:
    """Run `act` in a thread of its own with a page, beside a running relay."""
    async with open_relay() as relay:

        def drive() -> None:
            flags = ["--no-sandbox", "--disable-gpu", "--allow-loopback-in-peer-connection"]
            flags.append("--autoplay-policy=no-user-gesture-required")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(timeout=120_000, executable_path=path, headless=True, args=flags)
                page = browser.new_page()
                page.add_script_tag(content=SCRIPT)
                table = Table(page, relay)
                try:
                    act(table)
                finally:
                    trio.from_thread.run_sync(table.call.close)
                    browser.close()

        with trio.fail_after(300):
            await trio.to_thread.run_sync(drive)


async def test_two_browsers_through_every_change_of_a_call(chromium_path: str) -> None:
    def act(table: Table) -> None:
        table.leg("a", ProfileKind.WEBRTC, "audio")
        table.leg("b1", ProfileKind.WEBRTC, "audio")
        table.negotiate()
        for leg in ("a", "b1"):
            table.hears(leg, "audio")
        # the callee adds video, then the caller sends its own too
        table.page.evaluate("() => b1.add('video')")
        table.negotiate("b1", "a")
        table.hears("a", "video")
        table.page.evaluate("() => a.add('video')")
        table.negotiate()
        table.hears("b1", "video")
        # hold and resume
        table.page.evaluate("() => a.direct('audio', 'inactive')")
        _, answer = table.negotiate()
        assert answer.media[0].direction == "inactive"
        table.page.evaluate("() => a.direct('audio', 'sendrecv')")
        table.negotiate()
        table.hears("b1", "audio")
        # ICE restart by each side: the other side's ICE stays
        before, _ = table.negotiate()
        offer, answer = table.negotiate(options="{iceRestart: true}")
        assert offer.media[0].attribute("ice-ufrag") == before.media[0].attribute("ice-ufrag")
        table.hears("b1", "audio")
        table.negotiate("b1", "a", "{iceRestart: true}")
        for leg in ("a", "b1"):
            table.hears(leg, "audio")
            table.hears(leg, "video")
        # video goes, and comes again
        table.page.evaluate("() => a.pc.getTransceivers()[1].stop()")
        _, answer = table.negotiate()
        assert [media.port == 0 for media in answer.media] == [False, True]
        table.page.evaluate("() => a.add('video')")
        table.negotiate()
        table.hears("b1", "video")
        now = trio.from_thread.run_sync(table.call.snapshot)
        events = {step.sentence for leg in now.legs for t in leg.transports for step in t.timeline}
        assert events

    await in_browser(chromium_path, act)


async def test_browser_takes_a_plain_phones_answers_and_offers(chromium_path: str) -> None:
    def act(table: Table) -> None:
        table.leg("a", ProfileKind.WEBRTC, "audio", "video")
        table.leg("b1", ProfileKind.RTP)
        offer = table.offer(table.page.evaluate("() => a.offer({})"), "a", "b1")
        assert offer.count("m=") == 2
        table.page.evaluate("sdp => a.finish(sdp)", table.answer(PHONE_ANSWER, "b1", "a"))
        table.page.wait_for_function("() => a.pc.getSenders()[0].dtmf.canInsertDTMF", timeout=60_000)
        # the phone holds, resumes, and offers a fax line that is refused on the way
        held = PHONE_ANSWER.replace("127.0.0.1\nt", "0.0.0.0\nt")
        refused_video = "m=video 0 RTP/AVP 96\n"
        for text in (held, PHONE_ANSWER, PHONE_ANSWER):
            image = "m=image 4000 udptl t38\n" if text is PHONE_ANSWER else ""
            offered = table.offer(text + refused_video + image, "b1", "a")
            answer = table.page.evaluate("sdp => a.take(sdp)", offered)
            reply = parse_untrusted(table.answer(answer, "a", "b1").encode())
            assert reply.media[0].direction == ("recvonly" if text is held else "sendrecv")
            assert [media.port == 0 for media in reply.media[1:]] == [True] * (len(reply.media) - 1)

    await in_browser(chromium_path, act)


async def test_browser_takes_a_plain_video_phones_offer(chromium_path: str) -> None:
    def act(table: Table) -> None:
        table.leg("a", ProfileKind.RTP)
        table.leg("b1", ProfileKind.WEBRTC, "audio", "video")
        video = "m=video 4000 RTP/AVP 100\na=rtpmap:100 VP8/90000\na=rtcp-fb:100 nack pli\n"
        second = video.replace("4000", "4002")
        offer = table.offer(PHONE_ANSWER + video + second, "a", "b1")
        answer = parse_untrusted(table.answer(table.page.evaluate("sdp => b1.take(sdp)", offer), "b1", "a").encode())
        assert [media.port == 0 for media in answer.media] == [False, False, False]
        assert list(answer.media[1].attributes("rtcp-fb")) == ["100 nack pli"]
        assert table.page.evaluate("() => b1.tracks") == 3

    await in_browser(chromium_path, act)
