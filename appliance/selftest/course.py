"""The course of a self-test: registration, a call to the tone over UDP, a call to the echo as a browser makes it."""

from __future__ import annotations

import datetime
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from .agent import Agent, Answered
from .certificate import judge
from .media import HERTZ, Heard, MediaSocket, WebMedia, listen
from .permission import ECHO, TONE, Door, Permission
from .report import Report, Step, StepFailed, Verdict
from .sound import tone_of
from .wires import UdpWire, WebSocketWire

TONE_HERTZ: Final = 1004.0
NEAR_HERTZ: Final = 6.0
POOR_MOS: Final = 3.6
"""Below it many listeners are dissatisfied (ITU-T G.107 Annex B)."""
Found = tuple[str, dict[str, float]]


async def run(permission: Permission, told: Callable[[Step], None] = lambda step: None) -> Report:
    """All steps, one after the other, each `told` when it is over; takes about four seconds. Never raises for what it
    finds."""
    at, began = time.time(), trio.current_time()
    doors = {door.transport: door for door in reversed(permission.doors)}
    steps: list[Step] = []
    udp, wss = doors.get("udp"), doors.get("wss")
    for name, door, kind, work in (
        ("register over UDP", udp, "udp", _register),
        ("call the tone over UDP", udp, "udp", _tone),
        ("certificate of WSS", wss, "wss", _certificate),
        ("call the echo by WebRTC", wss, "wss", _echo),
    ):
        if door is None:
            steps.append(Step(name, Verdict.SKIPPED, f"no listener speaks {kind}"))
        else:
            steps.append(await _step(name, work, permission, door))
        told(steps[-1])
    return Report(at, trio.current_time() - began, tuple(steps))


async def _step(
    name: str, work: Callable[[Permission, Door], Awaitable[Found]], permission: Permission, door: Door
) -> Step:
    try:
        sentence, figures = await work(permission, door)
    except StepFailed as failed:
        return Step(name, Verdict.FAILED, str(failed), failed.remedy)
    return Step(name, Verdict.OK, sentence, "", {key: round(number, 3) for key, number in figures.items()})


async def _register(permission: Permission, door: Door) -> Found:
    wire = await UdpWire.open(door, permission.user)
    try:
        agent = Agent(wire, permission, _where(door))
        took_s = await agent.register()
        await agent.register(0)
    finally:
        await wire.aclose()
    return f"registered in {1000 * took_s:.0f} ms, and taken away again", {"setup_ms": 1000 * took_s}


async def _tone(permission: Permission, door: Door) -> Found:
    wire = await UdpWire.open(door, permission.user)
    media = None
    try:
        media = await MediaSocket.open(wire.host)
        agent = Agent(wire, permission, _where(door))
        call = await agent.call(TONE, media.offer("RTP/AVP", ()))
        async with _until_hung_up(agent, call):
            heard = await listen(media)
    finally:
        if media is not None:
            media.close()
        await wire.aclose()
    hertz = await trio.to_thread.run_sync(tone_of, heard.samples[:4000])
    if hertz is None or abs(hertz - TONE_HERTZ) > NEAR_HERTZ:
        said = "no tone" if hertz is None else f"{hertz:.0f} Hz"
        raise StepFailed(
            f"audio came, but it holds {said} instead of {TONE_HERTZ:.0f} Hz",
            "Something between the box and itself changes the audio: look at what holds the media ports.",
        )
    return _good(f"{hertz:.0f} Hz heard", call, heard, {"hertz": hertz})


async def _certificate(permission: Permission, door: Door) -> Found:
    wire = await WebSocketWire.open(door, permission.user)
    await wire.aclose()
    days, whose = judge(wire.certificate, door, permission.names, datetime.datetime.now(datetime.UTC))
    return f"valid for {days:.0f} more days, {whose}", {"days": days}


async def _echo(permission: Permission, door: Door) -> Found:
    wire = await WebSocketWire.open(door, permission.user)
    media = None
    try:
        media = await MediaSocket.open(wire.host)
        web = WebMedia(media)
        agent = Agent(wire, permission, _where(door))
        call = await agent.call(ECHO, web.offer())
        async with _until_hung_up(agent, call):
            await web.connect(call.sdp, door.host)
            heard = await web.echo()
    finally:
        if media is not None:
            media.close()
        await wire.aclose()
    hertz = await trio.to_thread.run_sync(tone_of, heard.samples[:4000])
    if hertz is None or abs(hertz - HERTZ) > NEAR_HERTZ:
        raise StepFailed("what came back is not what was said", "This is a fault of Jackfield: send jackfield support.")
    more = {
        "ice_ms": 1000 * web.ice_s,
        "dtls_ms": 1000 * web.dtls_s,
        "round_trip_ms": 1000 * heard.round_trip_s,
    }
    return _good(f"own voice back after {1000 * heard.round_trip_s:.1f} ms", call, heard, more)


@asynccontextmanager
async def _until_hung_up(agent: Agent, call: Answered) -> AsyncIterator[None]:
    """Hang up in any case; where the block has failed, what it says counts and not the BYE."""
    try:
        yield
    except StepFailed:
        with trio.move_on_after(2):
            try:
                await agent.hang_up(call)
            except StepFailed:
                pass
        raise
    await agent.hang_up(call)


def _good(what: str, call: Answered, heard: Heard, more: dict[str, float]) -> Found:
    """Raises `StepFailed` where the call stands but sounds poor."""
    figures = {
        "setup_ms": 1000 * call.setup_s,
        "media_ms": 1000 * heard.media_s,
        "loss_percent": heard.loss_percent,
        "jitter_ms": heard.jitter_ms,
        "mos": heard.mos,
        **more,
    }
    if heard.mos < POOR_MOS:
        raise StepFailed(
            f"{what}, but at {heard.loss_percent:.1f} % loss and {heard.jitter_ms:.0f} ms jitter: MOS {heard.mos:.1f}",
            "The box itself is too busy or the machine starved of CPU: see load by jackfield status.",
        )
    return f"{what}, answered in {1000 * call.setup_s:.0f} ms, MOS {heard.mos:.2f}", figures


def _where(door: Door) -> str:
    return f"listener {door.name} at {door.host}:{door.port}"
