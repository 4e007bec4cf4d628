"""The pages and the two machine-readable addresses: what is asked, who may see it, what it looks like.

What the box does is read through `Inside`; who is signed in is told by sessions.py, the figures of the status page by
feed.py. Pages hold no script and no style of their own, and ask nothing of any other host.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

import trio
from quart import Response, abort, redirect, render_template, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from appliance.logs import log
from appliance.metrics import render_prometheus

from .actions import add_actions
from .assets import read_assets
from .call_pages import Visitor, add_call_pages
from .diagnosis import add_diagnosis
from .door import Door, cookie_name, plain
from .feed import Feed
from .history import History
from .hosts import of_this_machine
from .inside import Inside
from .machine_page import add_machine_page
from .pages import add_pages
from .record_pages import add_record_pages
from .report_pages import add_report_pages
from .sessions import Attempts, TooBusy
from .setup_page import add_setup_page
from .streamed import StreamingConnection, StreamingRequest
from .support_page import add_support_page
from .update_page import add_update_page

PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
EVENT_STEP_S: Final = 1.0
MOST_STREAMS: Final = 100
_BODY_TIMEOUT_S: Final = 10
_WRONG: Final = "Name or password is wrong."
_PAGE: Final = re.compile(r"/(?:[A-Za-z0-9._~-]+/?){1,4}")
_GUARDS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Answer = Response | WerkzeugResponse


class _Quart(QuartTrio):
    """Quart that tells faults to our log, in one line."""

    asgi_http_class = StreamingConnection
    request_class = StreamingRequest

    def log_exception(self, exception_info: object) -> None:
        error = exception_info[1] if isinstance(exception_info, tuple) else None
        log.error("web.fault", error, path=request.path)


def make_site(inside: Inside, feed: Feed, history: History) -> QuartTrio:
    """The Quart application."""
    site = _Quart("appliance.web", static_folder=None)
    site.config["MAX_CONTENT_LENGTH"] = inside.settings().web.max_body_bytes
    site.config["BODY_TIMEOUT"] = _BODY_TIMEOUT_S
    site.config["RESPONSE_TIMEOUT"] = None
    assets = read_assets()
    site.jinja_env.globals["asset"] = assets.url
    site.jinja_env.globals["box"] = lambda: inside.settings().appliance.name
    door = Door(inside)
    sessions, session = door.sessions, door.session
    attempts = Attempts(lambda: inside.settings().web.sign_in_attempts)
    streams = trio.CapacityLimiter(MOST_STREAMS)

    @site.before_request
    def judge() -> Answer | None:
        """What no page of ours would ask."""
        if not request.is_secure and not of_this_machine(request.host):
            # Another name that leads here by DNS (rebinding), or a proxy that nobody set up for it.
            return plain("The plain HTTP side answers under the names of this machine only.\n", 421)
        if request.method not in ("GET", "HEAD") and not _from_our_page():
            return plain("This form was not sent by a page of this box.\n", 403)
        if request.method == "POST" and request.mimetype != "application/x-www-form-urlencoded":
            # Quart bounds this kind as a whole; parts of a multipart form it would write to the disk.
            return plain("Forms of this box are urlencoded.\n", 415)
        return None

    @site.after_request
    def guard(response: Answer) -> Answer:
        for name, value in _GUARDS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        log.debug("web.asked", method=request.method, path=request.path, status=response.status_code)
        return response

    @site.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> tuple[str, int]:
        return await render_template("refused.html", status=error.code, name=error.name), error.code or 500

    @site.get("/healthz")
    async def healthz() -> tuple[dict[str, object], int]:
        health = inside.health()
        unwell = [one.name for one in health.services if one.state not in ("ready", "stopped")]
        serving = health.state in ("ready", "degraded")
        answer: dict[str, object] = {"status": "ok" if serving else "unavailable", "state": health.state}
        if not serving:
            answer["reasons"] = [health.state]
        if unwell or health.faults:
            answer["degraded"] = [*unwell, *health.faults]
        return answer, 200 if serving else 503

    @site.get("/metrics")
    async def metrics() -> Answer:
        if session() is None and not _listed(request.remote_addr, inside.settings().web.metrics_from):
            return plain(f"Sign in, or list {request.remote_addr} in metrics-from of [web].\n", 403)
        return Response(render_prometheus(inside.metrics), content_type=PROMETHEUS)

    @site.get("/static/<version>/<name>")
    async def static(version: str, name: str) -> Answer:
        asset = assets.files.get(name)
        if asset is None or version != assets.version:
            abort(404)
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(asset.content, content_type=asset.content_type, headers=headers)

    @site.get("/favicon.ico")
    async def favicon() -> Answer:
        return redirect(assets.url("jackfield.svg"), 302)

    @site.get("/sign-in")
    async def sign_in() -> Answer | str:
        if session() is not None:
            return redirect("/", 303)
        if inside.setup.waits():
            return redirect("/setup", 303)
        to = _page_of_ours(request.args.get("to", ""))
        return await render_template("sign_in.html", fault="", name="", to=to, ended=bool(to))

    @site.post("/sign-in")
    async def sign_in_now() -> Answer | tuple[str, int]:
        source, now = request.remote_addr or "", trio.current_time()
        wait_s = attempts.wait_s(source, now)
        if wait_s > 0:
            text = "Too many wrong passwords came from your address. Wait a minute, then try again."
            return await refuse(text, "", 429, wait_s)
        form = await request.form
        to = _page_of_ours(form.get("to", ""))
        name, password = form.get("name", "").strip(), form.get("password", "")
        attempts.count(source, now)
        audit = partial(inside.audit.write, who=name[:64], source=source, what="sign-in")
        try:
            right = await sessions.right(name, password)
        except TooBusy:
            attempts.forgive(source)
            text = "Many are signing in just now. Try again in a few seconds."
            return await refuse(text, name, 503, 5, to)
        if not right:
            log.warning("web.sign-in.refused", name=name[:64], source=source)
            await audit(result="refused: wrong name or password")
            return await refuse(_WRONG, name, 403, 0, to)
        attempts.forgive(source)
        log.info("web.signed-in", name=name, source=source)
        await audit(result="done")
        answer = redirect(to or "/", 303)
        answer.set_cookie(
            cookie_name(),
            sessions.open(name),
            max_age=int(inside.settings().web.session_lifetime_s),
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
            path="/",
        )
        return answer

    async def refuse(fault: str, name: str, status: int, retry_after_s: float = 0, to: str = "") -> Answer:
        page = await render_template("sign_in.html", fault=fault, name=name[:64], to=to, ended=False)
        headers = {"Retry-After": str(int(retry_after_s) + 1)} if retry_after_s else {}
        return Response(page, status, headers=headers)

    @site.post("/sign-out")
    async def sign_out() -> Answer:
        signed_in = session()
        form = await request.form
        if signed_in is not None:
            if form.get("token") != signed_in.form_token:
                abort(403)
            sessions.close(signed_in)
            await door.write_down(signed_in, "sign-out", "", "done")
        answer = redirect("/sign-in", 303)
        answer.delete_cookie(cookie_name(), path="/", secure=request.is_secure, httponly=True, samesite="Lax")
        return answer

    @site.get("/status/now")
    async def status_now() -> Answer:
        if session() is None:
            return plain("Sign in first.\n", 401)
        return Response(feed.now(), content_type="application/json")

    @site.get("/status/events")
    async def status_events() -> Answer:
        if session() is None:
            return plain("Sign in first.\n", 401)
        cookie = request.cookies.get(cookie_name())
        if streams.available_tokens < 1:
            return plain("Too many pages are open.\n", 503)

        async def events() -> AsyncIterator[bytes]:
            holder = object()
            streams.acquire_on_behalf_of_nowait(holder)
            try:
                while sessions.find_untrusted(cookie) is not None:
                    yield b"data: " + feed.now() + b"\n\n"
                    await trio.sleep(EVENT_STEP_S)
                yield b"event: signed-out\ndata: {}\n\n"
            finally:
                streams.release_on_behalf_of(holder)

        return Response(events(), content_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    def visitor() -> Visitor | None:
        cookie = request.cookies.get(cookie_name())
        found = sessions.find_untrusted(cookie)
        return None if found is None else Visitor(found, lambda: sessions.find_untrusted(cookie) is not None)

    add_call_pages(site, inside, visitor, streams, door.write_down)
    add_record_pages(site, inside, door)
    add_report_pages(site, inside, door)
    add_pages(site, inside, door, history)
    add_actions(site, inside, door)
    add_diagnosis(site, inside, door)
    add_machine_page(site, inside, door)
    add_setup_page(site, inside)
    add_update_page(site, inside, door)
    add_support_page(site, inside, door)
    return site


def _page_of_ours(path: str) -> str:
    """Where to go after the sign-in, "" for a path that could lead anywhere else."""
    return path if _PAGE.fullmatch(path) else ""


def _from_our_page() -> bool:
    """Whether a form comes from a page of ours, as every browser says since long; tools say nothing of it."""
    origin = request.headers.get("Origin")
    if origin is not None:
        return origin == f"{request.scheme}://{request.host}"
    return request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")


def _listed(remote: str | None, allowed: Sequence[str]) -> bool:
    """Whether an address is among those of metrics-from: localhost, * or addresses."""
    if "*" in allowed:
        return True
    try:
        address = ipaddress.ip_address(remote or "")
        return ("localhost" in allowed and address.is_loopback) or address in {
            ipaddress.ip_address(one) for one in allowed if one != "localhost"
        }
    except ValueError:
        return False
