"""The support bundle as a file to download: a form of ours asks for it, and only for administrators."""

from __future__ import annotations

import trio
from quart import Response, abort, request
from quart_trio import QuartTrio

from appliance.config.accounts import Role

from .door import Door
from .inside import Inside


def add_support_page(
    site: QuartTrio,
    inside: Inside,
    door: Door,
) -> None:
    """Put it into the site."""
    turn = trio.CapacityLimiter(1)

    @site.post("/support")
    async def support() -> Response:
        form = await request.form
        session = door.session()
        if session is None:
            abort(403)
        if form.get("token") != session.form_token:
            await door.write_down(session, "support bundle", "", "refused: no token of the page")
            abort(403)
        if not session.role.may(Role.ADMINISTRATOR):
            await door.write_down(session, "support bundle", "", "refused: needs the role administrator")
            abort(403)
        async with turn:
            name, data = await inside.support()
        await door.write_down(session, "support bundle", name, "done")
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(data, content_type="application/gzip", headers=headers)
