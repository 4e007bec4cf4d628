"""The page of one call: made here as HTML, section by section, and sent anew where it changes.

What is known of a call is proxy/call_detail.py's, the sentence proxy/verdict.py's. Everything on it came from
the net: templates escape it all.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs
import trio
from quart import Response, abort, redirect, render_template, request
from quart_trio import QuartTrio
from werkzeug.wrappers import Response as WerkzeugResponse

from appliance.config.accounts import Role
from appliance.logs import log
from appliance.proxy.call_detail import CallDetail, detail
from appliance.proxy.hang_up import by_operator
from appliance.proxy.ladder import ladder, plain
from appliance.proxy.verdict import Verdict, verdict
from appliance.trace.message import TracedMessage

from .drawing import Picture, curve, picture
from .inside import Inside
from .sessions import Session

STEP_S: Final = 2.0
MOST_RUNGS: Final = 200
SECTIONS: Final = ("verdict", "media", "steps", "ladder", "route")
_BEFORE_S: Final = 60.0
"""How long before a call is opened its first message may have come: DNS and signatures are waited for."""
_AFTER_S: Final = 60.0
"""And how long after its end its last one may have gone, on disk: retransmissions, and answers to the BYE."""
Answer = Response | WerkzeugResponse


@attrs.frozen
class Visitor:
    """Who asks for a page. `stays` says later whether they are still signed in."""

    session: Session
    stays: Callable[[], bool]


def add_call_pages(
    site: QuartTrio,
    inside: Inside,
    visitor: Callable[[], Visitor | None],
    streams: trio.CapacityLimiter,
    write_down: Callable[[Session, str, str, str], Awaitable[None]],
) -> None:
    """Put the pages into the site; `streams` bounds how many listen for events, `write_down` keeps the audit log."""
    environment = site.jinja_env
    environment.filters.update(span=_span, clock=_clock, day=_day, address=_address, figure=_figure)
    environment.globals.update(curve=curve)

    async def section(name: str, call: CallDetail, found: Verdict, drawn: _Drawn) -> str:
        template = environment.get_template(f"call_{name}.html")
        return (await template.render_async(call=call, verdict=found, drawn=drawn)).strip()

    async def sections(call: CallDetail, older: Sequence[TracedMessage]) -> dict[str, str]:
        drawn, found = _draw(inside, call, older), verdict(call)
        return {name: await section(name, call, found, drawn) for name in SECTIONS}

    @site.get("/calls/<serial>")
    async def call(serial: str) -> Answer | str:
        seen = visitor()
        if seen is None:
            return redirect("/sign-in", 303)
        found = detail(inside.core, serial) or await inside.stored(serial)
        if found is None:
            abort(404)
        return await render_template(
            "call.html",
            session=seen.session,
            call=found,
            sections=await sections(found, await _on_disk(inside, found)),
            order=SECTIONS,
        )

    @site.get("/calls/<serial>/events")
    async def events(serial: str) -> Answer:
        seen = visitor()
        if seen is None:
            return _plain("Sign in first.\n", 401)
        if streams.available_tokens < 1:
            return _plain("Too many pages are open.\n", 503)
        stays = seen.stays

        async def changes() -> AsyncIterator[bytes]:
            holder = object()
            streams.acquire_on_behalf_of_nowait(holder)
            sent: dict[str, str] = {}
            older: list[TracedMessage] | None = None
            try:
                while stays():
                    found = detail(inside.core, serial)
                    if found is None:
                        break
                    if older is None:
                        older = await _on_disk(inside, found)
                    now = await sections(found, older)
                    fresh = {name: text for name, text in now.items() if sent.get(name) != text}
                    sent = now
                    told = {"sections": fresh, "state": found.state}
                    yield b"data: " + json.dumps(told, separators=(",", ":")).encode() + b"\n\n"
                    if found.ended_at is not None:
                        break
                    await trio.sleep(STEP_S)
                yield b"event: over\ndata: {}\n\n"
            finally:
                streams.release_on_behalf_of(holder)

        return Response(changes(), content_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @site.post("/calls/<serial>/hang-up")
    async def hang_up(serial: str) -> Answer:
        seen = visitor()
        form = await request.form
        if seen is None or form.get("token") != seen.session.form_token:
            abort(403)
        if not seen.session.role.may(Role.OPERATOR):
            await write_down(seen.session, "hang-up", serial, "refused: needs the role operator")
            abort(403)
        done = by_operator(inside.core, serial)
        await write_down(seen.session, "hang-up", serial, "done" if done else "failed: the call is over already")
        return redirect(f"/calls/{serial}", 303)


@attrs.frozen
class _Drawn:
    """The ladder of a call: None where nothing is traced. `names` say who a participant is."""

    picture: Picture | None
    messages: tuple[str, ...]
    names: dict[str, str]
    left_out: int


async def _on_disk(inside: Inside, call: CallDetail) -> list[TracedMessage]:
    """What memory holds no more of its messages."""
    until = (call.ended_at or call.seen_at) + _AFTER_S
    try:
        return await inside.trace.recall(call.call_id, call.started_at - _BEFORE_S, until, MOST_RUNGS)
    except OSError as error:
        log.warning("trace.unread", reason=str(error))
        return []


def _draw(inside: Inside, call: CallDetail, older: Sequence[TracedMessage]) -> _Drawn:
    traced = [*older, *inside.trace.messages_of(call.call_id, call.started_at - _BEFORE_S)]
    shown = traced[:MOST_RUNGS]
    names = {call.callee.address: call.callee.name, call.caller.address: call.caller.name}
    for one in call.attempts:
        if one.gateway:
            names.setdefault(one.gateway, one.label)
    names.pop("", None)
    if not shown:
        return _Drawn(None, (), names, 0)
    texts = tuple(message.data.decode("utf-8", "replace").replace("\r\n", "\n") for message in shown)
    drawn = picture(ladder(shown, plain))
    for participant, _ in drawn.columns:
        of_gateway = names.get(participant.partition(" ")[2])
        if of_gateway is not None:
            names.setdefault(participant, of_gateway)
    return _Drawn(drawn, texts, names, len(traced) - len(shown))


def _plain(text: str, status: int) -> Response:
    return Response(text, status, content_type="text/plain; charset=utf-8")


def _span(seconds: float) -> str:
    """1:05 or 1:00:05, as the status page writes it."""
    whole = max(0, round(seconds))
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _clock(wall: float) -> str:
    """Until the script has put it into the viewer's own time."""
    return datetime.fromtimestamp(wall, UTC).strftime("%H:%M:%S UTC")


def _day(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _address(address: tuple[str, int] | None) -> str:
    if address is None:
        return "nowhere"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _figure(value: float | None, digits: int = 1, unit: str = "") -> str:
    return "–" if value is None else f"{value:,.{digits}f}{unit and ' ' + unit}"
