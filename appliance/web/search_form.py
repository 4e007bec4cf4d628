"""What the forms above the lists of calls and events send: words, a span of time, and the place where a page begins."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from urllib.parse import urlencode

import attrs
from werkzeug.datastructures import MultiDict

from appliance.proxy.call_search import ORDERS, STATES, Place

LONGEST_TEXT: Final = 200
MOST_SKIPPED: Final = 100_000
_PLACE: Final = re.compile(r"(\d{1,15})\.(\d{1,18})")


@attrs.frozen(kw_only=True)
class SearchForm:
    """Whatever is wrong in a field counts as nothing; of times, `mistake` says so. `since` and `until` are as the
    browser writes a time of its own zone, `zone` how many minutes that is ahead of UTC.
    """

    text: str = ""
    state: str = "all"
    kind: str = ""
    since: str = ""
    until: str = ""
    zone: int = 0
    sort: str = "started"
    ascending: bool = False
    before: Place | None = None
    skip: int = 0
    unread: str = ""
    """A time that is none."""

    @classmethod
    def of(cls, query: MultiDict[str, str]) -> SearchForm:
        """Of the parameters of an address."""
        state, sort, place = query.get("state", ""), query.get("sort", ""), _PLACE.fullmatch(query.get("before", ""))
        return cls(
            text=query.get("q", "").strip()[:LONGEST_TEXT],
            state=state if state in STATES else "all",
            kind=query.get("kind", "")[:LONGEST_TEXT],
            since=_written(query.get("from", "")),
            until=_written(query.get("to", "")),
            zone=_whole(query.get("zone", ""), -24 * 60, 24 * 60),
            sort=sort if sort in ORDERS else "started",
            ascending=query.get("order") == "up",
            before=None if place is None else (int(place[1]), int(place[2])),
            skip=_whole(query.get("skip", ""), 0, MOST_SKIPPED),
            unread=next((one for one in (query.get("from", ""), query.get("to", "")) if one and not _written(one)), ""),
        )

    @property
    def mistake(self) -> str:
        """What is wrong with the times, in a sentence; '' where nothing is."""
        if self.unread:
            return f"{self.unread[:40]!r} is no time: give one such as 2026-01-31T12:30."
        since_s, until_s = self.since_s, self.until_s
        if since_s is not None and until_s is not None and until_s < since_s:
            return "The time asked for ends before it begins: From must be before To."
        return ""

    @property
    def narrow(self) -> bool:
        """Whether something is looked for."""
        return bool(self.text or self.kind or self.since or self.until) or self.state != "all"

    @property
    def since_s(self) -> float | None:
        """Seconds since 1970."""
        return self._moment(self.since)

    @property
    def until_s(self) -> float | None:
        """The end of the minute that was given."""
        moment = self._moment(self.until)
        return None if moment is None else moment + 59.999

    def _moment(self, written: str) -> float | None:
        if not written:
            return None
        zone = timezone(timedelta(minutes=self.zone)) if self.zone else UTC
        return datetime.fromisoformat(written).replace(tzinfo=zone).timestamp()

    def link(self, **changed: object) -> str:
        """The address of the same question, but for what is changed; from its first page if not told otherwise."""
        one = attrs.evolve(self, **{"before": None, "skip": 0, **changed})  # type: ignore[arg-type]
        fields = {
            "q": one.text,
            "state": "" if one.state == "all" else one.state,
            "kind": one.kind,
            "from": one.since,
            "to": one.until,
            "zone": one.zone if one.since or one.until else "",
            "sort": "" if one.sort == "started" else one.sort,
            "order": "up" if one.ascending else "",
            "before": "" if one.before is None else "{}.{}".format(*one.before),
            "skip": one.skip or "",
        }
        return "?" + urlencode({name: value for name, value in fields.items() if value != ""})

    def sorted_by(self, sort: str) -> str:
        """By this, or the other way round."""
        return self.link(sort=sort, ascending=sort == self.sort and not self.ascending)


def _written(text: str) -> str:
    """As `datetime-local` writes it, '' for anything else."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None).isoformat(timespec="minutes") if text else ""
    except ValueError:
        return ""


def _whole(text: str, low: int, high: int) -> int:
    return min(max(int(text), low), high) if re.fullmatch(r"-?\d{1,9}", text) else 0
