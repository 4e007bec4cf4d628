"""Refusing for want of room: 503 with a Retry-After that is spread, so that phones do not all come back at once."""

from __future__ import annotations

import random

from appliance.config.settings import Settings
from appliance.sip.errors import Rejected


def overloaded(settings: Settings, cause: str) -> Rejected:
    """The refusal, to be raised; `cause` says what is full."""
    span = settings.sip.retry_after
    seconds = random.randint(span.low, span.high)  # noqa: S311 (spread, not secrecy)
    return Rejected(503, "Service Unavailable", cause, (("Retry-After", str(seconds)),))
