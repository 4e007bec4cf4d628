"""The update of a Jackfield image: both versions, a bundle that is sent, installed, started; for administrators.

The page is one client of these addresses, curl another: sign in, then PUT the bundle to /update/bundle with the
session's cookie, POST /do/update, and read /update/status. Where the box is no image of ours, none of this is there.
"""

from __future__ import annotations

from typing import Final

from quart import Response, abort, redirect, render_template, request
from quart_trio import QuartTrio
from werkzeug.wrappers import Response as WerkzeugResponse

from appliance.config.accounts import Role

from .door import Door, Form, found
from .inside import Answer, Inside

Result = tuple[dict[str, object], int]
LONGEST_NAME: Final = 128


def add_update_page(site: QuartTrio, inside: Inside, door: Door) -> None:
    """/update and what belongs to it."""
    updates = inside.updates
    if updates is None:
        return

    @site.get("/update")
    async def update_page() -> Response | WerkzeugResponse | str:
        if not door.may(Role.ADMINISTRATOR):
            if door.session() is not None:
                abort(403)
            return redirect("/sign-in", 303)
        return await render_template("update.html")

    @site.get("/update/status")
    async def update_status() -> Result:
        if not door.may(Role.ADMINISTRATOR):
            return {"ok": False, "error": "Sign in as an administrator first."}, 401
        return dict(await updates.status()), 200

    @site.get("/update/stick")
    async def update_stick() -> Result:
        if not door.may(Role.ADMINISTRATOR):
            return {"ok": False, "error": "Sign in as an administrator first."}, 401
        return dict(await updates.find()), 200

    @site.put("/update/bundle")
    async def update_bundle() -> Result:
        session = door.session()
        name = request.args.get("name", "")[:LONGEST_NAME]
        if session is None:
            return {"ok": False, "error": "Sign in first."}, 401
        if not session.role.may(Role.ADMINISTRATOR):
            await door.write_down(session, "update: send", name, "refused: needs the role administrator")
            return {"ok": False, "error": "This needs the role administrator."}, 403
        answer = dict(await updates.take(name, request.content_length, request.body))
        result = "done" if answer.get("ok") else f"failed: {answer.get('error')}"
        await door.write_down(session, "update: send", name, result)
        return answer, 200 if answer.get("ok") else 409

    @site.post("/do/update")
    async def do_update() -> Result:
        async def change(form: Form) -> Answer:
            action, name = found(form, "action", "file")
            if action in ("install", "stick"):
                return await updates.install(name, stick=action == "stick", anyway="anyway" in form)
            plain = {"previous": updates.previous, "give-up": updates.give_up, "restart": updates.restart}
            if action not in plain:
                abort(400)
            return await plain[action]()

        def subject(form: Form) -> str:
            words = (form.get("action", ""), form.get("file", ""), "anyway" if "anyway" in form else "")
            return " ".join(word for word in words if word)

        return await door.act(Role.ADMINISTRATOR, "update", subject, change)
