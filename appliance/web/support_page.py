"""The support bundle as a file to download: a form of ours asks for it, and only for administrators."""

from __future__ import annotations

import trio
from quart import Response
from quart_trio import QuartTrio

from appliance.config.accounts import Role

from .door import Door
from .inside import Inside


def add_support_page(site: QuartTrio, inside: Inside, door: Door) -> None:
    """Put it into the site."""
    turn = trio.CapacityLimiter(1)

    @site.post("/support")
    async def support() -> Response:
        session, _ = await door.admit(Role.ADMINISTRATOR, "support bundle")
        async with turn:
            name, data = await inside.support()
        await door.write_down(session, "support bundle", name, "done")
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(data, content_type="application/gzip", headers=headers)
