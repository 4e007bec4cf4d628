"""The top nursery: owns every service, restarts the leaves, shows their health, ends the process in order.

A core service that fails or ends by itself ends the process: a bug in the SIP core is not run on. A leaf
(web, an outlet) is restarted with capped back-off and shown as degraded meanwhile. What the services do is
theirs; how new calls are refused while draining is told to the supervisor by those who know.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Final

import attrs
import trio

from . import alarm_kinds
from .alarm_kinds import AlarmKind
from .alarms import Alarms
from .logs import log
from .metrics import Metrics
from .readiness import Readiness

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0
_LOOK_S: Final = 0.1

Run = Callable[["trio.TaskStatus[Any]"], Awaitable[None]]


class Role(StrEnum):
    CORE = "core"
    LEAF = "leaf"


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    STOPPED = "stopped"


class CoreFailed(Exception):  # noqa: N818 (it says what happened)
    """A core service failed or ended by itself; the cause hangs on __cause__. The process must end."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service
        self.reason = reason


@attrs.frozen
class Service:
    """Something that runs for as long as the appliance does.

    run(task_status=...) calls task_status.started(where) once it is bound and serves, where being what a
    person would want to know (its addresses), and then never returns by itself.
    """

    name: str
    run: Callable[..., Awaitable[None]]
    role: Role = Role.LEAF


@attrs.define
class ServiceHealth:
    """How one service does; since is trio's clock in seconds, where is what it reported when it was ready."""

    name: str
    role: Role
    state: State = State.STARTING
    where: str = ""
    fault: str = ""
    restarts: int = 0
    since: float = 0.0


@attrs.define(eq=False)
class Supervisor:
    """The living set of services and the way out.

    on_drain are called once when stopping begins: no new calls, no new connections.
    in_progress tells how many calls are still to end. faults are what rooms report by name (a broken
    database): the appliance goes on, and shows them.
    """

    metrics: Metrics
    readiness: Readiness
    drain_deadline_s: Callable[[], float]
    alarms: Alarms = attrs.field(factory=Alarms)
    on_drain: list[Callable[[], None]] = attrs.field(factory=list)
    in_progress: Callable[[], int] = attrs.field(default=lambda: 0)
    on_reload: Callable[[], Awaitable[dict[str, Any]]] | None = None
    health: dict[str, ServiceHealth] = attrs.field(factory=dict)
    faults: dict[str, str] = attrs.field(factory=dict)
    _kinds: dict[str, tuple[AlarmKind, str]] = attrs.field(factory=dict)
    draining: bool = False
    _nursery: trio.Nursery | None = None
    _leave: trio.Event = attrs.field(factory=trio.Event)
    _stop: trio.Event = attrs.field(factory=trio.Event)
    _reloading: trio.Lock = attrs.field(factory=trio.Lock)

    async def start(self, service: Service) -> None:
        """Start a service and wait until it is ready; a leaf that cannot start does not hold up the rest.

        Raises CoreFailed where a core service cannot start.
        """
        assert self._nursery is not None
        if service.name in self.health:
            raise ValueError(f"two services named {service.name}")
        self.health[service.name] = ServiceHealth(service.name, service.role, since=trio.current_time())
        keep = self._keep_core if service.role is Role.CORE else self._keep_leaf
        await self._nursery.start(keep, service)

    def report(self, name: str, fault: str, kind: AlarmKind = alarm_kinds.FAULT, subject: str = "") -> None:
        """Show a fault of a room until it is cleared, and raise its alarm; saying it again costs nothing."""
        if self.faults.get(name) != fault:
            self.faults[name] = fault
            self._kinds[name] = kind, subject or name
        self.alarms.raise_(kind, subject or name, fault)

    def clear(self, name: str) -> None:
        """A fault is over."""
        if self.faults.pop(name, None) is not None:
            self.alarms.clear(*self._kinds.pop(name))

    @property
    def degraded(self) -> tuple[str, ...]:
        """What does not work just now, in words; empty where all is well."""
        services = [
            f"{one.name}: {one.fault or one.state}"
            for one in self.health.values()
            if one.state not in (State.READY, State.STOPPED)
        ]
        return (*services, *(f"{name}: {fault}" for name, fault in self.faults.items()))

    def stop(self) -> None:
        """Begin to drain; the second time, leave at once."""
        if self._stop.is_set():
            self._leave.set()
        self._stop.set()

    async def wait_stopped(self) -> None:
        """Until stop() was called and calls have ended, the deadline is over or stop() came again."""
        await self._stop.wait()
        self.draining = True
        deadline_s = self.drain_deadline_s()
        self.readiness.stopping(f"draining, {self.in_progress()} calls")
        log.info("appliance.draining", calls=self.in_progress(), deadline_s=deadline_s)
        for call in self.on_drain:
            call()
        with trio.move_on_after(deadline_s):
            while self.in_progress() > 0 and not self._leave.is_set():
                with trio.move_on_after(_LOOK_S):
                    await self._leave.wait()
        log.info("appliance.leaving", calls=self.in_progress())

    async def reload(self) -> dict[str, Any]:
        """Take up the configuration anew; a bug in doing so is shown and never ends what runs."""
        if self.on_reload is None:
            return {"ok": False, "error": "nothing to reload"}
        async with self._reloading:
            self.readiness.reloading()
            try:
                answer = await self.on_reload()
                self.clear("reload")
                self.alarms.show(alarm_kinds.CONFIGURATION, "reload", _refusal(answer))
            except Exception as error:
                log.error("reload.failed", error)
                self.report("reload", _innermost(error), alarm_kinds.CONFIGURATION)
                answer = {"ok": False, "error": _innermost(error)}
            self.metrics.reloads.of("applied" if answer.get("ok") else "refused").value += 1
            self.readiness.ready("running" if answer.get("ok") else "running, a reload was refused")
            return answer

    async def heed_signals(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """SIGTERM and SIGINT drain, the second one leaves at once; SIGHUP reloads."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                log.info("signal.received", signal=signal.Signals(number).name)
                if number != signal.SIGHUP:
                    self.stop()
                else:
                    await self.reload()

    async def show_alive(self, every_s: float) -> None:
        """The sign of life that systemd's watchdog waits for."""
        while True:
            self.readiness.alive()
            await trio.sleep(every_s)

    async def _keep_core(self, service: Service, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        health = self.health[service.name]
        try:
            async with trio.open_nursery() as nursery:
                self._is_ready(health, await nursery.start(service.run))
                task_status.started()
        except Exception as error:
            self._is_degraded(health, _innermost(error))
            log.error("core.failed", error, service=service.name)
            raise CoreFailed(service.name, _innermost(error)) from error
        if not self.draining:
            self._is_degraded(health, "ended by itself")
            raise CoreFailed(service.name, "ended by itself")
        health.state = State.STOPPED

    async def _keep_leaf(self, service: Service, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        health = self.health[service.name]
        pause_s = FIRST_PAUSE_S
        told = False
        while True:
            began = trio.current_time()
            try:
                async with trio.open_nursery() as nursery:
                    self._is_ready(health, await nursery.start(service.run))
                    if not told:
                        told = True
                        task_status.started()
                fault = "ended by itself"
                log.warning("leaf.ended", service=service.name)
            except Exception as error:
                fault = _innermost(error)
                log.error("leaf.failed", error, service=service.name)
            self._is_degraded(health, fault)
            if not told:
                told = True
                task_status.started()
            if trio.current_time() - began > STEADY_S:
                pause_s = FIRST_PAUSE_S
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            health.restarts += 1
            self.metrics.service_restarts.of(service.name).value += 1

    def _is_ready(self, health: ServiceHealth, where: object) -> None:
        health.state, health.fault, health.since = State.READY, "", trio.current_time()
        health.where = "" if where is None else str(where)
        self.alarms.clear(alarm_kinds.SERVICE, health.name)
        self.metrics.service_ready.of(health.name).set(1)
        log.info("service.ready", service=health.name, where=health.where or None)

    def _is_degraded(self, health: ServiceHealth, fault: str) -> None:
        health.state, health.fault, health.since = State.DEGRADED, fault, trio.current_time()
        self.alarms.raise_(alarm_kinds.SERVICE, health.name, fault)
        self.metrics.service_ready.of(health.name).set(0)


def _refusal(answer: dict[str, Any]) -> str:
    """Why a reload was not taken up; "" where it was."""
    if answer.get("ok"):
        return ""
    mistakes = answer.get("mistakes") or [answer.get("error", "no reason given")]
    return f"{len(mistakes)} mistakes, the first: {mistakes[0]}" if len(mistakes) > 1 else str(mistakes[0])


def _innermost(error: BaseException) -> str:
    """The first plain exception of a group, in words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError):
        said = error.strerror or str(error)
        return f"{error.filename}: {said}" if error.filename else said
    return f"{type(error).__name__}: {error}"


@asynccontextmanager
async def open_supervisor(
    metrics: Metrics,
    *,
    readiness: Readiness | None = None,
    drain_deadline_s: Callable[[], float] = lambda: 0.0,
    signals: bool = False,
) -> AsyncIterator[Supervisor]:
    """Own services until the block is left; then all of them are cancelled.

    Raises CoreFailed, and only that, where a core service fails. signals: heed SIGTERM, SIGINT and SIGHUP
    (main thread only).
    """
    supervisor = Supervisor(metrics, readiness or Readiness(), drain_deadline_s)
    try:
        async with trio.open_nursery() as nursery:
            supervisor._nursery = nursery
            if signals:
                await nursery.start(supervisor.heed_signals)
            every_s = supervisor.readiness.watchdog_s()
            if every_s is not None:
                nursery.start_soon(supervisor.show_alive, every_s)
            yield supervisor
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        failed, others = group.split(CoreFailed)
        if failed is None or others is not None:
            raise
        first: BaseException = failed
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from first.__cause__
