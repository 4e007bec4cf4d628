"""Refusing for want of room: the code, Reason and spread Retry-After that [refusal KIND] gives."""

from __future__ import annotations

import random

from appliance.config.admission import RefusalKind
from appliance.config.settings import Settings
from appliance.router.refusals import refusal
from appliance.sip.errors import Rejected


def overloaded(settings: Settings, cause: str, kind: RefusalKind) -> Rejected:
    """The refusal, to be raised; `cause` says what is full."""
    return refusal(settings, kind, cause, random.randint)
