"""The appliance put together: wiring of the rooms, readiness, reload, shutdown. The only file that sees every room.

Rooms are opened from the ground up inside open_appliance; each adds its services to the supervisor, its part
of a reload to reloaders, and what it shows to status_parts.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio

from . import __version__
from .accounts.audit import Audit
from .box.machine import Machine
from .config import Settings
from .config.difference import difference
from .config.loader import load_settings
from .config.mistakes import ConfigRejected
from .control.alarms import AlarmControl
from .control.asking import Answer, Json, status_or_why
from .control.backup import BackupControl, take_up_restore
from .control.bans import BanControl
from .control.gateways import row
from .control.listings import Listings
from .control.lock import hold_state_dir
from .control.logs import LogControl, configure_log
from .control.machine import MachineControl
from .control.records import RecordControl
from .control.selftest import SelfTest
from .control.serving import serve_control
from .control.setup import Setup
from .control.support import SupportControl
from .control.trace import TraceControl
from .control.update import UpdateControl, updates_of
from .garbage import GarbageCollector
from .identity import Identity, StateDamaged, open_identity, open_state_dir
from .logs import log
from .management.alarm_watch import AlarmWatch, look_around
from .management.happenings import Happenings
from .management.hep_view import for_collectors
from .management.report_post import ReportPost
from .management.snmp_tables import Sources
from .management.snmp_view import LivingBox, SnmpView
from .management.support import live_parts
from .management.web_view import look_at_certificates, look_at_files, look_with_the_doctor
from .metrics import Metrics
from .outlets.alarm_post import AlarmOutlets
from .outlets.couriers import courier_of
from .outlets.hep import HepOutlet
from .outlets.snmp.service import SnmpAgent
from .outlets.syslog import SyslogOutlet
from .ports import try_ports
from .proxy import overview
from .proxy.core import SipCore
from .proxy.gateway_quality import gateway_quality
from .proxy.overview import capacity
from .proxy.stored_call import stored_detail
from .readiness import Readiness
from .supervisor import Service, Supervisor, open_supervisor
from .telephony import Telephony, open_telephony
from .transport.listener import bind_all
from .transport.options import ListenerOptions
from .transport.websocket import origin_allowed
from .web.inside import Actions, Health, Inside, ServiceState
from .web.service import WebSide

Prepare = Callable[[Settings], Callable[[], None]]
"""A room's part of a reload: verify the new settings and change nothing; what is returned then applies them
and cannot fail. Raises ConfigRejected or ValueError where the room cannot take them."""


@attrs.define(eq=False)
class Appliance:
    """The running box."""

    conf_dir: Path
    settings: Settings
    identity: Identity
    metrics: Metrics
    supervisor: Supervisor
    reloaders: dict[str, Prepare] = attrs.field(factory=dict)
    status_parts: dict[str, Callable[[], Json]] = attrs.field(factory=dict)
    ready_at: float | None = None
    telephony: Telephony | None = None
    web: WebSide | None = None

    def is_ready(self) -> None:
        """All services have bound: tell whoever waits for it, and count the time from here."""
        self.ready_at = trio.current_time()
        self.metrics.up_seconds.read = self._up_s
        self.metrics.gauges_below_zero.read = self.metrics.below_zero
        self.metrics.log_lines_lost.read = lambda: log.lost + log.left_out
        # The database's thread must not wait 5 ms for its turn while calls keep ours busy.
        sys.setswitchinterval(0.001)
        self.supervisor.readiness.ready("running")
        log.info("appliance.ready", version=__version__, degraded="; ".join(self.supervisor.degraded) or None)

    async def reload(self) -> Answer:
        """Read, verify, then apply; on any mistake everything stays as it is.

        The answer holds ok and changes, or mistakes.
        """
        try:
            settings, identity = await trio.to_thread.run_sync(self._read)
            applications = [prepare(settings) for prepare in self.reloaders.values()]
        except ConfigRejected as rejected:
            log.error("reload.refused", mistakes=len(rejected.mistakes), first=rejected.mistakes[0])
            return {"ok": False, "mistakes": [str(mistake) for mistake in rejected.mistakes]}
        except (StateDamaged, ValueError) as error:
            log.error("reload.refused", reason=error)
            return {"ok": False, "mistakes": [str(error)]}
        changes = difference(self.settings, settings)
        self.settings, self.identity = settings, identity
        configure_log(log, settings)
        for apply in applications:
            apply()
        waiting = sum(change.restart for change in changes)
        log.info("reload.applied", changes=len(changes) - waiting, after_restart=waiting)
        return {"ok": True, "changes": [str(change) for change in changes], "conf_dir": str(self.conf_dir.resolve())}

    def _read(self) -> tuple[Settings, Identity]:
        settings = load_settings(self.conf_dir)
        identity = open_identity(self.identity.state_dir, settings, starting=False)
        return settings.with_passwords(identity.passwords), identity

    def status(self) -> Answer:
        """How it goes, for people and machines; no secrets."""
        services: list[Json] = [
            {
                "name": one.name,
                "role": one.role.value,
                "state": one.state.value,
                "where": one.where,
                "fault": one.fault,
                "restarts": one.restarts,
            }
            for one in self.supervisor.health.values()
        ]
        answer: Answer = {
            "ok": True,
            "name": self.settings.appliance.name,
            "version": __version__,
            "process": os.getpid(),
            "state": self._state(),
            "degraded": list(self.supervisor.degraded),
            "up_s": round(self._up_s(), 1),
            "calls": self.supervisor.in_progress(),
            "services": services,
        }
        return answer | {name: part() for name, part in self.status_parts.items()}

    def health(self) -> Health:
        """How it goes, as the web side shows it."""
        services = (
            ServiceState(one.name, one.state.value, one.where, one.fault, one.restarts)
            for one in self.supervisor.health.values()
        )
        return Health(self._state(), self._up_s(), tuple(services), dict(self.supervisor.faults))

    def _state(self) -> str:
        if self.ready_at is None:
            return "starting"
        if self.supervisor.draining:
            return "draining"
        return "degraded" if self.supervisor.degraded else "ready"

    def _up_s(self) -> float:
        return 0.0 if self.ready_at is None else trio.current_time() - self.ready_at

    async def _answer_status(self) -> Answer:
        return self.status()


@asynccontextmanager
async def open_appliance(
    conf_dir: Path, settings: Settings, identity: Identity, *, signals: bool = False
) -> AsyncIterator[Appliance]:
    """The whole appliance, bound and serving, until the block is left.

    settings have their passwords filled in. Raises CoreFailed where a core service fails, at the start or
    later. signals: heed SIGTERM, SIGINT and SIGHUP (main thread only).
    """
    configure_log(log, settings)
    metrics = Metrics()
    metrics.start_time_seconds.set(int(time.time()))
    async with open_supervisor(
        metrics,
        readiness=Readiness.from_environment(),
        drain_deadline_s=lambda: appliance.settings.appliance.drain_deadline_s,
        signals=signals,
    ) as supervisor:
        appliance = Appliance(conf_dir, settings, identity, metrics, supervisor)
        supervisor.on_reload = appliance.reload
        supervisor.alarms.show_in(metrics)
        commands: dict[str, Callable[..., Awaitable[Answer]]] = {
            "reload": supervisor.reload,
            "status": appliance._answer_status,
        }
        collectors = SyslogOutlet(log, supervisor.alarms)
        collectors.configure(settings.syslogs, settings.appliance.name)
        collectors.show(metrics)
        appliance.reloaders["syslog"] = lambda new: lambda: collectors.configure(new.syslogs, new.appliance.name)
        outlets = AlarmOutlets(supervisor.alarms, courier_of)
        outlets.configure(settings.webhooks, settings.mails, settings.appliance.name)
        outlets.show(metrics)
        appliance.reloaders["alarms"] = lambda new: (
            lambda: outlets.configure(new.webhooks, new.mails, new.appliance.name)
        )
        await supervisor.start(Service("alarm-outlets", outlets.run))
        commands["log"] = LogControl(log).command
        await supervisor.start(Service("syslog", collectors.run))
        await supervisor.start(Service("control", partial(serve_control, identity.state_dir, commands)))
        async with open_telephony(settings, identity, supervisor, metrics) as telephony:
            appliance.telephony = telephony
            appliance.reloaders["telephony"] = telephony.prepare(lambda: appliance.identity)
            core = telephony.core
            commands["records"] = RecordControl(telephony.records).command
            backups = BackupControl(conf_dir, identity.state_dir, lambda: appliance.settings, telephony.records)
            commands["backup"] = backups.command
            commands["gateway"] = telephony.gates.command
            bans = BanControl(core.gate, identity.state_dir)
            reports = ReportPost(
                telephony.records, identity.state_dir, lambda: appliance.settings, partial(_show_report, supervisor)
            )
            await supervisor.start(Service("reports", reports.run))
            happenings = Happenings(telephony.records)
            supervisor.alarms.subscribe(happenings.alarm)
            supervisor.on_reload = happenings.of_reload(appliance.reload)
            supervisor.on_drain.append(happenings.stop)
            core.gate.on_ban.append(happenings.ban)
            bans.on_change.append(happenings.ban)
            bans.load()
            commands["ban"] = bans.command
            commands["trace"] = TraceControl(telephony.trace, core).command
            hep = HepOutlet(for_collectors(telephony.trace))
            hep.configure(settings.heps, settings.appliance.name)
            hep.show(metrics)
            appliance.reloaders["hep"] = lambda new: lambda: hep.configure(new.heps, new.appliance.name)
            telephony.trace.ring.on_chunk.append(lambda chunk: hep.take(chunk.entries) if hep.collectors else None)
            await supervisor.start(Service("hep", hep.run))
            await supervisor.start(Service("bans", bans.run))
            alarms = AlarmControl(supervisor.alarms)
            commands["alarms"] = alarms.command
            appliance.status_parts["alarms"] = alarms.active
            watch = AlarmWatch(
                supervisor.alarms,
                core,
                lambda: appliance.settings,
                lambda: look_around(appliance.settings, appliance.identity),
            )
            await supervisor.start(Service("alarms", watch.run))
            appliance.status_parts["telephony"] = lambda: {
                "calls": len(core.calls.active),
                "calls_routed": core.calls.total,
                "calls_answered": core.calls.answered,
                "registrations": len(core.location),
            }
            appliance.status_parts["gateways"] = lambda: [row(one) for one in telephony.gates.overview()]
            appliance.status_parts["capacity"] = lambda: [attrs.asdict(one) for one in capacity(core)]
            appliance.status_parts["overload"] = lambda: core.load.sentence
            appliance.status_parts["trunks"] = lambda: [
                {"name": one.name, "account": one.account, "registration": one.registration, "reason": one.reason}
                for one in overview.trunks(core)
                if one.account
            ]
            box = LivingBox(
                lambda: appliance.settings.appliance.name,
                appliance._state,
                lambda: supervisor.degraded,
                supervisor.health,
            )
            view = SnmpView(
                Sources(box, metrics, supervisor.alarms, core, telephony.transports.snapshot),
                box,
                lambda: appliance.settings,
            )
            snmp = SnmpAgent(
                settings.snmp,
                view,
                f"Jackfield {__version__}",
                lambda fault: supervisor.report("snmp", fault),
                lambda: supervisor.clear("snmp"),
            )
            view.tell(snmp)
            appliance.reloaders["snmp"] = lambda new: snmp.prepare(new.snmp)
            await supervisor.start(Service("snmp", snmp.run))
            selftest = SelfTest(
                core,
                telephony.transports,
                lambda: appliance.settings,
                lambda: appliance.identity,
                supervisor.alarms,
            )
            selftest.show(metrics)
            commands["selftest"] = selftest.command
            listings = Listings(core)
            commands["registrations"] = listings.registrations
            commands["trunks"] = listings.trunks
            commands["calls"] = listings.calls
            appliance.status_parts["selftest"] = selftest.shown
            await supervisor.start(Service("selftest", selftest.run))
            support = SupportControl(
                conf_dir,
                identity.state_dir,
                lambda call_ids: live_parts(
                    appliance.status(), supervisor.alarms, log, metrics, core, telephony.trace, call_ids
                ),
            )
            commands["support"] = support.command
            actions = Actions(
                gateway=telephony.gates.command,
                ban=bans.command,
                unregister=telephony.unregister,
                reload=supervisor.reload,
                look_at_files=partial(look_at_files, lambda: appliance),
                test=selftest.begin,
                examine=partial(
                    look_with_the_doctor,
                    conf_dir,
                    identity.state_dir,
                    partial(status_or_why, identity.state_dir),
                    trio.CapacityLimiter(1),
                ),
            )
            audit = Audit(identity.state_dir)
            audit.on_entry.append(happenings.audited)
            machine = MachineControl(Machine(), identity.state_dir)
            if machine.is_ours:
                appliance.reloaders["machine"] = lambda new: lambda: machine.prepare(new)
                await supervisor.start(Service("machine", machine.run))
            updates = updates_of(machine.machine, supervisor.alarms)
            if updates is not None:
                await supervisor.start(Service("updates", updates.run))
            appliance.web = WebSide(
                _inside(appliance, backups, machine, updates, telephony, support, actions, selftest, audit)
            )
            appliance.reloaders["web"] = appliance.web.prepare
            await supervisor.start(Service("web", appliance.web.run))
            collector = GarbageCollector(partial(_standing, core), lambda: core.load.memory.share > 0)
            await supervisor.start(Service("garbage-collector", collector.run))
            collector.take_over(trio.current_time())
            appliance.is_ready()
            happenings.start(__version__)
            yield appliance


def _show_report(supervisor: Supervisor, name: str, fault: str) -> None:
    """A report that cannot be sent is shown until it could."""
    if fault:
        supervisor.report(f"report {name}", fault)
    else:
        supervisor.clear(f"report {name}")


def _standing(core: SipCore) -> int:
    """How much there is for the collector to look at: transactions, calls and registrations of now."""
    return len(core.layer.servers) + len(core.layer.clients) + len(core.calls.active) + len(core.location)


def _inside(
    appliance: Appliance,
    backups: BackupControl,
    machine: MachineControl,
    updates: UpdateControl | None,
    telephony: Telephony,
    support: SupportControl,
    actions: Actions,
    selftest: SelfTest,
    audit: Audit,
) -> Inside:
    """What the web side sees of the rest."""

    def bind(name: str, hosts: Sequence[str], port: int) -> list[socket.socket]:
        return bind_all(ListenerOptions(name=name, transport="TCP", port=port, bind=tuple(hosts)))

    return Inside(
        version=__version__,
        settings=lambda: appliance.settings,
        identity=lambda: appliance.identity,
        metrics=appliance.metrics,
        health=appliance.health,
        alarms=appliance.supervisor.alarms,
        core=telephony.core,
        listeners=telephony.transports.snapshot,
        serve_sip=telephony.transports.serve_websocket,
        origin_allowed=origin_allowed,
        trace=telephony.trace,
        records=telephony.records,
        stored=partial(stored_detail, telephony.records),
        certificates=lambda: look_at_certificates(appliance.settings, appliance.identity),
        quality=partial(gateway_quality, telephony.records, telephony.core),
        test=selftest.look,
        support=support.bundle,
        actions=actions,
        backups=backups,
        machine=machine,
        updates=updates,
        audit=audit,
        setup=Setup(
            appliance.conf_dir,
            appliance.identity.state_dir,
            lambda: appliance.settings,
            appliance.supervisor.reload,
        ),
        bind=bind,
    )


def run_appliance(
    conf_dir: Path, state_dir: Path, made: Callable[[Identity], None], announce: Callable[[Appliance], None]
) -> None:
    """Run until a signal ends it; made is called before anything is bound, announce once when it serves.

    Raises ConfigRejected, StateDamaged, AlreadyRuns or PortsRefused before anything is bound, CoreFailed afterwards.
    """
    take_up_restore(state_dir)
    settings = load_settings(conf_dir)
    state_dir = open_state_dir(state_dir)
    with hold_state_dir(state_dir):
        try_ports(settings)
        identity = open_identity(state_dir, settings)
        made(identity)
        filled = settings.with_passwords(identity.passwords)

        async def serve() -> None:
            async with open_appliance(conf_dir, filled, identity, signals=True) as appliance:
                announce(appliance)
                await appliance.supervisor.wait_stopped()

        try:
            trio.run(serve)
        finally:
            gc.unfreeze()  # else DuckDB's binding complains at the exit of what was never collected
