"""What the catalogue of figures reads of the telephony side: each is asked for when somebody looks, none is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .metrics import Metrics
from .proxy.core import SipCore
from .proxy.overview import CapacityOverview, capacity
from .sip.tally import Said

if TYPE_CHECKING:
    from .telephony import Telephony


def show_telephony(telephony: Telephony, metrics: Metrics) -> None:
    """Hang the figures of this side into the catalogue: each is read when somebody asks."""
    telephony.gates.show(metrics)
    telephony.trace.show(metrics)
    core, counters, layer = telephony.core, telephony.core.counters, telephony.core.layer
    metrics.calls_active.read = lambda: len(core.calls.active)
    metrics.calls.read = lambda: core.calls.total
    metrics.calls_answered.read = lambda: core.calls.answered
    stateless = core.stateless.counts
    metrics.stateless.read = lambda: {
        ("request",): stateless.requests,
        ("response",): stateless.responses,
        ("refused",): stateless.refused,
        ("stray",): stateless.strays,
    }
    metrics.transfers.read = lambda: {("done",): core.transfers.done, ("failed",): core.transfers.failed}
    metrics.registrations.read = lambda: len(telephony.location)
    metrics.trunk_registered.read = lambda: {(one.plan.trunk,): int(one.registered) for one in core.trunk_registrations}
    metrics.transactions.read = lambda: {("client",): len(layer.clients), ("server",): len(layer.servers)}
    metrics.inbox.read = lambda: core.waiting
    metrics.limit_used.read = lambda: _by_limit(core, lambda one: one.used)
    metrics.limit_size.read = lambda: _by_limit(core, lambda one: one.size)
    metrics.limit_refused.read = core.admission.refusals
    metrics.leases_lost.read = lambda: counters.lost_leases
    metrics.load_cpu.read = lambda: core.load.load.cpu
    metrics.load_wait_seconds.read = lambda: core.load.load.lag_s
    metrics.load_memory.read = lambda: core.load.memory.used
    metrics.load_refused_share.read = lambda: core.load.share
    metrics.load_refused.read = lambda: core.shedder.refused
    metrics.sip_messages.read = lambda: counters.messages_in
    metrics.sip_requests.read = lambda: _requests(core)
    metrics.sip_responses.read = layer.tallies.responses
    metrics.sip_refused.read = lambda: {
        ("malformed",): counters.malformed,
        ("rejected",): counters.rejected,
        ("inbox full",): counters.inbox_full,
        ("stray response",): counters.stray_responses,
    }
    metrics.sip_guarded.read = lambda: {
        **{(cause,): count for cause, count in core.gate.guard.drops.items()},
        ("answer withheld",): layer.counts.responses_withheld,
    }
    metrics.signatures.read = lambda: {(result,): count for result, count in core.stir.results.items()}
    metrics.bans.read = lambda: core.gate.guard.bans.active(core.clock())
    metrics.listener_connections.read = lambda: {
        (one.name, one.transport): one.connections for one in telephony.transports.snapshot() if one.name
    }
    metrics.listener_messages.read = lambda: {
        (one.name, one.transport, direction): count
        for one in telephony.transports.snapshot()
        if one.name
        for direction, count in (("in", one.messages_in), ("out", one.messages_out))
    }
    metrics.listener_drops.read = lambda: {
        (one.name or "outgoing", cause): count
        for one in telephony.transports.snapshot()
        for cause, count in one.drops.items()
    }
    metrics.media_endpoints.read = lambda: len(telephony.relay.endpoints)
    metrics.media_drops.read = lambda: {(cause,): count for cause, count in telephony.relay.total_drops().items()}
    recorded = telephony.records.recorder.figures
    metrics.records_synced.read = lambda: recorded.synced
    metrics.records_lost.read = lambda: recorded.lost + recorded.unsaid
    metrics.records_waiting.read = lambda: telephony.records.recorder.waiting
    metrics.storage_waiting.read = lambda: telephony.storage.health().waiting
    metrics.storage_commits.read = lambda: telephony.storage.health().commits


def _requests(core: SipCore) -> Said:
    """By method and direction. ACKs belong to no client transaction: the sender counts them."""
    found = core.layer.tallies.requests()
    found["ACK", "out"] += core.sender.acks_out
    return found


def _by_limit(core: SipCore, read: Callable[[CapacityOverview], float]) -> dict[tuple[str, ...], float]:
    """Figures of each limit added up over all that it holds for."""
    found: dict[tuple[str, ...], float] = {}
    for one in capacity(core):
        key = (one.limit, one.what)
        found[key] = found.get(key, 0) + read(one)
    return found
