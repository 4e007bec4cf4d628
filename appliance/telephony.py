"""The telephone side put together: storage, registrar, media, SIP core and transports, as services of the supervisor.

Copies settings into the options that each room understands, and takes new settings at a reload. What the rooms do is
theirs.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network

import attrs
import trio

from . import alarm_kinds
from .config import Settings, TrunkSettings
from .config.sections import ListenerSettings
from .config.stir_material import load_material
from .control.gateways import GateControl
from .identity import Identity
from .interfaces import local_addresses, own_domains
from .logs import log
from .marking import Marker
from .media.bridge import Bridge
from .media.ports import PortOptions
from .media.relay import PythonRelay, RelayOptions, open_relay
from .metrics import Metrics
from .outlets.certificate_fetcher import CertificateFetcher
from .proxy import overview
from .proxy.core import SipCore
from .proxy.credentials import Authenticator
from .proxy.gateway_figures import GateFigures
from .proxy.gruu import TemporaryGruus
from .proxy.location import Location
from .proxy.records import Records
from .proxy.registrar import Registrar, RegistrarOptions
from .proxy.service import run_core
from .proxy.trunk_registration import TrunkRegistration
from .proxy.trunk_tls import tls_options
from .sip.flow import Flow
from .sip.timers import TimerHeap
from .sip.uri import parse_uri_untrusted
from .storage.storage import Health, Storage, StorageOptions, open_storage
from .supervisor import CoreFailed, Role, Service, Supervisor
from .telephony_figures import show_telephony
from .trace.ring import Ring
from .trace.trace import Trace
from .transport.options import (
    VERIFIED,
    ConnectionLimits,
    ListenerOptions,
    TlsServerOptions,
    TransportOptions,
    TrunkMarking,
)
from .transport.resolver import Resolver, ResolverOptions
from .transport.tls import client_context, server_context
from .transport.transports import Transports


def listener_options(settings: Settings, identity: Identity, listener: ListenerSettings) -> ListenerOptions:
    """What the transports need to know of a `[listener …]`."""
    tls = None
    if listener.transport.secure:
        tls = TlsServerOptions(
            certificate=listener.certificate or identity.certificate,
            private_key=listener.private_key or (None if listener.certificate else identity.private_key),
            client_certificate=listener.client_certificate.value,
            client_ca=listener.client_ca,
        )
    return ListenerOptions(
        name=listener.name,
        transport=listener.transport.value,
        port=listener.port,
        bind=listener.bind,
        advertise=settings.appliance.advertise if listener.advertise is None else listener.advertise,
        tls=tls,
        ws_path=listener.ws_path,
        origins=listener.origins,
        require_origin=listener.require_origin,
        max_connections=listener.max_connections,
        max_connections_per_source=listener.max_connections_per_source,
        limits=ConnectionLimits(
            idle_timeout_s=listener.idle_timeout_s,
            read_deadline_s=listener.read_deadline_s,
            write_deadline_s=listener.write_deadline_s,
            write_buffer_bytes=listener.write_buffer_bytes,
            max_message_bytes=listener.max_message_bytes,
            max_header_bytes=listener.max_header_bytes,
        ),
        receive_buffer_bytes=listener.receive_buffer_bytes,
        dscp=listener.qos_signalling,
    )


def trunk_markings(settings: Settings) -> tuple[TrunkMarking, ...]:
    """The trunks that want a marking of their own for signalling, by the addresses that are known of them."""
    return tuple(
        TrunkMarking(dscp=trunk.qos_signalling, networks=(*trunk.trusted, *_literals(trunk)))
        for trunk in settings.trunks.values()
        if trunk.qos_signalling is not None
    )


def _literals(trunk: TrunkSettings) -> Iterator[IPv4Network | IPv6Network]:
    for gateway in (*trunk.gateways, *trunk.registrar):
        try:
            yield ip_network(gateway.host)
        except ValueError:
            continue  # a name: known once it was resolved for a call


def authenticator_of(settings: Settings, identity: Identity) -> Authenticator:
    domains = settings.appliance.domains
    return Authenticator(
        settings.sip.realm or (domains[0] if domains else settings.appliance.name),
        identity.token_secret,
        settings.users,
        algorithms=[algorithm.value for algorithm in settings.sip.digest_algorithms],
        nonce_lifetime_s=settings.sip.nonce_lifetime_s,
    )


def registrar_options(settings: Settings) -> RegistrarOptions:
    registrar = settings.registrar
    return RegistrarOptions(
        min_expires_s=registrar.min_expires_s,
        default_expires_s=registrar.default_expires_s,
        max_expires_s=registrar.max_expires_s,
        max_contacts=registrar.max_contacts,
        outbound=registrar.outbound,
        gruu=registrar.gruu,
    )


def own_hosts(settings: Settings) -> tuple[str, ...]:
    """Every host part that means this box, IPv6 addresses in brackets as a URI has them."""
    hosts = [*own_domains(settings.appliance.domains, settings.appliance.advertise)]
    for listener in settings.listeners.values():
        hosts += listener.advertise or ()
    hosts += local_addresses()
    return tuple(f"[{host}]" if ":" in host else host for host in hosts)


def own_ports(settings: Settings) -> frozenset[int]:
    """Every port at which SIP is spoken: of the listeners, and of both sides of the web, which have it at /sip."""
    web = settings.web
    listening = {listener.port for listener in settings.listeners.values()}
    return frozenset({*listening, web.https_port, *([web.http_port] if web.http_bind else [])})


@attrs.define(eq=False)
class Telephony:
    """The rooms of the telephone side, open."""

    core: SipCore
    location: Location
    registrar: Registrar
    storage: Storage
    relay: PythonRelay
    transports: Transports
    marker: Marker
    gates: GateControl
    clear_marking_fault: Callable[[], None]
    fetcher: CertificateFetcher
    trace: Trace
    records: Records

    def drain(self) -> None:
        """No new calls and no new connections; what stands goes on."""
        self.core.initial.draining = True
        self.core.trunk_registrations.stop()
        self.transports.nursery.start_soon(self.transports.stop_accepting)

    async def unregister(self, binding_id: str) -> dict[str, object]:
        """Take one binding away by its id of the overview; the phone comes back with its next REGISTER."""
        for binding in list(self.location):
            if overview.binding_id(binding) == binding_id:
                self.registrar.remove(binding)
                log.info("registration.removed_by_hand", aor=binding.aor, contact=binding.contact)
                return {"ok": True}
        return {"ok": False, "error": "it is gone already"}

    def prepare(self, identity: Callable[[], Identity]) -> Callable[[Settings], Callable[[], None]]:
        """The reload of this side: verify first; what comes back applies and cannot fail."""

        def verify(settings: Settings) -> Callable[[], None]:
            made = authenticator_of(settings, identity())
            options = registrar_options(settings)
            material = load_material(settings.stir)
            listeners = [listener_options(settings, identity(), one) for one in settings.listeners.values()]
            for listener in listeners:
                if listener.tls is not None:
                    try:
                        server_context(listener.tls)
                    except OSError as error:
                        raise ValueError(
                            f"[listener {listener.name}]: its certificate cannot be used: {error}"
                        ) from error

            for trunk in settings.trunks.values():
                tls = tls_options(trunk)
                try:
                    if tls is not VERIFIED:
                        client_context(tls)
                except OSError as error:
                    raise ValueError(f"[trunk {trunk.name}]: its certificates cannot be used: {error}") from error

            def apply() -> None:
                self.transports.renew_contexts()
                self.marker.refused = False
                self.clear_marking_fault()
                self.transports.configure_marking(settings.qos.signalling, trunk_markings(settings))
                for listener in listeners:
                    self._reconfigure(listener)
                self.registrar.options = options
                self.core.configure(settings, own_hosts(settings), own_ports(settings), made, material)
                self.trace.configure(settings.trace)
                self.records.configure(settings)
                self.fetcher.timeout_s = settings.stir.fetch_timeout_s
                self.fetcher.private_hosts = settings.stir.private_hosts
                for binding in self.location.snapshot(time.time()):
                    if parse_uri_untrusted(binding.aor).username not in settings.users:
                        self.registrar.remove(binding)

            return apply

        return verify

    def _reconfigure(self, options: ListenerOptions) -> None:
        running = self.transports.listener(options.name)
        if running is None or options.sockets != running.options.sockets:
            return  # new sockets need a restart, and the answer to the reload says so
        try:
            self.transports.reconfigure(options)
        except (OSError, ValueError) as error:
            log.error("listener.unchanged", error, listener=options.name)


@asynccontextmanager
async def open_telephony(
    settings: Settings, identity: Identity, supervisor: Supervisor, metrics: Metrics
) -> AsyncIterator[Telephony]:
    """Everything from the database to the listeners, bound and serving. Raises `CoreFailed` where one cannot start."""
    database = settings.storage.database
    path = database if database.is_absolute() else identity.state_dir / database
    async with open_storage(path, _storage_options(settings)) as storage:
        await supervisor.start(Service("storage", storage.run, Role.CORE))
        gruus = TemporaryGruus(identity.token_secret)
        location = Location(gruus)
        registrar = Registrar(location, storage, registrar_options(settings), gruus)
        storage.on_change.append(partial(_show_fault, supervisor))
        _show_fault(supervisor, storage.health())
        opened: list[Telephony] = []
        marker = Marker(lambda fault: supervisor.report("qos", fault, alarm_kinds.QOS))
        relays: list[PythonRelay] = []

        async def serve_media(*, task_status: trio.TaskStatus[str]) -> None:
            async with open_relay(_relay_options(settings), marker=marker) as relay:
                relays.append(relay)
                task_status.started(f"ports {settings.media.ports.low}-{settings.media.ports.high}")
                await trio.sleep_forever()

        await supervisor.start(Service("media", serve_media, Role.CORE))
        [relay] = relays

        try:
            material = load_material(settings.stir)
        except ValueError as error:
            raise CoreFailed("sip", str(error)) from error

        async def serve(*, task_status: trio.TaskStatus[str]) -> None:
            async with trio.open_nursery() as nursery:

                def receive(data: bytes, flow: Flow) -> None:
                    core.receive(data, flow)

                def closed(flow: Flow) -> None:
                    core.flow_closed(flow)

                marking = TransportOptions(dscp=settings.qos.signalling, trunk_markings=trunk_markings(settings))
                transports = Transports(receive, closed, marking, nursery, marker)
                core = SipCore(
                    settings=settings,
                    own_hosts=own_hosts(settings),
                    own_ports=own_ports(settings),
                    key=identity.token_secret,
                    timers=TimerHeap(),
                    wires=transports,
                    names=Resolver(ResolverOptions(), nursery),
                    location=location,
                    registrar=registrar,
                    authenticator=authenticator_of(settings, identity),
                    bridge=Bridge(relay),
                    clock=trio.lowlevel.current_clock().current_time,  # without looking for the clock each time
                    wall=time.time,
                    material=material,
                )
                transports.on_messages = core.arrivals.receive_together
                transports.on_unreachable = core.unreachable_untrusted
                transports.admits = core.gate.takes_connection
                gates = GateControl(core, identity.state_dir)
                gates.load()
                core.load.backlog = transports.backlog
                trace = Trace(settings.trace, identity.state_dir)
                trace.aliases = core.hiding.call_ids

                def tap_into(tap: Ring | None) -> None:
                    core.arrivals.tap = tap
                    transports.tap_into(tap)

                trace.on_tap.append(tap_into)
                tap_into(trace.tap)
                records = Records(core, settings, identity.state_dir, partial(_show_records, supervisor))
                figures = GateFigures(core.hunts.gateways, identity.state_dir)
                figures.load()
                await nursery.start(figures.run)
                await nursery.start(run_core, core)
                for listener in settings.listeners.values():
                    await transports.listen(listener_options(settings, identity, listener))
                unfault = partial(supervisor.clear, "qos")
                stir = settings.stir
                fetcher = CertificateFetcher(core.stir.store, stir.fetch_timeout_s, stir.private_hosts)
                opened.append(
                    Telephony(
                        core,
                        location,
                        registrar,
                        storage,
                        relay,
                        transports,
                        marker,
                        gates,
                        unfault,
                        fetcher,
                        trace,
                        records,
                    )
                )
                task_status.started(", ".join(settings.listeners))

        await supervisor.start(Service("sip", serve, Role.CORE))
        [telephony] = opened
        fetcher = telephony.fetcher
        telephony.core.stir.store.fetch = fetcher.ask
        await supervisor.start(Service("certificates", fetcher.run, Role.LEAF))
        await supervisor.start(Service("trace", telephony.trace.run, Role.LEAF))
        await supervisor.start(Service("records", telephony.records.run, Role.LEAF))
        show_telephony(telephony, metrics)
        core = telephony.core
        supervisor.in_progress = lambda: len(core.calls.active) + len(core.trunk_registrations.leaving)
        core.trunk_registrations.on_change = partial(_show_registration, supervisor)
        core.trunk_registrations.start()
        supervisor.on_drain.append(telephony.drain)
        yield telephony


def _show_registration(supervisor: Supervisor, registration: TrunkRegistration) -> None:
    """A trunk that does not take us is a fault for as long as it lasts."""
    room = f"trunk {registration.plan.trunk}"
    if registration.reason:
        supervisor.report(room, registration.reason, alarm_kinds.TRUNK_REGISTRATION, registration.plan.trunk)
    else:
        supervisor.clear(room)


def _show_fault(supervisor: Supervisor, health: Health) -> None:
    """A fault of the storage is shown for as long as it lasts."""
    if health.fault is not None:
        supervisor.report("storage", health.fault, alarm_kinds.STORAGE)
    else:
        supervisor.clear("storage")


def _show_records(supervisor: Supervisor, what: str, fault: str) -> None:
    """A fault of the call records, their journal or their database, is shown for as long as it lasts."""
    if fault:
        supervisor.report(what, fault, alarm_kinds.DATABASE)
    else:
        supervisor.clear(what)


def _storage_options(settings: Settings) -> StorageOptions:
    return StorageOptions(
        synchronous=settings.storage.synchronous.value.upper(),
        busy_timeout_s=settings.storage.busy_timeout_s,
        group_commit_s=settings.registrar.group_commit_ms / 1000,
    )


def _relay_options(settings: Settings) -> RelayOptions:
    ports = settings.media.ports
    return RelayOptions(ports=PortOptions(low=ports.low, high=ports.high), silence_s=settings.media.silence_timeout_s)
