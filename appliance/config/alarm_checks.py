"""Contradictions of what tells: marks in the wrong order, collectors that TLS settings have nothing to do with."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from .alarm_outlets import MailSecurity
from .certificate_checks import authorities_mistakes, pair_mistakes
from .mistakes import Mistake
from .places import Places
from .settings import Settings

_TLS_KEYS = ("ca", "certificate", "private-key", "verify-name")


def alarm_mistakes(settings: Settings, places: Places) -> Iterator[Mistake]:
    yield from _marks(settings, places)
    yield from _collectors(settings, places)
    yield from _webhooks(settings, places)
    yield from _mails(settings, places)


def _marks(settings: Settings, places: Places) -> Iterator[Mistake]:
    marks = settings.alarms
    for what, low, high in (
        ("capacity", marks.capacity_low, marks.capacity_high),
        ("disk", marks.disk_low, marks.disk_high),
        ("files", marks.files_low, marks.files_high),
    ):
        if low >= high and places.sound("alarms"):
            place = max(places.of("alarms", "", f"{what}-low"), places.of("alarms", "", f"{what}-high"))
            mistake = f"{low:.0%} is not below {what}-high ({high:.0%}), and the alarm would come and go at one mark"
            yield Mistake(place, "[alarms]", f"{what}-low", mistake, f"Make {what}-low lower or {what}-high higher")


def _webhooks(settings: Settings, places: Places) -> Iterator[Mistake]:
    for one in settings.webhooks.values():
        if not places.sound("webhook", one.name):
            continue
        title, place = f"[webhook {one.name}]", places.of("webhook", one.name, "url")
        yield from authorities_mistakes(one.ca, "webhook", one.name, "ca", places)
        try:
            parts = urlsplit(one.url)
            host, _ = parts.hostname or "", parts.port
        except ValueError as error:
            yield Mistake(place, title, "url", f"cannot be asked: {error}", "Write it as https://host:port/path")
            continue
        if parts.username is not None:
            remedy = "Put Basic and the Base64 of user:password into authorization"
            yield Mistake(place, title, "url", "holds a user name, which logs would show", remedy)
        if parts.scheme == "http" and not of_this_machine(host):
            mistake = f"goes to {host} without TLS, where everybody on the way reads and forges alarms"
            yield Mistake(place, title, "url", mistake, "Use https, or a server on this machine")


def _mails(settings: Settings, places: Places) -> Iterator[Mistake]:
    for one in settings.mails.values():
        if not places.sound("mail", one.name):
            continue
        title = f"[mail {one.name}]"
        yield from authorities_mistakes(one.ca, "mail", one.name, "ca", places)
        if (one.username is None) is not (one.password is None):
            there, missing = ("username", "password") if one.password is None else ("password", "username")
            place = places.of("mail", one.name, there)
            yield Mistake(place, title, there, f"stands without {missing}", f"Give {missing} too, or take it away")
        if one.security is MailSecurity.NONE and not of_this_machine(one.host):
            place = places.of("mail", one.name, "security")
            mistake = f"none would send alarms, and passwords, in the clear to {one.host}"
            yield Mistake(place, title, "security", mistake, "Use tls or starttls, or a server on this machine")


def of_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _collectors(settings: Settings, places: Places) -> Iterator[Mistake]:
    for kind, collectors, what in (("syslog", settings.syslogs, "event"), ("hep", settings.heps, "message")):
        seen: dict[tuple[str, int | None, str], str] = {}
        for one in collectors.values():
            if not places.sound(kind, one.name):
                continue
            title = f"[{kind} {one.name}]"
            yield from pair_mistakes(one.certificate, one.private_key, kind, one.name, places)
            yield from authorities_mistakes(one.ca, kind, one.name, "ca", places)
            if one.transport != "tls":
                for key, value in zip(
                    _TLS_KEYS, (one.ca, one.certificate, one.private_key, one.verify_name), strict=True
                ):
                    if value is not None:
                        mistake = f"means nothing over {one.transport}"
                        remedy = "Set transport = tls, or take it away"
                        yield Mistake(places.of(kind, one.name, key), title, key, mistake, remedy)
            other = seen.setdefault((one.host, one.port, one.transport.value), one.name)
            if other != one.name:
                mistake = f"is the same collector as [{kind} {other}], which would get every {what} twice"
                yield Mistake(places.of(kind, one.name, "host"), title, "host", mistake, "Take one of them away")
