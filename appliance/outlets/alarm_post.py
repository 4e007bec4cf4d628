"""What webhooks and mails share: changes of alarms gathered into few messages, tried again within bounds, counted.

Alarms hands changes over synchronously; a task a receiver delivers them. A storm of alarms becomes a few long messages,
a receiver that is away costs a bounded queue and an alarm of its own, which is not told to itself.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import attrs
import trio

from appliance.alarm_kinds import ALARM_OUTLET
from appliance.alarms import Alarm, Alarms, Change
from appliance.config.alarm_outlets import MailSettings, TellingSettings, WebhookSettings
from appliance.metrics import Metrics

MOST_WAITING: Final = 1000
MOST_TOGETHER: Final = 200
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 300.0
_HOUR_S: Final = 3600.0


class Undelivered(Exception):  # noqa: N818 (it says what happened)
    """The receiver did not take it; the text says why. `final`: trying again is of no use."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@attrs.frozen
class Notice:
    """One change of one alarm, as it was then. Times are seconds of the day's clock."""

    change: str
    at: float
    number: int
    alarm: str
    subject: str
    severity: str
    sentence: str
    about: str
    remedy: str
    raised_at: float
    cleared_at: float | None
    count: int


class Courier(Protocol):
    """Carries a message to one receiver. Raises Undelivered."""

    async def deliver(self, notices: Sequence[Notice], left_out: int) -> None: ...


class AlarmPost:
    """One receiver. `take` is called for each change, `run` delivers."""

    def __init__(self, title: str, settings: TellingSettings, courier: Courier, alarms: Alarms) -> None:
        self.title = title
        self.settings = settings
        self.delivered = 0
        self.given_up = 0
        self.left_out = 0
        """Changes that found the queue full."""
        self._courier = courier
        self._alarms = alarms
        self._rank = settings.severity.rank
        self._waiting: deque[Notice] = deque()
        self._told: set[int] = set()
        self._untold = 0
        self._sent: deque[float] = deque(maxlen=settings.most_an_hour)
        self._wake = trio.Event()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self, change: Change, alarm: Alarm) -> None:
        """A change; never waits."""
        if not self._concerns(change, alarm):
            return
        if change is Change.CLEARED:
            self._told.discard(alarm.number)
        else:
            self._told.add(alarm.number)
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.left_out += 1
            self._untold += 1
        kind = alarm.kind
        self._waiting.append(
            Notice(
                change=change.value,
                at=alarm.changed_at,
                number=alarm.number,
                alarm=kind.name,
                subject=alarm.subject,
                severity=alarm.severity.value,
                sentence=alarm.sentence,
                about=kind.about,
                remedy=kind.remedy,
                raised_at=alarm.raised_at,
                cleared_at=alarm.cleared_at,
                count=alarm.count,
            )
        )
        self._wake.set()

    def _concerns(self, change: Change, alarm: Alarm) -> bool:
        if alarm.kind is ALARM_OUTLET and alarm.subject == self.title:
            return False
        if change is Change.CLEARED:
            return alarm.number in self._told
        named = self.settings.alarms
        return ("*" in named or alarm.kind.name in named) and alarm.severity.rank <= self._rank

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not self._waiting:
                self._wake = trio.Event()
                await self._wake.wait()
            await trio.sleep(max(self.settings.gather_s, self._turn_s()))
            some = [self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))]
            left_out, self._untold = self._untold, 0
            self._sent.append(trio.current_time())
            await self._deliver(some, left_out)

    def _turn_s(self) -> float:
        """How long the next message has to wait, so that there are not too many an hour."""
        if len(self._sent) < self.settings.most_an_hour:
            return 0.0
        return max(0.0, self._sent[0] + _HOUR_S - trio.current_time())

    async def _deliver(self, notices: Sequence[Notice], left_out: int) -> None:
        pause_s = FIRST_PAUSE_S
        for left in reversed(range(self.settings.tries)):
            try:
                with trio.fail_after(self.settings.timeout_s):
                    await self._courier.deliver(notices, left_out)
            except (Undelivered, trio.TooSlowError) as error:
                reason = str(error) or f"no answer within {self.settings.timeout_s:g} s"
                self._alarms.raise_(ALARM_OUTLET, self.title, reason)
                if not left or (isinstance(error, Undelivered) and error.final):
                    self.given_up += len(notices)
                    return
                await trio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            else:
                self.delivered += len(notices)
                self._alarms.clear(ALARM_OUTLET, self.title)
                return


Make = Callable[[WebhookSettings | MailSettings, str], Courier]
"""A courier for the settings of a receiver; the text is the box's name."""


class AlarmOutlets:
    """All webhooks and mails of one appliance."""

    def __init__(self, alarms: Alarms, make: Make) -> None:
        self.posts: dict[str, AlarmPost] = {}
        self._alarms = alarms
        self._make = make
        self._scopes: dict[str, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None
        alarms.subscribe(self._take)

    def configure(self, webhooks: Mapping[str, WebhookSettings], mails: Mapping[str, MailSettings], box: str) -> None:
        """Take new settings. A receiver whose settings change begins anew; what waited for it goes with it."""
        wanted: dict[str, WebhookSettings | MailSettings] = {
            **{f"[webhook {name}]": one for name, one in webhooks.items()},
            **{f"[mail {name}]": one for name, one in mails.items()},
        }
        for title in [title for title, post in self.posts.items() if wanted.get(title) != post.settings]:
            scope = self._scopes.pop(title, None)
            if scope is not None:
                scope.cancel()
            del self.posts[title]
        for title, settings in wanted.items():
            if title not in self.posts:
                self.posts[title] = AlarmPost(title, settings, self._make(settings, box), self._alarms)
                self._start(title)
        self._alarms.keep(ALARM_OUTLET, set(wanted))

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """A leaf service."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for title in self.posts:
                    self._start(title)
                task_status.started(", ".join(self.posts))
                await trio.sleep_forever()
        finally:
            self._nursery = None

    def show(self, metrics: Metrics) -> None:
        """Hang the figures into the catalogue."""
        metrics.alarm_notices.read = lambda: {
            (title, end): number
            for title, one in self.posts.items()
            for end, number in (("delivered", one.delivered), ("given up", one.given_up), ("left out", one.left_out))
        }

    def _take(self, change: Change, alarm: Alarm) -> None:
        for post in self.posts.values():
            post.take(change, alarm)

    def _start(self, title: str) -> None:
        if self._nursery is not None:
            scope = self._scopes[title] = trio.CancelScope()
            self._nursery.start_soon(self._run_one, self.posts[title], scope)

    async def _run_one(self, post: AlarmPost, scope: trio.CancelScope) -> None:
        with scope:
            await post.run()


def day_and_time(at: float) -> str:
    """RFC 3339, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
