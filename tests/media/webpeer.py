"""WebPeer: aiortc, a WebRTC stack that is not ours, in an asyncio thread of its own."""

import asyncio
import fractions
import math
import re
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aioice.ice
import aiortc
import aiortc.mediastreams
import av
import trio

from appliance.media.backend import Fingerprint, LocalParameters

PATIENCE_S = 60.0


class ToneTrack(aiortc.mediastreams.MediaStreamTrack):
    """A sine at 8 kHz, 20 ms a frame."""

    kind = "audio"

    def __init__(self, hertz: float) -> None:
        super().__init__()
        self._hertz, self._at = hertz, 0
        self._started: float | None = None

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        if self._started is None:
            self._started = loop.time()
        await asyncio.sleep(max(0.0, self._started + self._at / 8000 - loop.time()))
        frame = av.AudioFrame(format="s16", layout="mono", samples=160)
        samples = [int(8000 * math.sin(2 * math.pi * self._hertz * (self._at + n) / 8000)) for n in range(160)]
        frame.planes[0].update(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
        frame.pts, frame.sample_rate, frame.time_base = self._at, 8000, fractions.Fraction(1, 8000)
        self._at += 160
        return frame


class WebPeer:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.samples: list[float] = []
        """What came on the audio track, at 8 kHz."""
        self.frames = 0
        """Of video."""
        self.pc: aiortc.RTCPeerConnection
        self._readers: list[asyncio.Task[None]] = []

    async def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return await trio.to_thread.run_sync(lambda: future.result(PATIENCE_S))

    async def offer(self, hertz: float = 440.0, *, video: bool = False) -> str:
        return await self.run(self._offer(hertz, video))

    def _make(self, hertz: float) -> None:
        self.pc = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self.pc.on("track", self._on_track)
        self.pc.addTrack(ToneTrack(hertz))

    async def _offer(self, hertz: float, video: bool) -> str:
        self._make(hertz)
        if video:
            self.pc.addTrack(aiortc.mediastreams.VideoStreamTrack())
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def take_answer(self, sdp: str) -> None:
        await self.run(self.pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "answer")))

    async def answer(self, sdp: str, hertz: float = 440.0) -> str:
        return await self.run(self._answer(sdp, hertz))

    async def _answer(self, sdp: str, hertz: float) -> str:
        self.pc = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self.pc.on("track", self._on_track)
        await self.pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "offer"))
        self.pc.addTrack(ToneTrack(hertz))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        return self.pc.localDescription.sdp

    def _on_track(self, track: Any) -> None:
        self._readers.append(self._loop.create_task(self._read(track)))

    async def _read(self, track: Any) -> None:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=8000)
        try:
            while True:
                frame = await track.recv()
                if track.kind == "video":
                    self.frames += 1
                    continue
                for part in resampler.resample(frame):
                    data = bytes(part.planes[0])[: 2 * part.samples]
                    self.samples.extend(
                        float(int.from_bytes(data[at : at + 2], "little", signed=True)) for at in range(0, len(data), 2)
                    )
        except aiortc.mediastreams.MediaStreamError:
            pass

    async def wait_for(self, ready: Any) -> None:
        with trio.fail_after(PATIENCE_S):
            while not ready():  # noqa: ASYNC110 - the other side is a thread of asyncio
                await trio.sleep(0.01)

    async def _close(self) -> None:
        await self.pc.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def close(self) -> None:
        await self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await trio.to_thread.run_sync(self._thread.join)
        self._loop.close()


@asynccontextmanager
async def open_web_peer(monkeypatch: Any) -> AsyncIterator[WebPeer]:
    """aioice leaves loopback out of its candidates; here it is all there is."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
    peer = WebPeer()
    try:
        yield peer
    finally:
        with trio.CancelScope(shield=True):
            await peer.close()


def find(sdp: str, name: str) -> str:
    found = re.search(rf"^a={name}:(\S+(?: \S+)?)\r?$", sdp, re.MULTILINE)
    assert found is not None, f"no {name} in {sdp}"
    return found[1]


def fingerprints(sdp: str) -> tuple[Fingerprint, ...]:
    lines = re.findall(r"^a=fingerprint:(\S+) (\S+)\r?$", sdp, re.MULTILINE)
    return tuple(Fingerprint(name.lower(), bytes.fromhex(value.replace(":", ""))) for name, value in set(lines))


def describe_us(local: LocalParameters, media: list[str], setup: str) -> str:
    """Our SDP: one BUNDLE group over `local`, `media` with all lines of each m-line after its transport."""
    session = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite"]
    session.append("a=group:BUNDLE " + " ".join(str(n) for n in range(len(media))))
    for n, each in enumerate(media):
        head, *rest = each.split("\n")
        session += [
            f"m={head.replace('PORT', str(local.rtp_port))}",
            "c=IN IP4 127.0.0.1",
            f"a=mid:{n}",
            f"a=ice-ufrag:{local.ice_ufrag}",
            f"a=ice-pwd:{local.ice_pwd}",
            f"a=candidate:1 1 udp 2130706431 127.0.0.1 {local.rtp_port} typ host",
            "a=end-of-candidates",
            f"a=fingerprint:{local.fingerprint}",
            f"a=setup:{setup}",
            "a=rtcp-mux",
            "a=sendrecv",
            *rest,
        ]
    return "\r\n".join(session) + "\r\n"
