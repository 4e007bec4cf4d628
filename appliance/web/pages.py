"""The pages behind the sign-in and what they ask for beside the live figures: lists that are searched, plots, audit."""

from __future__ import annotations

import time
from typing import Final

import trio
from quart import Response, abort, redirect, render_template, request
from quart_trio import QuartTrio
from werkzeug.wrappers import Response as WerkzeugResponse

from appliance.config.accounts import Role
from appliance.proxy import overview

from .door import Door, plain
from .feed import MOST_SHOWN, short
from .history import SPANS, History
from .inside import ConfigurationLook, Inside

Answer = Response | WerkzeugResponse

PAGES: Final = (
    ("/", "Overview", Role.VIEWER),
    ("/calls", "Calls", Role.VIEWER),
    ("/reports", "Reports", Role.VIEWER),
    ("/trunks", "Trunks", Role.VIEWER),
    ("/registrations", "Registrations", Role.VIEWER),
    ("/security", "Security", Role.VIEWER),
    ("/alarms", "Alarms", Role.VIEWER),
    ("/events", "Events", Role.VIEWER),
    ("/configuration", "Configuration", Role.VIEWER),
    ("/diagnosis", "Diagnosis", Role.VIEWER),
    ("/machine", "Machine", Role.ADMINISTRATOR),
    ("/update", "Update", Role.ADMINISTRATOR),
    ("/audit", "Audit", Role.ADMINISTRATOR),
)
"""The navigation: those of them that the site has, and that one may see."""
AUDIT_SHOWN: Final = 200
LONGEST_SEARCH: Final = 200


def add_pages(site: QuartTrio, inside: Inside, door: Door, history: History) -> None:
    """The pages of PAGES that are ours, and their lists."""
    looking = trio.CapacityLimiter(1)

    @site.context_processor
    def navigation() -> dict[str, object]:
        """For page.html: `session`, `pages` as (address, name, whether it is this one), `may_operate`, `may_rule`."""
        session = door.session()
        known = {rule.rule for rule in site.url_map.iter_rules()}
        here = "/" + request.path.split("/")[1]
        pages = [
            (address, name, address == here)
            for address, name, needed in PAGES
            if address in known and session is not None and session.role.may(needed)
        ]
        return {
            "session": session,
            "pages": pages,
            "may_operate": session is not None and session.role.may(Role.OPERATOR),
            "may_rule": session is not None and session.role.may(Role.ADMINISTRATOR),
        }

    async def page(template: str, **shown: object) -> Answer | str:
        if door.session() is None:
            return redirect("/sign-in", 303)
        return await render_template(template, **shown)

    for address, template in (
        ("/", "status.html"),
        ("/trunks", "trunks.html"),
        ("/registrations", "registrations.html"),
        ("/security", "security.html"),
        ("/alarms", "alarms.html"),
    ):

        async def simple(template: str = template) -> Answer | str:
            return await page(template)

        site.add_url_rule(address, f"page {address}", simple, methods=["GET"])

    @site.get("/configuration")
    async def configuration() -> Answer | str:
        look: ConfigurationLook | None = None
        if door.session() is not None:
            async with looking:
                look = await inside.actions.look_at_files()
        sections: dict[str, list[dict[str, str]]] = {}
        for line in inside.settings().written:
            lines = sections.setdefault(line.section, [])
            if line.key:
                lines.append({"key": line.key, "text": line.text, "place": str(line.place)})
        return await page("configuration.html", look=look, sections=sections)

    @site.get("/audit")
    async def audit() -> Answer | str:
        if not door.may(Role.ADMINISTRATOR):
            if door.session() is not None:
                abort(403)
            return redirect("/sign-in", 303)
        entries = await inside.audit.last(AUDIT_SHOWN)
        shown = [(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at)), one) for one in entries]
        return await page("audit.html", entries=shown)

    @site.get("/status/history")
    async def calls_over_time() -> Answer | dict[str, object]:
        if door.session() is None:
            return plain("Sign in first.\n", 401)
        span = request.args.get("span", "day")
        if span not in SPANS:
            abort(400)
        return history.steps(time.time(), span)

    @site.get("/find/registrations")
    async def registrations() -> Answer | dict[str, object]:
        if door.session() is None:
            return plain("Sign in first.\n", 401)
        rows = overview.registrations(inside.core, MOST_SHOWN, _search())
        return {"rows": [short(one) for one in rows], "all": len(inside.core.location), "most": MOST_SHOWN}

    @site.get("/find/bans")
    async def bans() -> Answer | dict[str, object]:
        if door.session() is None:
            return plain("Sign in first.\n", 401)
        search = _search()
        records = overview.bans(inside.core)
        rows = [one for one in records if search in f"{one.source}\n{one.cause}".lower()][:MOST_SHOWN]
        return {"rows": [short(one) for one in rows], "all": len(records), "most": MOST_SHOWN}

    @site.get("/find/alarms")
    async def past_alarms() -> Answer | dict[str, object]:
        if door.session() is None:
            return plain("Sign in first.\n", 401)
        return {
            "rows": [
                {
                    "number": one.number,
                    "kind": one.kind.name,
                    "severity": one.severity.value,
                    "subject": one.subject[:LONGEST_SEARCH],
                    "sentence": one.sentence[:LONGEST_SEARCH],
                    "since": one.raised_at,
                    "until": one.cleared_at,
                    "count": one.count,
                }
                for one in list(reversed(inside.alarms.past))[:MOST_SHOWN]
            ]
        }


def _search() -> str:
    return request.args.get("q", "")[:LONGEST_SEARCH].strip().lower()
