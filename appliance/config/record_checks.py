"""Contradictions about where call records go."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from .alarm_checks import of_this_machine
from .certificate_checks import authorities_mistakes
from .mistakes import Mistake
from .places import Places
from .settings import Settings


def record_mistakes(settings: Settings, places: Places) -> Iterator[Mistake]:
    yield from _store(settings, places)
    yield from _reports(settings, places)


def _reports(settings: Settings, places: Places) -> Iterator[Mistake]:
    for one in settings.reports.values():
        if not places.sound("report", one.name):
            continue
        title = f"[report {one.name}]"
        if one.mail not in settings.mails:
            remedy = "Add the section, or name one of " + ", ".join(settings.mails) if settings.mails else "Add it"
            place = places.of("report", one.name, "mail")
            yield Mistake(place, title, "mail", f"there is no [mail {one.mail}]", remedy)
        if not settings.records.enabled:
            remedy = "Set enabled = yes in [records], or take the report away"
            yield Mistake(places.of("report", one.name), title, "", "has nothing to tell without records", remedy)
        if one.trunk is not None and one.trunk not in settings.trunks:
            place = places.of("report", one.name, "trunk")
            yield Mistake(place, title, "trunk", f"there is no [trunk {one.trunk}]", "Name one of the trunks, or all")


def _store(settings: Settings, places: Places) -> Iterator[Mistake]:
    records = settings.records
    if not places.sound("records"):
        return
    if records.url is None:
        for key in ("username", "password", "ca"):
            if getattr(records, key) is not None:
                place = places.of("records", "", key)
                yield Mistake(place, "[records]", key, "means nothing without url", "Give url, or take it away")
        return
    place = places.of("records", "", "url")
    try:
        parts = urlsplit(records.url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        yield Mistake(place, "[records]", "url", f"cannot be asked: {error}", "Write it as https://host:port")
        return
    yield from authorities_mistakes(records.ca, "records", "", "ca", places)
    if parts.scheme == "http" and records.password is not None and not of_this_machine(host):
        mistake = f"would send the password, and who called whom, in the clear to {host}"
        yield Mistake(place, "[records]", "url", mistake, "Use https, or a server on this machine")
