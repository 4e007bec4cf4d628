"""Which courier carries alarms to a receiver, by the kind of its section."""

from __future__ import annotations

from appliance.config.alarm_outlets import MailSettings, WebhookSettings

from .alarm_post import Courier
from .mail import MailCourier
from .webhook import WebhookCourier


def courier_of(settings: WebhookSettings | MailSettings, box: str) -> Courier:
    """`box` is the name that receivers see."""
    return MailCourier(settings, box) if isinstance(settings, MailSettings) else WebhookCourier(settings, box)
