"""The pages and the two machine-readable addresses: what is asked, who may see it, what it looks like.

What the box does is read through `Inside`; sign-in is in sessions.py, the figures of the status page in feed.py.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from quart import Response, request
from quart_trio import QuartTrio

from appliance.logs import log
from appliance.metrics import render_prometheus

from .inside import Inside

PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


class _Quart(QuartTrio):
    """Quart that tells faults to our log, in one line."""

    def log_exception(self, exception_info: object) -> None:
        error = exception_info[1] if isinstance(exception_info, tuple) else None
        log.error("web.fault", error, path=request.path)


def make_site(inside: Inside) -> QuartTrio:
    """The Quart application."""
    site = _Quart(__name__)
    web = inside.settings().web
    site.config["MAX_CONTENT_LENGTH"] = web.max_body_bytes
    site.config["BODY_TIMEOUT"] = 10

    @site.get("/healthz")
    async def healthz() -> tuple[dict[str, object], int]:
        health = inside.health()
        unwell = [one.name for one in health.services if one.state not in ("ready", "stopped")]
        serving = health.state in ("ready", "degraded")
        answer: dict[str, object] = {"status": "ok" if serving else "unavailable", "state": health.state}
        if not serving:
            answer["reasons"] = [health.state]
        if unwell or health.faults:
            answer["degraded"] = [*unwell, *health.faults]
        return answer, 200 if serving else 503

    @site.get("/metrics")
    async def metrics() -> Response:
        if not _listed(request.remote_addr, inside.settings().web.metrics_from):
            text = f"{request.remote_addr} is not listed in metrics-from of [web].\n"
            return Response(text, 403, content_type="text/plain; charset=utf-8")
        return Response(render_prometheus(inside.metrics), content_type=PROMETHEUS)

    return site


def _listed(remote: str | None, allowed: Sequence[str]) -> bool:
    """Whether an address is among those of metrics-from: localhost, * or addresses."""
    if "*" in allowed:
        return True
    try:
        address = ipaddress.ip_address(remote or "")
        return ("localhost" in allowed and address.is_loopback) or address in {
            ipaddress.ip_address(one) for one in allowed if one != "localhost"
        }
    except ValueError:
        return False
