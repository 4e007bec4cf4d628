"""The page of reports: how calls went in some time, as plots and tables, and each table as CSV."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from quart import Response, abort, redirect, render_template, request
from quart_trio import QuartTrio
from werkzeug.wrappers import Response as WerkzeugResponse

from appliance.proxy.report_sheets import KINDS, ReportSpan, Sheet, report_sheets

from .door import Door
from .inside import Inside
from .search_form import SearchForm

Answer = Response | WerkzeugResponse
SPANS: Final = {"24 hours": 1, "7 days": 7, "30 days": 30, "90 days": 90}
"""Days back from now."""
ROWS: Final = 20
SHOWN: Final = ("total", "hours", "trunks", "gateways", "prefixes", "tenants", "sources", "busiest", "causes")


def add_report_pages(site: QuartTrio, inside: Inside, door: Door) -> None:
    """Put the page into the site."""

    async def sheets(kinds: tuple[str, ...]) -> tuple[SearchForm, str, list[Sheet], str, str]:
        """What was asked, the span, the sheets, the fault in place of them, and the zone in words."""
        form = SearchForm.of(request.args)
        span = request.args.get("span", "")
        span = span if span in SPANS else next(iter(SPANS))
        zone = timezone(timedelta(minutes=form.zone)) if form.zone else UTC
        now = datetime.now(zone)
        since_s, until_s = form.since_s, form.until_s
        asked = ReportSpan(
            since=now - timedelta(days=SPANS[span]) if since_s is None else datetime.fromtimestamp(since_s, zone),
            until=now if until_s is None else datetime.fromtimestamp(until_s, zone),
            trunk=request.args.get("trunk", "")[:100],
            tenant=request.args.get("tenant", "")[:100],
            digits=_digits(request.args.get("digits", "")),
        )
        try:
            if form.mistake:
                raise ValueError(form.mistake)
            if not inside.settings().records.enabled:
                raise ValueError("Call records are off: set enabled of [records].")
            return form, span, await report_sheets(inside.records, kinds, asked, zone, ROWS), "", str(zone)
        except ValueError as error:
            return form, span, [], str(error), str(zone)

    @site.get("/reports")
    async def reports() -> Answer | str:
        if door.session() is None:
            return redirect("/sign-in", 303)
        form, span, made, fault, zone = await sheets(SHOWN)
        return await render_template(
            "reports.html",
            wanted=form,
            span=span,
            spans=tuple(SPANS),
            sheets=made,
            fault=fault,
            zone=zone,
            asked=request.args,
            question=request.query_string.decode("ascii", "replace"),
            digits=_digits(request.args.get("digits", "")),
        )

    @site.get("/reports/<kind>.csv")
    async def table(kind: str) -> Answer:
        if door.session() is None:
            return redirect("/sign-in", 303)
        if kind not in KINDS:
            abort(404)
        form, _, made, fault, _ = await sheets((kind,))
        if fault:
            return Response(fault + "\n", 400 if form.mistake else 503, content_type="text/plain; charset=utf-8")
        headers = {"Content-Disposition": f'attachment; filename="{kind}.csv"'}
        return Response(made[0].csv, content_type="text/csv; charset=utf-8", headers=headers)


def _digits(text: str) -> int:
    return min(max(int(text), 1), 20) if text.isdecimal() and len(text) < 3 else 4
