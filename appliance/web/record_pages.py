"""The lists of calls and of events: all that is kept, searched, page by page."""

from __future__ import annotations

from typing import Final

from quart import Response, redirect, render_template, request
from quart_trio import QuartTrio
from werkzeug.wrappers import Response as WerkzeugResponse

from appliance.proxy.call_search import EVENT_KINDS, STATES, CallSearch, search_calls, search_events
from appliance.proxy.verdict import verdict

from .door import Door
from .inside import Inside
from .search_form import SearchForm

Answer = Response | WerkzeugResponse
ROWS: Final = 100
"""On a page."""


def add_record_pages(site: QuartTrio, inside: Inside, door: Door) -> None:
    """Put the pages into the site."""

    @site.get("/calls")
    async def calls() -> Answer | str:
        if door.session() is None:
            return redirect("/sign-in", 303)
        form = SearchForm.of(request.args)
        asked = CallSearch(
            text=form.text,
            state=form.state,
            since=form.since_s,
            until=form.until_s,
            sort=form.sort,
            ascending=form.ascending,
            before=form.before,
            skip=form.skip,
            limit=ROWS,
        )
        found = await search_calls(inside.records, inside.core, asked)
        older = ""
        if found.more and asked.by_time and found.last is not None:
            older = form.link(before=found.last)
        elif found.more and not asked.by_time:
            older = form.link(skip=form.skip + ROWS)
        return await render_template(
            "calls.html",
            wanted=form,
            rows=[(call, verdict(call)) for call in found.calls],
            fault=found.fault,
            more=found.more,
            older=older,
            latest="" if asked.first_page else form.link(),
            states=STATES,
        )

    @site.get("/events")
    async def all_events() -> Answer | str:
        if door.session() is None:
            return redirect("/sign-in", 303)
        form = SearchForm.of(request.args)
        found = await search_events(
            inside.records, form.text, form.kind, form.since_s, form.until_s, form.before, limit=ROWS
        )
        return await render_template(
            "events.html",
            wanted=form,
            rows=found.events,
            fault=found.fault,
            older=form.link(before=found.last) if found.more else "",
            latest="" if form.before is None else form.link(),
            kinds=EVENT_KINDS,
        )
