"""`Location`: who can be reached where, all in memory (RFC 3261 §10, RFC 5626, RFC 5627).

The registrar writes it, the proxy reads it with every call, without waiting. Times are wall-clock seconds.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar
from urllib.parse import unquote

import attrs

from appliance.proxy.gruu import TemporaryGruus
from appliance.sip.uri import Uri, parse_uri_untrusted
from appliance.storage.bindings import BindingRow

_K = TypeVar("_K")

Slot = tuple[str, str]
"""(aor, key): the name of a binding."""


@attrs.define(eq=False)
class Binding:
    """One contact of one address-of-record. Never changed in place but for `flow_id` and `lost`.

    `aor` is canonical ('sip:user@domain'); `key` tells the AOR's bindings apart: the contact, or instance and reg-id.
    `path` are the Path values, first hop first. `gruu` is the number inside the temporary GRUUs. `flow_id` is that of
    the flow which brought the REGISTER, '' when that flow is gone but the contact can be reached by its address.
    `received` is (transport, host, port) of that flow. `features` are further Contact parameters, as on the wire.
    `behind_nat`: its Via said so, whatever its Contact says. `lost`: only its flow led there, and that is gone; it is
    kept but not called.
    """

    aor: str
    key: str
    contact: str
    uri: Uri
    q: float
    expires_at: float
    path: tuple[str, ...]
    instance: str | None
    reg_id: int | None
    gruu: str
    flow_id: str
    listener: str
    received: tuple[str, str, int]
    call_id: str
    cseq: int
    user_agent: str
    features: str
    registered_at: float
    refreshed_at: float
    behind_nat: bool = False
    lost: bool = False

    @property
    def transport(self) -> str:
        return self.received[0]

    @property
    def methods(self) -> str | None:
        """The value of the Contact's `methods` parameter without its quotes, e.g. 'INVITE, ACK', or None."""
        for part in self.features.split(";"):
            name, _, value = part.partition("=")
            if name.lower() == "methods":
                return value.strip('"')
        return None

    @property
    def by_flow_only(self) -> bool:
        """Whether nothing but the flow leads there: WebSocket, Outbound, or an address behind a NAT (§5.3 of 5626)."""
        if self.path:
            return False
        transport = self.transport
        if transport in ("WS", "WSS") or self.uri.host.endswith(".invalid") or self.reg_id is not None:
            return True
        literal = self.uri.host.startswith("[") or self.uri.host.replace(".", "").isdigit()
        return transport != "UDP" and literal and self.hidden

    @property
    def hidden(self) -> bool:
        """Whether it sits behind NAT, so that its media cannot be reached by its SDP."""
        return self.behind_nat or self.uri.bare_host != self.received[1]

    def row(self) -> BindingRow:
        return BindingRow(
            self.aor,
            self.key,
            self.contact,
            self.q,
            self.expires_at,
            "\n".join(self.path),
            self.instance,
            self.reg_id,
            self.gruu,
            self.flow_id,
            self.listener,
            *self.received,
            self.call_id,
            self.cseq,
            self.user_agent,
            self.features,
            self.registered_at,
            self.refreshed_at,
            self.behind_nat,
        )

    @classmethod
    def from_row(cls, row: BindingRow) -> Binding:
        """Raises `BadMessage` where the contact is none: somebody wrote into our file."""
        return cls(
            row.aor,
            row.key,
            row.contact,
            parse_uri_untrusted(row.contact),
            row.q,
            row.expires_at,
            tuple(row.path.split("\n")) if row.path else (),
            row.instance,
            row.reg_id,
            row.gruu,
            row.flow_id,
            row.listener,
            (row.transport, row.received_host, row.received_port),
            row.call_id,
            row.cseq,
            row.user_agent,
            row.features,
            row.registered_at,
            row.refreshed_at,
            bool(row.behind_nat),
        )


class Location:
    """All bindings, with an index for each way of asking."""

    def __init__(self, gruus: TemporaryGruus | None = None) -> None:
        self._gruus = gruus
        self._aors: dict[str, dict[str, Binding]] = {}
        self._contacts: dict[tuple[str, str, int | None], dict[Slot, Binding]] = {}
        self._flows: dict[str, dict[Slot, Binding]] = {}
        self._numbers: dict[str, dict[Slot, Binding]] = {}
        self._due: list[tuple[float, str, str]] = []
        self._due_at: dict[Slot, float] = {}
        self.on_change: list[Callable[[str], None]] = []
        """Called with the AOR after its bindings have changed."""

    def __len__(self) -> int:
        return len(self._due_at)

    @property
    def count(self) -> int:
        """How many bindings there are, lost ones included."""
        return len(self._due_at)

    def __iter__(self) -> Iterator[Binding]:
        for bindings in self._aors.values():
            yield from bindings.values()

    def snapshot(self, now: float) -> list[Binding]:
        """All living bindings, by AOR, for pages."""
        return sorted((b for b in self if b.expires_at > now), key=lambda b: (b.aor, -b.q, -b.refreshed_at))

    def registered(self, aor: str, now: float) -> list[Binding]:
        """What is registered under the AOR and has not expired, lost ones included, in order of first arrival."""
        found = self._aors.get(aor)
        return [binding for binding in found.values() if binding.expires_at > now] if found else []

    def bindings(self, aor: str, now: float) -> list[Binding]:
        """What can be called under the AOR: best q first, then the latest refreshed."""
        return _in_order(binding for binding in self.registered(aor, now) if not binding.lost)

    def by_contact(self, uri: Uri) -> Binding | None:
        """The binding whose contact this is, for in-dialog requests to phones that only their flow reaches.

        The oldest one where several AORs claim the same contact: nobody takes over what another had first.
        """
        found = self._contacts.get(_contact_index(uri)) if self._contacts else None
        if not found:
            return None
        matching = [b for b in found.values() if not b.lost and b.by_flow_only and b.uri.equals(uri)]
        return min(matching, key=lambda b: b.registered_at, default=None)

    def by_gruu(self, uri: Uri, now: float) -> list[Binding]:
        """The callable bindings of the one instance that a GRUU names, the latest first; none where it is dead."""
        gr = uri.param("gr")
        if gr is None:
            return []
        if gr == "":
            number = self._gruus.number_of(uri) if self._gruus is not None else None
            found: Iterable[Binding] = self._numbers.get(number, {}).values() if number else ()
        else:
            instance = canonical_instance(unquote(gr))
            found = (
                b
                for b in self._aors.get(f"sip:{uri.username}@{uri.host}", {}).values()
                if b.instance is not None and canonical_instance(b.instance) == instance
            )
        living = [b for b in found if b.expires_at > now and not b.lost]
        return sorted(living, key=lambda b: -b.refreshed_at)

    def on_flow(self, flow_id: str) -> list[Binding]:
        """The bindings that came over this flow."""
        return list(self._flows.get(flow_id, {}).values())

    # Writing: the registrar's

    def put(self, binding: Binding) -> None:
        """Add the binding, or put it in the place of the one with the same aor and key."""
        slot = binding.aor, binding.key
        bindings = self._aors.setdefault(binding.aor, {})
        old = bindings.get(binding.key)
        if old is not None:
            self._unlink(slot, old)
        bindings[binding.key] = binding
        self._link(slot, binding)
        due_at = self._due_at.get(slot)
        if due_at is None or binding.expires_at < due_at:
            # A later expiry needs no new entry: the old one finds out when it comes up.
            self._due_at[slot] = binding.expires_at
            heapq.heappush(self._due, (binding.expires_at, *slot))

    def remove(self, binding: Binding) -> None:
        """Take the binding away; nothing where it is not there."""
        slot = binding.aor, binding.key
        bindings = self._aors.get(binding.aor)
        old = bindings.pop(binding.key, None) if bindings is not None else None
        if old is None:
            return
        if not bindings:
            del self._aors[binding.aor]
        del self._due_at[slot]
        self._unlink(slot, old)

    def expire(self, now: float) -> list[Binding]:
        """Take away and return what has expired."""
        gone: list[Binding] = []
        due = self._due
        while due and due[0][0] <= now:
            when, aor, key = heapq.heappop(due)
            if self._due_at.get((aor, key)) != when:
                continue
            binding = self._aors[aor][key]
            if binding.expires_at > now:
                self._due_at[aor, key] = binding.expires_at
                heapq.heappush(due, (binding.expires_at, aor, key))
            else:
                self.remove(binding)
                gone.append(binding)
        return gone

    def changed(self, aor: str) -> None:
        """Tell those who listen."""
        for listener in self.on_change:
            listener(aor)

    def _link(self, slot: Slot, binding: Binding) -> None:
        self._contacts.setdefault(_contact_index(binding.uri), {})[slot] = binding
        if binding.flow_id:
            self._flows.setdefault(binding.flow_id, {})[slot] = binding
        if binding.gruu:
            self._numbers.setdefault(binding.gruu, {})[slot] = binding

    def _unlink(self, slot: Slot, binding: Binding) -> None:
        _drop(self._contacts, _contact_index(binding.uri), slot)
        if binding.flow_id:
            _drop(self._flows, binding.flow_id, slot)
        if binding.gruu:
            _drop(self._numbers, binding.gruu, slot)


def canonical_instance(instance: str) -> str:
    """For comparison: a UUID's URN ignores case (RFC 4122 §3)."""
    return instance.lower() if instance[:9].lower() == "urn:uuid:" else instance


def _in_order(bindings: Iterable[Binding]) -> list[Binding]:
    found = list(bindings)
    if len(found) > 1:
        found.sort(key=lambda b: (-b.q, -b.refreshed_at))
    return found


def _contact_index(uri: Uri) -> tuple[str, str, int | None]:
    return uri.username, uri.host, uri.port


def _drop(index: dict[_K, dict[Slot, Binding]], at: _K, slot: Slot) -> None:
    held = index[at]
    del held[slot]
    if not held:
        del index[at]
