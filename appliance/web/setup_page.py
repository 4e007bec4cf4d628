"""The first page of a fresh box: with the code from its console, somebody becomes its administrator."""

from __future__ import annotations

from typing import Final

import trio
from quart import Response, redirect, render_template, request
from quart_trio import QuartTrio
from werkzeug.wrappers import Response as WerkzeugResponse

from appliance.logs import log

from .inside import Inside
from .sessions import Attempts

Answer = Response | WerkzeugResponse
_FIELDS: Final = ("name", "address", "gateway", "dns", "card")


def add_setup_page(site: QuartTrio, inside: Inside) -> None:
    """`/setup`, which is there until it has served."""
    attempts = Attempts(lambda: inside.settings().web.sign_in_attempts)

    async def shown(fault: str, said: dict[str, str], status: int = 200, **more: object) -> Answer:
        page = await render_template("setup.html", fault=fault, said=said, **more)
        return Response(page, status)

    @site.get("/setup")
    async def setup() -> Answer:
        if not inside.setup.waits():
            return redirect("/sign-in", 303)
        return await shown("", {})

    @site.post("/setup")
    async def setup_now() -> Answer:
        if not inside.setup.waits():
            return redirect("/sign-in", 303)
        source, now = request.remote_addr or "", trio.current_time()
        wait_s = attempts.wait_s(source, now)
        if wait_s > 0:
            answer = await shown("Too many tries came from your address. Wait a minute, then try again.", {}, 429)
            answer.headers["Retry-After"] = str(int(wait_s) + 1)
            return answer
        attempts.count(source, now)
        form = await request.form
        said = {name: form.get(name, "").strip()[:300] for name in _FIELDS}
        password = form.get("password", "")
        if password != form.get("again", ""):
            attempts.forgive(source)
            return await shown("That were two different passwords.", said, 409)
        done = await inside.setup.finish(form.get("code", "")[:100], password, said["name"], said)
        await inside.audit.write(
            who="", source=source, what="set-up", result="done" if done.get("ok") else f"refused: {done.get('error')}"
        )
        if not done.get("ok"):
            log.warning("web.setup.refused", source=source, why=done.get("error"))
            return await shown(str(done.get("error")), said, 403)
        name = inside.settings().web.administrator
        return await shown("", {}, done=True, administrator=name, network=done.get("network", ""))
