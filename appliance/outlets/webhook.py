"""Alarms to a web server: one POST with JSON for a handful of changes, by httpx on trio."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import httpx
import trio

from appliance import __version__
from appliance.config.alarm_outlets import WebhookSettings

from .alarm_post import Notice, Undelivered, day_and_time

_AGAIN: Final = frozenset({408, 425, 429})
"""Answers of 4xx after which another attempt may succeed."""


class WebhookCourier:
    """For one `[webhook NAME]`. A redirection is no success: it might lead elsewhere. The path may be a secret."""

    def __init__(self, settings: WebhookSettings, box: str, wall: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._where = httpx.URL(settings.url).host
        self._box = box
        self._wall = wall

    async def deliver(self, notices: Sequence[Notice], left_out: int) -> None:
        settings = self._settings
        headers = {"User-Agent": f"Jackfield/{__version__}"}
        if settings.authorization is not None:
            headers["Authorization"] = settings.authorization.reveal()
        body = {
            "box": self._box,
            "sent_at": day_and_time(self._wall()),
            "left_out": left_out,
            "changes": [self._facts(one) for one in notices],
        }
        try:
            context = await trio.to_thread.run_sync(self._context)
            # A client an attempt: alarms are rare, and an idle connection would hold a certificate of yesterday.
            async with httpx.AsyncClient(
                verify=context, timeout=settings.timeout_s, follow_redirects=False, trust_env=False
            ) as client:
                response = await client.post(settings.url, json=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Undelivered(f"{self._where}: {str(error) or type(error).__name__}") from error
        if not 200 <= response.status_code < 300:
            wrong = 300 <= response.status_code < 500 and response.status_code not in _AGAIN
            reason = f"{self._where} answered {response.status_code} {response.reason_phrase}".rstrip()
            raise Undelivered(reason, final=wrong)

    def _context(self) -> ssl.SSLContext:
        ca = self._settings.ca
        return ssl.create_default_context(cafile=None if ca is None else str(ca))

    def _facts(self, notice: Notice) -> dict[str, object]:
        times = {
            name: None if at is None else day_and_time(at)
            for name, at in (("at", notice.at), ("raised_at", notice.raised_at), ("cleared_at", notice.cleared_at))
        }
        return {**attrs.asdict(notice), **times}
