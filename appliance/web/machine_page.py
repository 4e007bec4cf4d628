"""The machine: a backup to download, one to take back, and on our image addresses on trial, restart and power.

For administrators. Programs may use the same addresses as the page: POST /machine/backup gives the file, PUT it to
/machine/backup and POST /do/restore to take it back.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

import trio
from quart import Response, abort, redirect, render_template, request
from quart_trio import QuartTrio
from werkzeug.wrappers import Response as WerkzeugResponse

from appliance.config.accounts import Role

from .door import Door, Form, found
from .inside import Answer, Inside

Result = tuple[dict[str, object], int]
_PIECE: Final = 1 << 18
_NETWORK: Final = {"apply": "network-apply", "confirm": "network-confirm", "revert": "network-revert"}
_POWER: Final = {"reboot": "reboot", "poweroff": "poweroff"}


def add_machine_page(site: QuartTrio, inside: Inside, door: Door) -> None:
    """/machine and what belongs to it."""
    turn = trio.CapacityLimiter(1)

    @site.get("/machine")
    async def machine() -> Response | WerkzeugResponse | str:
        if not door.may(Role.ADMINISTRATOR):
            if door.session() is not None:
                abort(403)
            return redirect("/sign-in", 303)
        return await render_template("machine.html", ours=inside.machine.is_ours)

    @site.get("/machine/network")
    async def network() -> Result:
        if not door.may(Role.ADMINISTRATOR):
            return {"ok": False, "error": "Sign in as an administrator first."}, 401
        return dict(await inside.machine.ask("network-show")), 200

    @site.post("/machine/backup")
    async def backup() -> Response | WerkzeugResponse:
        session, form = await door.admit(Role.ADMINISTRATOR, "backup")
        passphrase = form.get("passphrase", "")
        if passphrase != form.get("again", ""):
            return await _refused(inside, "That were two different passphrases.")
        try:
            async with turn:
                name, file = await inside.backups.make(passphrase, records="records" in form)
        except (ValueError, OSError) as error:
            await door.write_down(session, "backup", "", f"failed: {error}")
            return await _refused(inside, f"No backup was made: {error}.")
        await door.write_down(session, "backup", name, "done")
        data, size = _opened(file)
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)}
        return Response(_sent(data), content_type="application/octet-stream", headers=headers)

    @site.put("/machine/backup")
    async def receive() -> Result:
        session = door.session()
        if session is None:
            return {"ok": False, "error": "Sign in first."}, 401
        if not session.role.may(Role.ADMINISTRATOR):
            await door.write_down(session, "restore: send", "", "refused: needs the role administrator")
            return {"ok": False, "error": "This needs the role administrator."}, 403
        answer = dict(await inside.backups.receive(request.content_length, request.body))
        result = "done" if answer.get("ok") else f"failed: {answer.get('error')}"
        await door.write_down(session, "restore: send", "", result)
        return answer, 200 if answer.get("ok") else 409

    @site.post("/do/restore")
    async def restore() -> Result:
        async def take(form: Form) -> Answer:
            [passphrase] = found(form, "passphrase")
            return await inside.backups.take(passphrase)

        return await door.act(Role.ADMINISTRATOR, "restore", lambda form: "", take)

    @site.post("/do/machine")
    async def do() -> Result:
        async def change(form: Form) -> Answer:
            [action] = found(form, "action")
            verb = (_NETWORK | _POWER).get(action)
            if verb is None:
                abort(400)
            return await inside.machine.ask(verb)

        return await door.act(Role.ADMINISTRATOR, "machine", lambda form: form.get("action", ""), change)


async def _refused(inside: Inside, fault: str) -> Response:
    page = await render_template("machine.html", ours=inside.machine.is_ours, fault=fault)
    return Response(page, 409)


def _opened(file: Path) -> tuple[BinaryIO, int]:
    """The file and its size; it has no name any more, and is gone however the sending ends."""
    data = file.open("rb")
    file.unlink()
    return data, os.fstat(data.fileno()).st_size


async def _sent(data: BinaryIO) -> AsyncIterator[bytes]:
    with data:
        while piece := await trio.to_thread.run_sync(data.read, _PIECE):
            yield piece
