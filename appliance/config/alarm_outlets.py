"""The sections [webhook NAME] and [mail NAME]: who is told of alarms."""

from __future__ import annotations

import difflib
from enum import StrEnum
from pathlib import Path

import attrs

from appliance.alarm_kinds import CATALOGUE, Severity

from .kinds import host as host_name
from .kinds import listed, one_of, optional, path, seconds, secret, text, whole
from .kinds import port as port_number
from .secret import Secret
from .setting import REQUIRED, Kind, setting


class MailSecurity(StrEnum):
    """tls: from the first byte (RFC 8314). starttls: asked for, and insisted on. none: for a server of this machine."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


def alarm_name() -> Kind[str]:
    """The name of an alarm, or * for all."""

    def read(value: str) -> str:
        if value != "*" and value not in CATALOGUE:
            near = difflib.get_close_matches(value, CATALOGUE, 1)
            raise ValueError(f"{value!r} is no alarm" + (f", did you mean {near[0]}?" if near else ""))
        return value

    return Kind("* or names of alarms as the manual's chapter Alarms has them", read)


def mailbox() -> Kind[str]:
    """An address of a person or a machine."""
    return text("an address such as noc@example.com", pattern=r"[^@\s<>,;:\"]+@[^@\s<>,;:\"]+", longest=254)


@attrs.frozen(kw_only=True, slots=False)
class TellingSettings:
    """What webhooks and mails have in common."""

    alarms: tuple[str, ...] = setting(
        listed(alarm_name()),
        "*",
        "Which alarms are told: all, or those named.",
    )
    severity: Severity = setting(
        one_of(Severity), "warning", "The least severity that is told; what was told is told when it is over, too."
    )
    gather_s: float = setting(
        seconds(0, 3600), "10 s", "After the first change others are waited for so long: they go together."
    )
    most_an_hour: int = setting(
        whole(1, 3600), "30", "So many messages an hour at most; further changes wait and go together in the next."
    )
    tries: int = setting(
        whole(1, 100), "10", "After so many attempts with growing pauses a message is given up and counted."
    )
    timeout_s: float = setting(seconds(1, 120), "10 s", "One attempt may take so long.")
    ca: Path | None = setting(
        optional(path(), "auto", "the authorities of the system"),
        "auto",
        "PEM file with the authorities that the server's certificate must come from.",
    )


@attrs.frozen(kw_only=True)
class WebhookSettings(TellingSettings):
    """A web server that is told of alarms by POST with JSON: {box, sent_at, changes: [{change, alarm, subject, ...}]}.

    An answer of 2xx is success. Others are tried again, but for 4xx that say the request itself is wrong.
    """

    name: str
    url: str = setting(
        text("an address such as https://hooks.example.com/alarms", pattern=r"https?://[^\s#@]+", longest=2000),
        REQUIRED,
        "Where the alarms are posted. http only to this machine.",
    )
    authorization: Secret | None = setting(
        optional(
            secret("the whole value of the Authorization header", pattern=r"[ -~]+", longest=4096),
            "none",
            "no such header",
        ),
        "none",
        "Value of the Authorization header, as in Bearer abc.",
        secret=True,
    )


@attrs.frozen(kw_only=True)
class MailSettings(TellingSettings):
    """A mail server (SMTP, RFC 5321) through which people are told of alarms; several changes are one mail."""

    name: str
    host: str = setting(host_name(), REQUIRED, "Name or address of the mail server.")
    port: int | None = setting(
        optional(port_number(), "auto", "465 for tls, 587 for starttls, 25 for none"),
        "auto",
        "Port of the mail server.",
    )
    security: MailSecurity = setting(one_of(MailSecurity), "starttls", "How the connection is made safe.")
    username: str | None = setting(optional(text("a user name"), "none", "no sign-in"), "none", "User at the server.")
    password: Secret | None = setting(
        optional(secret(), "none", "no sign-in"), "none", "Password of username.", secret=True
    )
    sender: str = setting(mailbox(), REQUIRED, "Address that the mails come from.")
    recipients: tuple[str, ...] = setting(listed(mailbox(), least=1), REQUIRED, "Addresses that they go to.")
