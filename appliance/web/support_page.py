"""The support bundle as a file to download: a form of ours asks for it, and only for administrators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from quart import Response, abort, request
from quart_trio import QuartTrio

from .inside import Inside
from .sessions import Session


def add_support_page(
    site: QuartTrio,
    inside: Inside,
    administrator: Callable[[], Session | None],
    write_down: Callable[[Session, str, str, str], Awaitable[None]],
) -> None:
    """Put it into the site; `administrator` gives the session of an administrator who asks, `write_down` the audit."""
    turn = trio.CapacityLimiter(1)

    @site.post("/support")
    async def support() -> Response:
        signed_in = administrator()
        if signed_in is None:
            abort(403)
        form = await request.form
        if form.get("token") != signed_in.form_token:
            abort(403)
        async with turn:
            name, data = await inside.support()
        await write_down(signed_in, "support bundle", name, "done")
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(data, content_type="application/gzip", headers=headers)
