"""What the box finds out about itself when somebody asks: the self-test, the doctor, its certificates, and how well its
gateways do. The page, its lists and its buttons."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import attrs
import trio
from quart import Response, abort, redirect, render_template, request
from quart_trio import QuartTrio
from werkzeug.wrappers import Response as WerkzeugResponse

from appliance.config.accounts import Role

from .door import Door, Form, plain
from .inside import Answer, Inside
from .quality import SPANS, graded

FRESH_S: Final = 15.0
"""An answer from files or from the records is good for so long, however many pages ask."""

Rows = dict[str, object]


def add_diagnosis(site: QuartTrio, inside: Inside, door: Door) -> None:
    """Put it into the site."""

    @site.get("/diagnosis")
    async def page() -> Response | WerkzeugResponse | str:
        if door.session() is None:
            return redirect("/sign-in", 303)
        return await render_template("diagnosis.html")

    async def certificates() -> Rows:
        return {"rows": [attrs.asdict(one) for one in await inside.certificates()]}

    kept_certificates = Kept(certificates)

    @site.get("/find/certificates")
    async def find_certificates() -> Response | Rows:
        if door.session() is None:
            return plain("Sign in first.\n", 401)
        return {**await kept_certificates.rows(), "now": time.time()}

    def since(seconds: float) -> Callable[[], Awaitable[Rows]]:
        async def rows() -> Rows:
            try:
                return {"rows": graded(await inside.quality(time.time() - seconds))}
            except ValueError as fault:
                return {"rows": [], "error": str(fault)}

        return rows

    kept_quality = {name: Kept(since(seconds)) for name, seconds in SPANS.items()}

    @site.get("/find/quality")
    async def find_quality() -> Response | Mapping[str, object]:
        if door.session() is None:
            return plain("Sign in first.\n", 401)
        kept = kept_quality.get(request.args.get("span", "day"))
        if kept is None:
            abort(400)
        return await kept.rows()

    @site.post("/do/selftest")
    async def test() -> tuple[Rows, int]:
        async def begin(form: Form) -> Answer:
            return inside.actions.test()

        return await door.act(Role.OPERATOR, "self-test", lambda form: "", begin)

    @site.post("/do/doctor")
    async def doctor() -> tuple[Rows, int]:
        async def examine(form: Form) -> Answer:
            return {"ok": True, "findings": [attrs.asdict(one) for one in await inside.actions.examine()]}

        return await door.act(Role.OPERATOR, "doctor", lambda form: "", examine)


class Kept:
    """Asks once and keeps the answer for FRESH_S; whoever comes meanwhile waits for the same one."""

    def __init__(self, ask: Callable[[], Awaitable[Rows]]) -> None:
        self._ask = ask
        self._turn = trio.Lock()
        self._asked_at: float | None = None
        self._rows: Rows = {}

    async def rows(self) -> Rows:
        async with self._turn:
            if self._asked_at is None or trio.current_time() - self._asked_at >= FRESH_S:
                self._rows = await self._ask()
                self._asked_at = trio.current_time()
            return self._rows
