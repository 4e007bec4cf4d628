"""The lists of the pages: calls in progress and all that have a record, and events, searched and page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from appliance.proxy.call_detail import CallDetail, all_details, detail
from appliance.proxy.core import SipCore
from appliance.proxy.records import Records
from appliance.proxy.stored_call import detail_of_record
from appliance.storage.call_data import StoreFault
from appliance.storage.event_record import KINDS, EventRecord
from appliance.storage.record_question import SORTS, CallQuestion, EventQuestion

STATES: Final = ("all", "in progress", "ended", "failed")
ORDERS: Final = tuple(SORTS)
EVENT_KINDS: Final = tuple(KINDS)
_STATUS: Final = {"all": "", "ended": "answered", "failed": "failed"}
_UNRECORDED: Final = (401, 407)
"""Passwords that were asked for, or wrong: they leave no record, and are listed as long as they are in memory."""
_DEEPEST: Final = 1 << 20

Place = tuple[int, int]
"""The time in milliseconds and the id of a record: where the next page begins."""


@attrs.frozen(kw_only=True)
class CallSearch:
    """What the list of calls is asked for. `text`: words of which each stands somewhere in what is known of the call;
    `since` and `until` bound its start, in seconds since 1970. `before` and `skip` turn pages: `before` where the
    latest come first, `skip` in every other order.
    """

    text: str = ""
    state: str = "all"
    since: float | None = None
    until: float | None = None
    sort: str = "started"
    ascending: bool = False
    before: Place | None = None
    skip: int = 0
    limit: int = 100

    @property
    def by_time(self) -> bool:
        """Whether the latest come first."""
        return self.sort == "started" and not self.ascending

    @property
    def first_page(self) -> bool:
        return self.before is None and not self.skip

    def key(self, call: CallDetail) -> tuple[object, float]:
        """For calls that are in memory."""
        found: dict[str, object] = {
            "started": call.started_at,
            "caller": call.caller.name.lower(),
            "called": call.called.lower(),
            "length": call.talked_s,
            "status": call.status,
        }
        return found[self.sort], call.started_at

    def takes(self, call: CallDetail) -> bool:
        """The same question to a call that is in memory."""
        if self.since is not None and call.started_at < self.since:
            return False
        if self.until is not None and call.started_at > self.until:
            return False
        if self.state == "in progress" and call.ended_at is not None:
            return False
        if self.state == "ended" and (call.ended_at is None or call.answered_at is None):
            return False
        if self.state == "failed" and (call.ended_at is None or call.answered_at is not None):
            return False
        told = " ".join(_texts(call)).lower()
        return all(word in told for word in self.text.lower().split())


@attrs.frozen(kw_only=True)
class CallList:
    """A page of calls, those in progress first. `more`: another page follows, from `last` on. `fault`: why only what
    is in memory is listed, '' where all records were asked.
    """

    calls: tuple[CallDetail, ...]
    more: bool = False
    last: Place | None = None
    fault: str = ""


async def search_calls(records: Records, core: SipCore, asked: CallSearch) -> CallList:
    """Those in progress stand on the first page only."""
    living = [call for call in all_details(core) if asked.takes(call)]
    living.sort(key=asked.key, reverse=not asked.ascending)
    present = [call for call in living if call.ended_at is None] if asked.first_page else []
    if asked.state == "in progress":
        return CallList(calls=tuple(present[: asked.limit]), more=len(present) > asked.limit)
    try:
        if not core.settings.records.enabled:
            raise StoreFault("[records] is not enabled")
        found = await records.find(_question(asked))
    except StoreFault as fault:
        past = [call for call in living if call.ended_at is not None] if asked.first_page else []
        return CallList(calls=tuple([*present, *past][: asked.limit]), fault=str(fault))
    shown = found[: asked.limit]
    past = [detail(core, record.serial) or detail_of_record(record) for record in shown]
    if asked.first_page and asked.by_time:
        since = shown[-1].started_ms / 1000 if len(found) > asked.limit else 0.0
        past += [call for call in living if call.status in _UNRECORDED and call.state == "refused"]
        past = sorted((call for call in past if call.started_at >= since), key=asked.key, reverse=True)
    ended = {call.serial for call in past}
    return CallList(
        calls=(*(call for call in present if call.serial not in ended), *past),
        more=len(found) > asked.limit,
        last=(shown[-1].started_ms, shown[-1].id) if shown else None,
    )


def _question(asked: CallSearch) -> CallQuestion:
    return CallQuestion(
        from_ms=_ms(asked.since, 0),
        to_ms=_ms(asked.until, 1 << 52),
        text=asked.text,
        status=_STATUS[asked.state],
        sort=asked.sort,
        ascending=asked.ascending,
        before=asked.before if asked.by_time else None,
        skip=0 if asked.by_time else min(asked.skip, _DEEPEST),
        limit=asked.limit + 1,
    )


@attrs.frozen(kw_only=True)
class EventList:
    """A page of events, the latest first; the rest as in `CallList`."""

    events: tuple[EventRecord, ...]
    more: bool = False
    last: Place | None = None
    fault: str = ""


async def search_events(
    records: Records,
    text: str = "",
    kind: str = "",
    since: float | None = None,
    until: float | None = None,
    before: Place | None = None,
    limit: int = 100,
) -> EventList:
    """As `EventQuestion` has it; times in seconds since 1970."""
    question = EventQuestion(
        from_ms=_ms(since, 0), to_ms=_ms(until, 1 << 52), kind=kind, text=text, before=before, limit=limit + 1
    )
    try:
        found = await records.events(question)
    except StoreFault as fault:
        return EventList(events=(), fault=str(fault))
    shown = found[:limit]
    last = (shown[-1].at_ms, shown[-1].id) if shown else None
    return EventList(events=tuple(shown), more=len(found) > limit, last=last)


def _ms(at: float | None, otherwise: int) -> int:
    return otherwise if at is None else min(max(0, int(at * 1000)), 1 << 52)


def _texts(call: CallDetail) -> Iterator[str]:
    yield from (call.caller.name, call.caller.address, call.caller.trunk, call.called, call.number)
    yield from (call.callee.name, call.callee.address, call.callee.trunk, call.call_id, call.ending, str(call.status))
