"""The service beside snmpd: connects, opens a session, tries again with back-off, and says how it goes.

It never fails by itself: a machine without snmpd shows a sentence on the status page, and everything else runs.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from appliance.config.snmp import AgentxAddress, SnmpSettings
from appliance.logs import log

from .session import TIMEOUT_S, MasterGone, Notification, Session
from .tree import Branch, Tree
from .value import Oid

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 15.0
LOOK_S: Final = 1.0
STEADY_S: Final = 10.0
MOST_WAITING: Final = 200
"""Notifications that wait for snmpd to come back; the oldest go first, and are counted."""


@attrs.frozen
class View:
    """What is offered under one configuration: the subtrees to register, and what is in them."""

    subtrees: Sequence[Oid]
    branches: Sequence[Branch]


@attrs.define(eq=False)
class SnmpAgent:
    """The sub-agent. `view` makes what is offered for an enterprise's number; report and clear show how it goes."""

    settings: SnmpSettings
    view: Callable[[SnmpSettings, SnmpAgent], View]
    descr: str
    report: Callable[[str], None]
    clear: Callable[[], None]
    each_second: Callable[[float], None] = lambda now: None
    """Called once a second while there is a session, with trio's time: for what is looked after."""
    session: Session | None = None
    answered: int = 0
    """Variables answered in earlier sessions."""
    sessions: int = 0
    notified: int = 0
    lost: int = 0
    """Notifications that snmpd never got."""
    _waiting: deque[Notification] = attrs.field(factory=deque)
    _news: trio.Event = attrs.field(factory=trio.Event)
    _changed: trio.Event = attrs.field(factory=trio.Event)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @property
    def variables_answered(self) -> int:
        return self.answered + (0 if self.session is None else self.session.answered)

    @property
    def connected(self) -> bool:
        return self.session is not None

    def prepare(self, settings: SnmpSettings) -> Callable[[], None]:
        """The part of a reload: other settings end the session and begin another."""

        def apply() -> None:
            before, self.settings = _session_of(self.settings), settings
            if _session_of(settings) != before:
                self._changed.set()
                self._scope.cancel()

        return apply

    def notify(self, one: Notification) -> None:
        """Hand on a notification as soon as snmpd is there; nothing waits for it."""
        if not self.settings.enabled:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(one)
        self._news.set()

    def ticks(self, at: float) -> int:
        """A time of trio's clock as a TimeStamp of snmpd's sysUpTime; 0 where that is not known or began later."""
        return 0 if self.session is None else self.session.ticks(at)

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        task_status.started("sub-agent of snmpd" if self.settings.enabled else "off")
        pause_s = FIRST_PAUSE_S
        while True:
            self._changed = trio.Event()
            if not self.settings.enabled:
                self._waiting.clear()
                self.clear()
                await self._changed.wait()
                continue
            began = trio.current_time()
            with trio.CancelScope() as self._scope:
                try:
                    await self._serve()
                except MasterGone as gone:
                    log.warning("snmp.gone", reason=gone, agentx=str(self.settings.agentx))
                    self.report(f"{gone} ({self.settings.agentx}); trying again")
            if trio.current_time() - began > STEADY_S:
                pause_s = FIRST_PAUSE_S
            with trio.move_on_after(pause_s):
                await self._changed.wait()
            pause_s = FIRST_PAUSE_S if self._changed.is_set() else min(pause_s * 2, LONGEST_PAUSE_S)

    async def _serve(self) -> None:
        """One session, from the connection to its end; raises MasterGone."""
        view = self.view(self.settings, self)
        tree = Tree(view.branches)
        reason = ""
        async with await _connect(self.settings.agentx) as stream:
            session = Session(stream, tree)
            await session.open(self.descr, view.subtrees)
            self.session = session
            self.sessions += 1
            self.clear()
            log.info("snmp.ready", agentx=str(self.settings.agentx), subtrees=len(view.subtrees))
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(session.ping)
                    nursery.start_soon(self._look)
                    nursery.start_soon(self._tell, session)
                    await session.run()
            except* MasterGone as group:
                reason = _first(group)
            finally:
                self.session = None
                self.answered += session.answered
                await session.close()
        raise MasterGone(reason)

    async def _look(self) -> None:
        while True:
            self.each_second(trio.current_time())
            await trio.sleep(LOOK_S)

    async def _tell(self, session: Session) -> None:
        """Hand waiting notifications to the master, one after the other; one is taken off when the master has it."""
        while True:
            while self._waiting:
                one = self._waiting[0]
                await session.notify(one)
                if self._waiting and self._waiting[0] is one:
                    self._waiting.popleft()
                self.notified += 1
            self._news = trio.Event()
            await self._news.wait()


def _session_of(settings: SnmpSettings) -> tuple[bool, AgentxAddress, int]:
    """What a session depends on; the rest is for snmpd's configuration."""
    return settings.enabled, settings.agentx, settings.enterprise_number


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


async def _connect(address: AgentxAddress) -> trio.SocketStream:
    """A connection to the master; raises MasterGone in words that name the remedy."""
    with trio.move_on_after(TIMEOUT_S):
        try:
            if address.path:
                return await trio.open_unix_socket(address.path)
            return await trio.open_tcp_stream(address.host, address.port)
        except PermissionError:
            raise MasterGone("snmpd's socket may not be written by this user: set agentXPerms in snmpd.conf") from None
        except FileNotFoundError:
            raise MasterGone("snmpd is not installed, not running, or lacks master agentx in snmpd.conf") from None
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise MasterGone(f"snmpd cannot be reached: {reason}") from None
    raise MasterGone("snmpd cannot be reached in time")
